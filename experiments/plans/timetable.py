"""A whole run within a time: what it trains is decided before each step, by what the steps before took."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

from experiments.errors import UserError
from experiments.plans.division import (
    MOST_SEEDS,
    SEARCHING,
    SIZES,
    Rates,
    amounts_of,
    choose,
    fixed_amounts,
    frontier_within,
    grid_within,
    settings_of,
    step_seconds,
)
from experiments.plans.networks import baseline_arch, network_plans
from experiments.plans.opponents import opponents
from experiments.plans.outlook import sample_space
from experiments.plans.search import plan_search
from experiments.records import Amounts, BaselineRecord, DivisionRecord, FamilyRecord
from experiments.run.context import RunContext
from experiments.run.forecast import SMALLEST_TARGET, training_seconds
from experiments.wording import duration
from nas.evaluation import Fidelity, default_epochs
from scaling_search.verdict import ALTERNATIVES

SEARCH, GROWTH, FRONTIER = "search", "coefficients", "frontier"
_KEPT_BACK = 0.03
"""The share of the time that is not divided: for pictures, tables, and models of what was trained."""


@dataclass
class Timetable:
    """The division of a run's time, from now on, which the run's settings follow. given: the names of the options that
    the user has decided; earlier: seconds that the run has taken before this command; entered: when it entered the
    frontier, in this command.
    """

    run: RunContext
    record: DivisionRecord
    given: Collection[str]
    rates: Rates
    earlier: float
    entered: float | None = None

    @classmethod
    def begin(cls, run: RunContext, seconds: float, given: Collection[str]) -> Timetable:
        """Decide what the run trains in so many wall seconds, or go on as a run of this folder has decided; says it.
        Nothing is written before a step is entered.

        Raises UserError where the time is too short for any run, or how long trainings take cannot be foretold.
        """
        known = run.folder.find(DivisionRecord)
        if run.pool.images is None:
            raise UserError("--budget in minutes or hours is for the built-in training: leave out --evaluator")
        if known is None:
            record, rates, more = _decide(run, seconds, given)
        else:
            _refuse_change(run, known, seconds, given)
            _set_target(run, known.target_macs)
            record, rates, more = known, _rates(run, known.target_macs), ""
        table = cls(run, record, given, rates, record.spent)
        table._apply(record.amounts)
        table._say()
        if more:
            run.narrator.say(more)
        return table

    @property
    def spent(self) -> float:
        """Wall seconds that this run has taken so far; what a kill cut off since the last step began is not counted."""
        return self.earlier + time.monotonic() - self.run.opened

    @property
    def left(self) -> float:
        """Wall seconds for the steps to come."""
        return (1 - _KEPT_BACK) * self.record.seconds - self.spent

    def enter(self, step: str) -> None:
        """Decide the amounts of a step about to begin by the time that is left, unless it has begun before."""
        if step in self.record.begun:
            return
        baseline, amounts = self.run.folder.find(BaselineRecord), self.record.amounts
        macs = float(self.record.target_macs if baseline is None else baseline.macs)
        rates = self.rates.slower(self._slower_at(macs) if step == FRONTIER else self.run.pool.slower)
        if step == GROWTH:
            amounts = grid_within(self.left, amounts, macs, rates)
        if step == FRONTIER:
            fixed = {"final_epochs"} if self.run.folder.read().final_epochs is not None else set()
            amounts = frontier_within(self.left, amounts, macs, rates, {*fixed, *self.given})
        begun = (*self.record.begun, step)
        self.record = replace(self.record, amounts=amounts, begun=begun, spent=self.spent)
        self.run.folder.write(self.record)
        self._apply(amounts)
        if step != SEARCH:
            self._say()
        if step == FRONTIER:
            self.entered = time.monotonic()

    def another_seed(self) -> bool:
        """Whether there is time for one more seed of all networks of the frontier, by what those so far took. If so it
        is decided, and said."""
        amounts, macs = self.record.amounts, float(self.record.target_macs)
        with_teacher = self.run.settings.final.teacher is not None  # which may be another one then
        if self.entered is None or with_teacher or "final_seeds" in self.given or amounts.final_seeds >= MOST_SEEDS:
            return False
        foretold, one = (
            step_seconds(each, macs, self.rates)[FRONTIER] for each in (amounts, replace(amounts, final_seeds=1))
        )
        if (time.monotonic() - self.entered) * one / foretold > self.left:
            return False
        amounts = replace(amounts, final_seeds=amounts.final_seeds + 1)
        self.record = replace(self.record, amounts=amounts, spent=self.spent)
        self.run.folder.write(self.record)
        self._apply(amounts)
        self.run.narrator.say(f"time: {duration(self.left)} left, enough for another seed of each network")
        return True

    def _slower_at(self, macs: float) -> float:
        """How many times as long the networks of the frontier take as was foretold for any of their cost: the run's
        own, and known ones of about `macs`. A few steps of each are timed."""
        folder, final = self.run.folder, self.run.settings.final
        baseline, grown = folder.find(BaselineRecord), folder.find(FamilyRecord)
        archs = [] if baseline is None else [baseline.arch]
        archs += [member.arch for member in grown.members if 0 < member.phi <= final.family_phi] if grown else []
        for name in final.references:
            with suppress(UserError):  # it cannot be made so small, which is said where it is left out
                archs.append(network_plans(self.run, name, macs, self.run.resolutions)[0].arch)
        timed = [(arch, seconds) for arch in archs if (seconds := self.run.pool.seconds_an_epoch(arch)) is not None]
        foretold = sum(self.rates.final(float(self.run.macs.of(arch)), 1) for arch, _ in timed)
        return sum(seconds for _, seconds in timed) / foretold if timed else self.run.pool.slower

    def _apply(self, amounts: Amounts) -> None:
        wanted = settings_of(amounts, self.run.settings.final.references)
        self.run.settings = self.run.settings.with_given(
            {
                name: value
                for name, value in wanted.items()
                if name not in self.given and not (name == "trials" and value == 0)
            }
        )

    def _say(self) -> None:
        amounts, settings, say = self.record.amounts, self.run.settings, self.run.narrator.say
        left = [step for step in (SEARCH, GROWTH, FRONTIER) if step not in self.record.begun[:-1]]
        say(f"time: {duration(self.left)} left of {duration(self.record.seconds)}")
        if SEARCH in left and amounts.trials:
            search, target = settings.search, self.record.target_macs
            say(
                f"  search: {search.trials} trainings of {amounts.epochs} epochs, the best {search.confirm} again for "
                f"{self.run.confirmation.epochs} at {search.confirm_seeds} seed(s); networks of {target / 1e6:.3g} M "
                "multiply-adds"
            )
        if GROWTH in left:
            plot = ", and the scaling plot" if settings.growth.plot_phi else ", no scaling plot"
            say(f"  coefficients: {amounts.grid} trainings{plot}")
        final = settings.final
        say(
            f"  frontier: {len(final.references)} known networks, {final.top if amounts.trials else 1} of its own and "
            f"{final.family_phi} grown, {final.final_epochs} epochs at {final.final_seeds} seed(s)"
        )


def _refuse_change(run: RunContext, known: DivisionRecord, seconds: float, given: Collection[str]) -> None:
    """Raise UserError where the folder's time was divided for another budget or target than are asked for now."""
    if known.seconds != seconds:
        raise UserError(
            f"{run.folder.path} was begun with --budget {known.seconds / 60:g}m: go on with that, or take another --run"
        )
    if "target_macs" in given and round(_asked_macs(run)) != known.target_macs:
        raise UserError(
            f"{run.folder.path} was begun with a target of {known.target_macs / 1e6:.3g} M multiply-adds: leave out "
            "--target-macs, or take another --run"
        )


