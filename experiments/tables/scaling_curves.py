"""The scaling plot's trainings: each dimension grown alone and all together, at the same costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.pictures.scaling import Measured
from experiments.run.context import RunContext
from experiments.run.folder import read_json
from nas.evaluation import Fidelity, Outcome, Request
from scaling_search import Coefficients, FamilyMember, scaling_lines
from search_spaces import ArchSpec

_SMALLEST = 0.5
_STAND_IN = Coefficients(1.2, 1.1, 1.15)


def train_curves(
    run: RunContext, name: str, arch: ArchSpec, coefficients: Coefficients, fidelity: Fidelity
) -> dict[str, list[Measured]]:
    """Accuracy on val of the baseline `arch` grown up to `plot_phi`, at every seed of the grid: {way: networks}.

    name: the journal, which answers what the grid has trained already. Networks that could not be trained are missing.
    """
    lines = _lines(run, arch, coefficients)
    requests = _requests(run, lines, fidelity)
    seeds = _seeds(run)
    phis = {member.arch.id: member.phi for members in lines.values() for member in members}

    def labels(request: Request) -> Mapping[str, Any]:
        return {"phi": phis[request.arch.id]}

    outcomes = run.train(name, list(requests.values()), labels, f"scaling plot, {fidelity.epochs} epochs")
    measured = {
        way: [
            point
            for member in members
            if (point := _measured(member, [outcomes.get(requests[member.arch.id, seed].key) for seed in seeds]))
        ]
        for way, members in lines.items()
    }
    return {way: points for way, points in measured.items() if points}


def curve_requests(run: RunContext, arch: ArchSpec, fidelity: Fidelity) -> list[Request]:
    """What `train_curves` will ask for, by the coefficients of an earlier start, or by a stand-in for them."""
    if run.settings.growth.plot_phi == 0:
        return []
    coefficients = _STAND_IN
    if run.folder.coefficients.exists():
        found = read_json(run.folder.coefficients)
        coefficients = Coefficients(found["alpha"], found["beta"], found["gamma"])
    return list(_requests(run, _lines(run, arch, coefficients), fidelity).values())


def _seeds(run: RunContext) -> tuple[int, ...]:
    return tuple(run.settings.general.seed + i for i in range(run.settings.growth.seeds))


def _lines(run: RunContext, arch: ArchSpec, coefficients: Coefficients) -> dict[str, tuple[FamilyMember, ...]]:
    settings = run.settings
    return scaling_lines(
        arch, coefficients, plot_phis(settings.growth.plot_phi), settings.growth.points, num_classes=run.num_classes
    )


def _requests(
    run: RunContext, lines: Mapping[str, Sequence[FamilyMember]], fidelity: Fidelity
) -> dict[tuple[str, int], Request]:
    return {
        (member.arch.id, seed): Request(member.arch, fidelity, seed)
        for members in lines.values()
        for member in members
        for seed in _seeds(run)
    }


def plot_phis(largest: float) -> tuple[float, ...]:
    """The steps of the plot: 0, halves of a doubling up to the first, then whole ones up to `largest`."""
    steps = [0.0, *(phi for phi in (_SMALLEST,) if phi < largest)]
    steps += [float(phi) for phi in range(1, int(largest) + 1)]
    return tuple(dict.fromkeys([*steps, float(largest)]))


def _measured(member: FamilyMember, outcomes: Sequence[Outcome | None]) -> Measured | None:
    values = [outcome.value for outcome in outcomes if outcome is not None and outcome.value is not None]
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Measured(member.macs, statistics.fmean(values), spread, len(values))
