"""A whole run within a time: what it trains is decided before each step, by what the steps before took."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from experiments.errors import UserError
from experiments.plans.division import (
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
from experiments.plans.opponents import opponents
from experiments.plans.outlook import sample_space
from experiments.plans.search import plan_search
from experiments.records import Amounts, BaselineRecord, DivisionRecord
from experiments.run.context import RunContext
from experiments.run.forecast import SMALLEST_TARGET, training_seconds
from experiments.wording import duration
from nas.evaluation import Fidelity, default_epochs

SEARCH, GROWTH, FRONTIER = "search", "coefficients", "frontier"
_KEPT_BACK = 0.03
"""The share of the time that is not divided: for pictures, tables, and models of what was trained."""


@dataclass
class Timetable:
    """The division of a run's time, from now on, which the run's settings follow. given: the names of the options that
    the user has decided; earlier: seconds that the run has taken before this command.
    """

    run: RunContext
    record: DivisionRecord
    given: Collection[str]
    rates: Rates
    earlier: float

    @classmethod
    def begin(cls, run: RunContext, seconds: float, given: Collection[str]) -> Timetable:
        """Decide what the run trains in so many wall seconds, or go on as a run of this folder has decided; says it.
        Nothing is written before a step is entered.

        Raises UserError where the time is too short for any run, or how long trainings take cannot be foretold.
        """
        known = run.folder.find(DivisionRecord)
        if known is not None and known.seconds != seconds:
            raise UserError(
                f"{run.folder.path} was begun with --budget {known.seconds / 60:g}m: go on with that, or take another "
                "--run"
            )
        if run.pool.images is None:
            raise UserError("--budget in minutes or hours is for the built-in training: leave out --evaluator")
        if known is None:
            record, rates = _decide(run, seconds, given)
        else:
            record = known
            _set_target(run, known.target_macs)
            rates = _rates(run, known.target_macs)
        table = cls(run, record, given, rates, record.spent)
        table._apply(record.amounts)
        table._say()
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
        slower, rates = self.run.pool.slower, self.rates
        now = replace(rates, seconds=lambda macs, epochs: slower * rates.seconds(macs, epochs))
        if step == GROWTH and "budget" not in self.given:
            amounts = grid_within(self.left, amounts, macs, now)
        settled = self.run.folder.read().identity.get("final epochs") is not None
        if step == FRONTIER and not settled and not {"final_epochs", "final_seeds"} & set(self.given):
            amounts = frontier_within(self.left, amounts, macs, now)
        begun = (*self.record.begun, step)
        self.record = replace(self.record, amounts=amounts, begun=begun, spent=self.spent)
        self.run.folder.write(self.record)
        self._apply(amounts)
        if step != SEARCH:
            self._say()

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
        amounts, say = self.record.amounts, self.run.narrator.say
        left = [step for step in (SEARCH, GROWTH, FRONTIER) if step not in self.record.begun[:-1]]
        say(f"time: {duration(self.left)} left of {duration(self.record.seconds)}")
        if SEARCH in left and amounts.trials:
            say(
                f"  search: {amounts.trials} trainings of {amounts.epochs} epochs, the best {amounts.confirm} again at "
                f"{amounts.confirm_seeds} seed(s); networks of {self.record.target_macs / 1e6:.3g} M multiply-adds"
            )
        if GROWTH in left:
            say(f"  coefficients: {amounts.grid} trainings" + ", and the scaling plot" * amounts.plot)
        say(
            f"  frontier: {amounts.references} known networks, {amounts.top} found and {amounts.family_phi} grown, "
            f"{amounts.final_epochs} epochs at {amounts.final_seeds} seed(s)"
        )


def _decide(run: RunContext, seconds: float, given: Collection[str]) -> tuple[DivisionRecord, Rates]:
    before, fixed = run.folder.read(), fixed_amounts(given, run.settings.flat())
    for name, value in (("epochs", before.epochs), ("final_epochs", before.identity.get("final epochs"))):
        if value is not None:  # a folder has one length of each
            fixed.setdefault(name, value)
    if run.settings.general.arch:
        fixed |= {"trials": 0, "confirm": 0}
    usual = default_epochs(round((run.problem.facts.train_images or 0) * run.settings.training.train_fraction))
    time_left = (1 - _KEPT_BACK) * seconds
    target, found, lowest = _target(run), None, 0.0
    while True:
        rates = _rates(run, target)
        found = choose(time_left, target, rates, usual, fixed) or found
        lowest = _least(target, rates, usual, fixed)
        if (found is not None and found[0] >= SEARCHING) or "target_macs" in given or not _lower(run, target / 2):
            break
        target /= 2
    if found is None:
        raise UserError(
            f"--budget: the least that a run of {target / 1e6:.3g} M multiply-adds trains here takes about "
            f"{duration(1.1 * lowest)}; give more time, --train-images, or a smaller --target-macs or --resolution"
        )
    size, amounts = found
    forecast = step_seconds(amounts, target, rates)
    if size + 1 < len(SIZES):
        more = SIZES[size + 1][1]
        run.narrator.say(
            f"more time would buy: {more.trials} trials, {more.grid} trainings for the coefficients, "
            f"{more.references} known networks at {more.final_seeds} seeds"
        )
    return DivisionRecord(seconds=seconds, target_macs=round(target), amounts=amounts, forecast=forecast), rates


def _target(run: RunContext) -> float:
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
    """How long trainings of networks of about `target` take, measured; and the ways to fit each opponent."""
    run.pool.speed = None
    speed = run.pool.calibrate(sample_space(run, plan_search(run).space, None))
    images = run.pool.images
    if speed is None or images is None:
        raise UserError("--budget: no network could be timed on this machine; give numbers of trainings instead")
    share = run.settings.training.train_fraction

    def seconds(macs: float, epochs: int) -> float:
        return training_seconds(speed, macs, Fidelity(epochs, share), images)

    ways = {entry.label: len(entry.plans) for entry in opponents(run, run.settings.final.references, target)}
    return Rates(seconds, len(run.pool.slots), tuple(ways.get(name, 0) for name in run.settings.final.references))


def _least(target: float, rates: Rates, usual: int, fixed: Mapping[str, Any]) -> float:
    return sum(step_seconds(amounts_of(0, usual, fixed), target, rates).values())