def _decide(run: RunContext, seconds: float, given: Collection[str]) -> tuple[DivisionRecord, Rates, str]:
    """The division, what trainings take, and what a larger budget would do in words."""
    before, fixed = run.folder.read(), fixed_amounts(given, run.settings.flat())
    for name, value in (("epochs", before.epochs), ("final_epochs", before.final_epochs)):
        if value is not None:  # a folder has one length of each
            fixed.setdefault(name, value)
    own = bool(run.settings.general.arch)
    if own:
        fixed |= {"trials": 0, "confirm": 0, "top": 1}
    usual = default_epochs(round((run.problem.facts.train_images or 0) * run.settings.training.train_fraction))
    asked = target = _asked_macs(run)
    while True:
        rates = _rates(run, target)
        left = (1 - _KEPT_BACK) * seconds - (time.monotonic() - run.opened)
        found = choose(left, target, rates, usual, fixed)
        enough = found is not None and found[0] >= SEARCHING
        if enough or own or "target_macs" in given or not _lower(run, target / 2):
            break
        target /= 2
    if found is None:
        least = sum(step_seconds(amounts_of(0, usual, fixed), target, rates).values())
        raise UserError(
            f"--budget: the least that a run of {target / 1e6:.3g} M multiply-adds trains here takes about "
            f"{duration(1.1 * least + seconds - left)}; give more time, --train-images, or a smaller --target-macs or "
            "--resolution"
        )
    if target < asked:
        run.narrator.say(
            f"target: {target / 1e6:.3g} M multiply-adds in place of {asked / 1e6:.3g} M, so that a search fits"
        )
    size, amounts = found
    forecast = step_seconds(amounts, target, rates)
    record = DivisionRecord(seconds=seconds, target_macs=round(target), amounts=amounts, forecast=forecast)
    return record, rates, _more(amounts, size, usual, fixed)


