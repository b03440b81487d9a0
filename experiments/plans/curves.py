"""The scaling plot's networks and trainings: the baseline scaled in several ways, at the same costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from experiments.records import CoefficientsRecord
from experiments.run.context import RunContext
from experiments.tables.curves import CURVES, read_curves
from nas.evaluation import Fidelity, Outcome, Request
from scaling_search import Coefficients, FamilyMember, scaling_lines
from scaling_search.coefficients import EFFICIENTNET
from scaling_search.family import untold
from search_spaces import ArchSpec

_SMALLEST = 0.5


@dataclass(frozen=True)
class Curves:
    """What the scaling plot is of. lines: its networks by the way they grow; fidelity: of all trainings; requests: the
    trainings of each network, by its id."""

    lines: Mapping[str, tuple[FamilyMember, ...]]
    fidelity: Fidelity
    requests: Mapping[str, tuple[Request, ...]]

    @property
    def trainings(self) -> list[Request]:
        """Every training."""
        return [request for each in self.requests.values() for request in each]

    def accuracies(self, member: FamilyMember, outcomes: Mapping[str, Outcome]) -> list[float]:
        """What one network reached, a value a seed; without the trainings that failed or are not among `outcomes`
        (by request key)."""
        found = [outcomes.get(request.key) for request in self.requests[member.arch.id]]
        return [outcome.value for outcome in found if outcome is not None and outcome.value is not None]


def plan_curves(
    run: RunContext,
    arch: ArchSpec,
    coefficients: Coefficients,
    fidelity: Fidelity,
    tell: Callable[[str], None] = untold,
) -> Curves:
    """The baseline `arch` scaled from `plot_from` to `plot_phi`, to be trained at the seeds of the grid. tell: is
    given a line for each network that the baseline cannot be shrunk to."""
    growth, first = run.settings.growth, run.settings.general.seed
    phis = plot_phis(growth.plot_phi, growth.plot_from)
    lines = scaling_lines(arch, coefficients, phis, run.points, num_classes=run.num_classes, tell=tell)
    drawn = run.folder.path / CURVES
    if drawn.exists() and "dWr" not in read_curves(drawn):  # the finished plot of an earlier version stays as it is
        del lines["dWr"]
    requests = {
        member.arch.id: tuple(run.request(member.arch, fidelity, first + i) for i in range(growth.seeds))
        for members in lines.values()
        for member in members
    }
    return Curves(lines, fidelity, requests)


def curve_requests(run: RunContext, arch: ArchSpec, fidelity: Fidelity) -> list[Request]:
    """What will be trained for the plot, by the coefficients of an earlier start, or by a stand-in for them."""
    if run.settings.growth.plot_phi == 0:
        return []
    before = run.folder.find(CoefficientsRecord)
    coefficients = EFFICIENTNET if before is None else before.finding.coefficients
    return plan_curves(run, arch, coefficients, fidelity).trainings


def plot_phis(largest: float, smallest: int = 0) -> tuple[float, ...]:
    """The steps of the plot: whole ones from `smallest` to 0, half a doubling, then whole ones up to `largest`."""
    steps = [*(float(phi) for phi in range(smallest, 1)), *(phi for phi in (_SMALLEST,) if phi < largest)]
    steps += [float(phi) for phi in range(1, int(largest) + 1)]
    return tuple(dict.fromkeys([*steps, float(largest)]))
