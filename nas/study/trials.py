"""The trials of a search: which are asked for, which of these are trained, and what becomes of each."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from optuna.trial import FrozenTrial, Trial, TrialState

from nas.evaluation import Outcome, Request
from nas.pool.drive import LATER, Job
from nas.pool.executor import Event, Finished, Reported
from nas.study.attributes import COST, REPEAT, request_attrs, stored_outcome
from nas.study.drivers import Drivers
from nas.study.ending import Ending, duplicate, duplicate_of_stopped, refused, stopped, trained, unbuilt
from nas.study.ledger import Ledger, set_attrs
from nas.study.optuna_adapter import as_stored, go_on_with
from nas.study.plan import SearchPlan
from nas.study.pruning import PRUNED_AT, is_unpromising, pruned_attrs
from search_spaces import ArchSpec


@dataclass(frozen=True, eq=False)
class Asked:
    """A trial, what it asks for, and what the score charges its network for."""

    trial: Trial
    request: Request
    cost: float


@dataclass(eq=False)
class Running:
    """A trial that is being trained.

    epochs: those that are stored, or will be with the next batch. stopped_after: the epoch after which the pruner
    stopped it. waiting: others that ask for the same.
    """

    asked: Asked
    epochs: set[int]
    stopped_after: int = 0
    waiting: list[Asked] = field(default_factory=list)


@dataclass
class SearchTrials:
    """One driver's trials of a search, between the sampler, which is asked, and the executor, which trains.

    elsewhere: trials that wait for what another driver trains. dropped: trials that others took over, and that the
    executor may still run.

    Several drivers ask and store in turns, and each sees what the others run and know. What a dead one left is taken
    over; should it come back, it lets go of that. The search ends when all trials have, whoever runs them.
    """

    plan: SearchPlan
    ledger: Ledger
    drivers: Drivers
    running: dict[int, Running] = field(default_factory=dict)
    elsewhere: list[Asked] = field(default_factory=list)
    dropped: set[int] = field(default_factory=set)

    def jobs(self) -> Iterator[Job]:
        """Ask for trials, one at a time, and yield their jobs; None for those that need no training."""
        while True:
            with self._turn():
                job = self._next()
            if job == "end":
                return
            yield job

    def handle(self, event: Event) -> Collection[int]:
        """Store what the executor tells; the trials that turned out to be no longer this driver's, each told once. Of
        such a trial nothing is stored.
        """
        if isinstance(event, Finished):
            with self._turn(durable=True):
                running = self.running.pop(event.ticket, None)
                if running is not None:
                    self._end(running, event.outcome)
        elif event.ticket in self.running:
            self._report(self.running[event.ticket], event)
        dropped, self.dropped = self.dropped, set()
        return dropped

    def judge(self, event: Reported) -> bool:
        """Whether a trial goes on after an epoch. That it does not is stored before anybody acts on it.

        A trial that is trained again after a kill is not asked about epochs before its last stored one: it passed them.
        """
        plan, running = self.plan, self.running.get(event.ticket)
        if running is None or running.stopped_after:
            return False
        if plan.pruner is None or not max(running.epochs, default=0) <= event.epoch < plan.fidelity.epochs:
            return True
        self._hold_back(running, event)
        with self._turn():
            if event.ticket not in self.running:
                return False
            study, score = self.ledger.study, partial(self._score, running.asked)
            if not is_unpromising(plan.pruner, study, as_stored(study, running.asked.trial), score):
                return True
            running.stopped_after = event.epoch
            attrs = pruned_attrs(study, event.epoch, event.value, plan.fidelity.epochs, score)
            set_attrs(running.asked.trial, attrs)
            return False

    # --- From the ask to the executor --------------------------------------------------------------------------------

    def _next(self) -> Job | Literal["end"]:
        """The job of a trial that waited for another driver, of one that was left unfinished, or of a new one."""
        trials = self._learn()
        waited, self.elsewhere = self.elsewhere, []
        for i, asked in enumerate(waited):
            job = self._place(asked)
            if job is not None:
                self.elsewhere += waited[i + 1 :]
                return job
        if waited:
            trials = self._learn()  # some of them were answered just now
        others = self._running_elsewhere(trials)
        for frozen in others:
            if self.drivers.may_take(frozen):
                return self._admit(go_on_with(self.ledger.study, frozen, self.plan.space.distributions()))
        if self.ledger.known.begun(trials) < self.plan.trials:
            return self._admit(self.ledger.study.ask(self.plan.space.distributions()))
        more = others or self.elsewhere or (self.running and not self.drivers.alone)
        return LATER if more else "end"

    def _admit(self, trial: Trial) -> Job:
        """Find out what the trial asks for: what makes no network, or is over a bound, ends here."""
        self.drivers.claim(trial)
        frozen, plan = as_stored(self.ledger.study, trial), self.plan
        try:
            arch = plan.space.decode(frozen.params)
            figures = {figure.name: figure.of(arch) for figure in plan.figures}
            reason = plan.refusal(arch)
            charge = None if plan.charge is None or reason is not None else float(plan.charge.of(arch))
        except ValueError as error:
            self.ledger.close(trial, None, unbuilt(error))
            return None
        request = Request(arch, plan.fidelity, self._seed(frozen, arch), method=plan.method)
        set_attrs(trial, request_attrs(request, figures))
        cost = figures[plan.figures[0].name]
        if charge is not None:
            cost = charge
            trial.set_user_attr(COST, cost)
            reason = plan.refusal_of_charge(cost)
        if reason is not None:
            self.ledger.close(trial, request, refused(reason))
            return None
        return self._place(Asked(trial, request, cost))

    def _place(self, asked: Asked) -> Job:
        """Answer the trial, let it wait for another that asks for the same, or have it trained."""
        frozen, key = as_stored(self.ledger.study, asked.trial), asked.request.key
        ending = self._answer(asked, frozen)
        same = next((running for running in self.running.values() if running.asked.request.key == key), None)
        if ending is not None:
            self.ledger.close(asked.trial, asked.request, ending)
        elif self.drivers.is_asked_elsewhere(frozen.number, key):
            self.elsewhere.append(asked)
        elif same is not None:
            same.waiting.append(asked)
        else:
            self.running[frozen.number] = Running(asked, set(frozen.intermediate_values))
            self.ledger.tell_running(frozen.number, asked.request)
            return frozen.number, asked.request
        return None

    def _answer(self, asked: Asked, frozen: FrozenTrial) -> Ending | None:
        """How the trial ends by what is stored, of itself or of another that asked for the same; None where it must be
        trained. A kill may have come between an outcome, or a pruner's word, and the end of the trial itself.
        """
        known, key, outcome = self.ledger.known, asked.request.key, stored_outcome(frozen)
        if outcome is not None:
            return trained(outcome, partial(self._score, asked))
        if PRUNED_AT in frozen.user_attrs:
            return stopped(frozen.user_attrs[PRUNED_AT], None)
        if key in known.answers:
            return duplicate(*known.answers[key], partial(self._score, asked))
        return duplicate_of_stopped(known.stopped[key]) if key in known.stopped else None

    def _seed(self, frozen: FrozenTrial, arch: ArchSpec) -> int:
        """The seed of the training: the plan's, or of a wished repeat the next that was not used for this network."""
        used = self.ledger.known.seeds[arch.id]
        seed: int = frozen.user_attrs.get("seed", self.plan.seed)
        if "seed" not in frozen.user_attrs and frozen.system_attrs.get(REPEAT):
            while seed in used:
                seed += 1
        used.add(seed)
        return seed

    # --- From the executor to the journal ----------------------------------------------------------------------------

    def _report(self, running: Running, event: Reported) -> None:
        self._hold_back(running, event)
        if self.ledger.overdue:
            with self._turn():
                pass
        if event.ticket in self.running:
            self.ledger.tell_running(event.ticket, running.asked.request, event)

    def _hold_back(self, running: Running, event: Reported) -> None:
        if event.epoch not in running.epochs:
            running.epochs.add(event.epoch)
            self.ledger.hold_back(running.asked.trial, event)

    def _end(self, running: Running, outcome: Outcome) -> None:
        """Store what a training gave, for its trial and those that wait for it."""
        asked = running.asked
        if running.stopped_after and outcome.failure is None:
            ending, others = stopped(running.stopped_after, outcome), duplicate_of_stopped(asked.trial.number)
        else:
            score = partial(self._score, asked)
            ending, others = trained(outcome, score), duplicate(asked.trial.number, outcome, score)
        self.ledger.close(asked.trial, asked.request, ending)
        for waiting in running.waiting:
            self.ledger.close(waiting.trial, waiting.request, others)

    def _score(self, asked: Asked, value: float) -> float:
        return self.plan.score(value, asked.cost)

    # --- Beside other drivers ----------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _turn(self, *, durable: bool = False) -> Iterator[None]:
        """A turn of this driver, of which all is stored together, and in which nobody takes over what it writes to."""
        with self.drivers.turn():
            self._let_go()
            with self.ledger.batch(durable=durable):
                yield

    def _let_go(self) -> None:
        """Forget the trials that others took over while this driver was silent; `elsewhere` is looked through later."""
        lost = self.drivers.lost(self._mine())
        if not lost:
            return
        for number, running in list(self.running.items()):
            running.waiting = [asked for asked in running.waiting if asked.trial.number not in lost]
            if number in lost:
                del self.running[number]
                self.dropped.add(number)
                self.elsewhere += running.waiting
        self.elsewhere = [asked for asked in self.elsewhere if asked.trial.number not in lost]
        self.ledger.drop_reports(lost)

    def _mine(self) -> set[int]:
        """Trials that this driver runs, or that wait here."""
        waiting = [asked for running in self.running.values() for asked in running.waiting]
        return self.running.keys() | {asked.trial.number for asked in [*waiting, *self.elsewhere]}

    def _learn(self) -> list[FrozenTrial]:
        """All trials as they are now, with those remembered that have finished, whoever ran them."""
        trials = self.ledger.study.get_trials(deepcopy=False)
        self.ledger.done += self.ledger.known.learn(trials)
        return trials

    def _running_elsewhere(self, trials: list[FrozenTrial]) -> list[FrozenTrial]:
        """Running trials that are none of this driver's: left by a kill, or another driver's."""
        numbers = sorted(self.ledger.known.open - self._mine())
        return [trials[number] for number in numbers if trials[number].state == TrialState.RUNNING]
