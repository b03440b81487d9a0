"""Whom a run's network is compared with: known networks, each by that one of its plans which short trainings find best.

A known network was made for other images and another cost, and there are several sound ways to fit it
(search_spaces.plans). A win over one that is fitted badly says nothing, so every way is trained for as long as a trial
of the search, from one seed, and measured on val. Where there is one way, nothing is trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from experiments.errors import UserError
from experiments.plans.networks import network_plans, target_of
from experiments.records import BaselineRecord
from experiments.run.context import RunContext
from experiments.run.naming import is_reference
from experiments.tables.frontier import SAME_COST
from experiments.wording import in_units, percent
from nas.evaluation import Outcome, Request
from nas.study.store import read_study
from search_spaces import ArchSpec
from search_spaces.plans import NetworkPlan

PLANS, FRONTIER = "plans", "compare"
"""The studies of the trainings that choose plans, and of those that the frontier shows."""
_MISSED = 0.1
"""By such a share of its target the cost of a network that was fitted to it may be off."""
_SMALLEST, _STEP = 24, 4  # pixels


@dataclass(frozen=True)
class Entry:
    """One network of a comparison and the part it plays; role: see frontier.ROLES.

    plans: the ways in which it may be fitted, methods: those in which it may be trained (see Request; None: as the
    run's own), the most promising first; the first of both are what is compared.
    """

    label: str
    role: str
    plans: tuple[NetworkPlan, ...]
    methods: tuple[str | None, ...] = (None,)

    @classmethod
    def of(cls, label: str, role: str, arch: ArchSpec) -> Entry:
        """A network as it is."""
        return cls(label, role, (NetworkPlan(arch, ""),))

    @property
    def arch(self) -> ArchSpec:
        return self.plans[0].arch

    @property
    def method(self) -> str | None:
        return self.methods[0]

    @property
    def ways(self) -> list[Entry]:
        """It with one plan and one method each."""
        return [replace(self, plans=(plan,), methods=(method,)) for plan in self.plans for method in self.methods]

    @property
    def plan(self) -> str:
        """How the network is fitted, in words; empty where it is taken as it is."""
        return self.plans[0].words

    @property
    def noted(self) -> dict[str, str]:
        """What journals note of it."""
        return {"network": self.label} | ({"plan": self.plan} if self.plan else {})


def opponent(run: RunContext, name: str, target_macs: float | None) -> Entry:
    """A known network fitted to the data and to `target_macs` (None: the run's target); a file or a run as it is. At
    another cost than that of the run's baseline its label has the cost.

    Plans of another cost are left out where others have the same, and plans that cost more where none has. A network
    that this run has begun to train for its frontier under the name and at the cost stays, however it was fitted.
    Raises UserError where it cannot be fitted.
    """
    target = target_of(run) if target_macs is None else target_macs
    if not is_reference(name):
        return Entry(name, "given", network_plans(run, name, target, run.resolutions))
    label = name if _costs_as_baseline(run, target) else f"{name}, {in_units(target)}"
    before = _trained_before(run, label, target)
    if before is not None:
        if not before.words:
            run.narrator.say(f"{name}: stays as this run has trained it before, fitted by its widths alone")
        return Entry(label, "reference", (before,), (run.problem.from_scratch,))
    plans = network_plans(run, name, target, run.resolutions)
    cost = {plan: run.macs.of(plan.arch) / target - 1 for plan in plans}
    same = tuple(plan for plan in plans if abs(cost[plan]) <= SAME_COST)
    chosen = same or tuple(plan for plan in plans if cost[plan] <= SAME_COST) or plans
    return Entry(label, "reference", chosen, (run.problem.from_scratch,))


def _costs_as_baseline(run: RunContext, target_macs: float) -> bool:
    """Whether a cost is about that of the run's baseline or its target; true where there is no baseline."""
    found = run.folder.find(BaselineRecord)
    if found is None:
        return True
    costs = [float(found.macs)]
    if found.target_macs is not None and found.cost in (None, costs[0]):  # else the target is in another unit
        costs.append(found.target_macs)
    return any(abs(target_macs / cost - 1) <= _MISSED for cost in costs)


def opponents(run: RunContext, names: Sequence[str], target_macs: float | None) -> list[Entry]:
    """Those of the known networks that can be fitted; of the others it is said that they are left out."""
    entries = []
    for name in dict.fromkeys(names):
        try:
            entries.append(opponent(run, name, target_macs))
        except UserError as error:  # a network found may be smaller than the known one can be made
            run.narrator.say(f"warning: left out of the comparison: {error}")
    return entries


def pretrained_entries(run: RunContext, costs: Sequence[float]) -> list[Entry]:
    """Each network of --pretrained at those of its resolutions that come to about each of the `costs`, in MACs, and
    not above; one that is dearer than all at any is left out, which is said.

    Its widths are those of its weights, so that the resolution alone can be chosen: the largest up to that which it was
    made for. Images may be enlarged for it, where they have no more pixels.
    """
    entries = []
    for each in run.problem.pretrained:
        sized = [replace(each.arch, resolution=pixels) for pixels in _sizes(run, each.arch.resolution)]
        macs = {arch: run.macs.of(arch) for arch in sized}
        fitting = [[arch for arch in sized if macs[arch] <= (1 + SAME_COST) * cost] for cost in costs]
        chosen = dict.fromkeys(max(archs, key=macs.__getitem__) for archs in fitting if archs)
        if not chosen:
            least = f"{in_units(min(macs.values()))} multiply-adds at {sized[0].resolution} pixels"
            run.narrator.say(
                f"warning: left out of the comparison: {each.name} with its weights costs {least}, above the others"
            )
        for arch in chosen:
            enlarged = ", to which images are enlarged" if arch.resolution > run.problem.native_size else ""
            plan = NetworkPlan(arch, f"fine-tuned at {arch.resolution} px{enlarged}")
            label = f"{each.name}, pretrained, {arch.resolution} px"
            entries.append(Entry(label, "pretrained", (plan,), (each.evaluator.method,)))
    return entries


def _sizes(run: RunContext, largest: int) -> list[int]:
    """Resolutions at which pretrained weights can be used, the smallest first."""
    problem = run.problem
    most = largest if problem.cached_size == problem.native_size else min(largest, problem.cached_size)
    return list(range(min(_SMALLEST, most), most + 1, _STEP))


def _trained_before(run: RunContext, label: str, target_macs: float) -> NetworkPlan | None:
    path = run.folder.journal(FRONTIER)
    trials = read_study(path, FRONTIER).get_trials(deepcopy=False) if path.exists() else []
    for attrs in (trial.user_attrs for trial in reversed(trials)):
        if attrs.get("network") == label and abs(attrs["macs"] / target_macs - 1) <= _MISSED:
            return NetworkPlan(ArchSpec.from_dict(attrs["arch"]), attrs.get("plan", ""))
    return None


def plan_requests(run: RunContext, entries: Sequence[Entry]) -> dict[Request, dict[str, str]]:
    """The trainings that choose among plans, with what the journal notes of each."""
    each = [way for entry in entries if len(entry.ways) > 1 for way in entry.ways]
    return {_short_training(run, way): way.noted for way in each}


def _short_training(run: RunContext, entry: Entry) -> Request:
    return run.request(entry.arch, run.proxy, run.settings.general.seed, method=entry.method)


def decided(run: RunContext, entry: Entry, outcomes: Mapping[str, Outcome]) -> Entry:
    """An entry with the best of its ways alone, which is said. outcomes: of `plan_requests`, by key."""
    told, ways = entry.plan, entry.ways
    if len(ways) > 1:
        found = [outcomes[_short_training(run, way).key].value for way in ways]
        best = best_plan(found)
        recipes = len(entry.methods) > 1
        entry, value = ways[best], found[best]
        reached = "none of them could be trained" if value is None else f"val {percent(value)}"
        words = f"recipe {run.problem.recipe_named(entry.method)}" if recipes else entry.plan
        told = f"{len(found)} {'recipes' if recipes else 'plans'} tried, best: {words} ({reached})"
    if told:
        run.narrator.say(f"{entry.label}: {told}")
    return entry


def best_plan(accuracies: Sequence[float | None]) -> int:
    """The place of the highest accuracy, of equals the first; None is that of a training that failed."""
    return max(range(len(accuracies)), key=lambda i: (-1.0 if accuracies[i] is None else accuracies[i], -i))
