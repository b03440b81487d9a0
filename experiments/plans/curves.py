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


def plan_curves(run: RunContext, arch: ArchSpec, coefficients: Coefficients, fidelity: Fidelity) -> Curves:
    """The baseline `arch` grown up to `plot_phi`, to be trained at the seeds of the grid."""
    growth, first = run.settings.growth, run.settings.general.seed
    lines = scaling_lines(arch, coefficients, plot_phis(growth.plot_phi), growth.points, num_classes=run.num_classes)
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


def plot_phis(largest: float) -> tuple[float, ...]:
    """The steps of the plot: 0, halves of a doubling up to the first, then whole ones up to `largest`."""
    steps = [0.0, *(phi for phi in (_SMALLEST,) if phi < largest)]
    steps += [float(phi) for phi in range(1, int(largest) + 1)]
    return tuple(dict.fromkeys([*steps, float(largest)]))