def _more(amounts: Amounts, size: int, usual: int, fixed: Mapping[str, Any]) -> str:
    """What the next size has more of."""
    if size + 1 == len(SIZES):
        return ""
    after = amounts_of(size + 1, usual, fixed)
    words = {
        "trials": "trials",
        "epochs": "epochs each",
        "grid": "trainings for the coefficients",
        "references": "known networks",
        "final_seeds": "seeds on the frontier",
    }
    grown = [
        f"{getattr(after, name)} {what}"
        for name, what in words.items()
        if getattr(after, name) > getattr(amounts, name)
    ]
    return f"with a larger budget it would do: {', '.join(grown)}" if grown else ""


def _asked_macs(run: RunContext) -> float:
    """Of the network that the user gives, else the target."""
    if run.settings.general.arch:
        return float(run.macs.of(baseline_arch(run)))
    return float(plan_search(run).target_macs)


def _lower(run: RunContext, target: float) -> bool:
    """Set a lower target, if networks of the run's space can be made so small."""
    before = run.settings
    if target < SMALLEST_TARGET:
        return False
    _set_target(run, target)
    try:
        plan_search(run)
    except UserError:
        run.settings = before
        return False
    return True


def _set_target(run: RunContext, target: float) -> None:
    run.settings = run.settings.with_given({"target_macs": f"{target:.0f}"})


def _rates(run: RunContext, target: float) -> Rates:
    """How long trainings of networks of about `target` take, measured; and what stands on the frontier."""
    own = run.settings.general.arch
    run.pool.speed = None
    archs = [baseline_arch(run)] if own else sample_space(run, plan_search(run).space, None)
    speed, images = run.pool.calibrate(archs), run.pool.images
    if speed is None or images is None:
        raise UserError("--budget: no network could be timed on this machine; give numbers of trainings instead")
    share, final = run.settings.training.train_fraction, run.settings.final
    known = {entry.label.split(", ")[0]: entry.plans for entry in opponents(run, final.references, target)}

    def seconds(macs: float, epochs: int, part: float = share) -> float:
        return training_seconds(speed, macs, Fidelity(epochs, part), images)

    return Rates(
        seconds,
        lambda macs, epochs: seconds(macs, epochs, 1.0),
        len(run.pool.slots),
        tuple(len(known.get(name, ())) for name in final.references),
        fmean([run.macs.of(plans[0].arch) / target for plans in known.values()] or [1.0]),
        # With a teacher a step has its forward pass besides, whatever that costs: counted as two trainings.
        beside=len(final.pretrained) + 2 * (final.teacher is not None),
        rivals=len(ALTERNATIVES) if final.rivals else 0,
        lengths=run.settings.growth.lengths,
        plot=run.settings.growth.plot_phi,
    )
