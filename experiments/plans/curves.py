"""The scaling plot's networks and trainings: each dimension grown alone and all together, at the same costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.records import CoefficientsRecord
from experiments.run.context import RunContext
from nas.evaluation import Fidelity, Outcome, Request
from scaling_search import Coefficients, FamilyMember, scaling_lines
from scaling_search.coefficients import EFFICIENTNET
from search_spaces import ArchSpec

_SMALLEST = 0.5


@dataclass(frozen=True)
class Curves:
    """What the scaling plot is of. lines: its networks by the way they grow; every one is trained at `fidelity` and
    all `seeds`."""

    lines: Mapping[str, tuple[FamilyMember, ...]]
    fidelity: Fidelity
    seeds: tuple[int, ...]

    @property
    def requests(self) -> dict[tuple[str, int], Request]:
        """Every training, by architecture id and seed."""
        return {
            (member.arch.id, seed): Request(member.arch, self.fidelity, seed)
            for members in self.lines.values()
            for member in members
            for seed in self.seeds
        }

    def accuracies(self, member: FamilyMember, outcomes: Mapping[str, Outcome]) -> list[float]:
        """What one network reached, a value a seed; without the trainings that failed or are not among `outcomes`
        (by request key)."""
        found = [outcomes.get(Request(member.arch, self.fidelity, seed).key) for seed in self.seeds]
        return [outcome.value for outcome in found if outcome is not None and outcome.value is not None]


def plan_curves(run: RunContext, arch: ArchSpec, coefficients: Coefficients, fidelity: Fidelity) -> Curves:
    """The baseline `arch` grown up to `plot_phi`, to be trained at the seeds of the grid."""
    growth, first = run.settings.growth, run.settings.general.seed
    lines = scaling_lines(arch, coefficients, plot_phis(growth.plot_phi), growth.points, num_classes=run.num_classes)
    return Curves(lines, fidelity, tuple(first + i for i in range(growth.seeds)))


def curve_requests(run: RunContext, arch: ArchSpec, fidelity: Fidelity) -> list[Request]:
    """What will be trained for the plot, by the coefficients of an earlier start, or by a stand-in for them."""
    if run.settings.growth.plot_phi == 0:
        return []
    before = run.folder.find(CoefficientsRecord)
    coefficients = EFFICIENTNET if before is None else before.finding.coefficients
    return list(plan_curves(run, arch, coefficients, fidelity).requests.values())


def plot_phis(largest: float) -> tuple[float, ...]:
    """The steps of the plot: 0, halves of a doubling up to the first, then whole ones up to `largest`."""
    steps = [0.0, *(phi for phi in (_SMALLEST,) if phi < largest)]
    steps += [float(phi) for phi in range(1, int(largest) + 1)]
    return tuple(dict.fromkeys([*steps, float(largest)]))
