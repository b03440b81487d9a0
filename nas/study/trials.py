"""One search's bookkeeping: which trials there are, which of them must be trained, and what is stored of each."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.evaluation import Failure, Fidelity, Outcome, Request
from nas.pool.drive import Job
from nas.pool.executor import Event, Finished, Reported, one_line
from nas.study.attributes import REPEAT
from nas.study.journal import batch
from nas.study.optuna_adapter import as_stored, go_on_with
from nas.study.pruning import PRUNED_AT, is_unpromising, pruned_attrs
from nas.study.store import VALUES, outcome_attrs, request_attrs, stored_outcome
from search_spaces import ArchSpec

FINAL_FAILURES = ("oom", "diverged")
"""Kinds of failure that the same request would meet again; the others may be bad luck."""

_REPORTS_WAIT = 1.0  # seconds at most between the journal's writes while epochs are reported

Cost = Callable[[ArchSpec], tuple[int, int]]
"""cost(arch) -> (MACs, parameters)."""


class Space(Protocol):
    """What the search needs of a space; `search_spaces.SearchSpace` is one."""

    def distributions(self) -> dict[str, BaseDistribution]: ...

    def decode(self, params: Mapping[str, Any]) -> ArchSpec: ...


@dataclass(frozen=True)
class Progress:
    """What happened to one trial. number: the trial's, or the position in the list. done, total: trials of the run.

    A running trial tells its start (epoch 0) and each epoch with its accuracy; a finished one its outcome, which is
    None where the trial was not worth training. request is None where the parameters made no network. pruned: it was
    stopped after `epoch`, and the outcome's accuracy is that of then.
    """

    number: int
    request: Request | None
    done: int
    total: int
    finished: bool = False
    epoch: int = 0
    accuracy: float | None = None
    outcome: Outcome | None = None
    pruned: bool = False


OnProgress = Callable[[Progress], None]


@dataclass
class _Running:
    trial: Trial
    request: Request
    cost: float  # what the score charges for
    epochs: set[int]  # already stored
    stopped: bool = False  # by the pruner
    waiting: list[Trial] = field(default_factory=list)  # trials that ask the same


@dataclass
class Bookkeeping:
    """The driver's memory of one search. Everything in it can be read from the study again."""

    space: Space
    score: Callable[[float, float], float]
    study: Study
    trials: int
    fidelity: Fidelity
    seed: int
    cost: Cost
    limits: tuple[tuple[str, float | None], ...]  # unit and upper bound of each figure of `cost`
    on_event: OnProgress
    answers: dict[str, tuple[int, Outcome]] = field(default_factory=dict)  # request key -> trial number, outcome
    running: dict[int, _Running] = field(default_factory=dict)  # by trial number
    seeds: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))  # arch id -> seeds asked for
    unwritten: list[tuple[Trial, Reported]] = field(default_factory=list)
    written: float = 0.0  # monotonic seconds
    done: int = 0
    priced: Callable[[ArchSpec], float] | None = None  # what the score charges for; None: MACs
    max_cost: float | None = None  # upper bound of that
    pruner: BasePruner | None = None
    pruned: dict[str, int] = field(default_factory=dict)  # request key -> number of the trial that was stopped
    dropped: set[int] = field(default_factory=set)  # trials that others took over, and that the executor may still run

    def jobs(self) -> Iterator[Job]:
        """Ask for trials, one at a time, and yield their jobs; None for those that need no training."""
        unfinished = []
        for frozen in self.study.get_trials(deepcopy=False):
            if frozen.state.is_finished():
                self._remember(frozen)
            elif frozen.state == TrialState.RUNNING:
                unfinished.append(frozen)
        for frozen in unfinished:
            with self._batch():
                job = self._prepare(self._resume(frozen))
            yield job
        for _ in range(self._begun(), self.trials):
            with self._batch():
                job = self._prepare(self.study.ask(self.space.distributions()))
            yield job

    def handle(self, event: Event) -> Collection[int]:
        """Store what the executor tells; the trials that turned out to be no longer this driver's, each told once. Of
        such a trial nothing is stored.
        """
        if isinstance(event, Finished):
            with self._batch(durable=True):
                ended = self.running.pop(event.ticket, None)
                if ended is not None:
                    self._end_training(ended, event.outcome)
        elif event.ticket in self.running:
            self._handle_report(self.running[event.ticket], event)
        dropped, self.dropped = self.dropped, set()
        return dropped

    def _handle_report(self, running: _Running, event: Reported) -> None:
        self._note(running, event)
        if self.unwritten and time.monotonic() - self.written > _REPORTS_WAIT:
            with self._batch():
                pass
        if event.ticket in self.running:
            self._tell_running(event.ticket, running.request, epoch=event.epoch, accuracy=event.accuracy)

    def judge(self, event: Reported) -> bool:
        """Whether a trial goes on after an epoch. That it does not is stored before anybody acts on it.

        A trial that is trained again after a kill is not asked about epochs before its last stored one: it passed them.
        """
        running = self.running.get(event.ticket)
        if running is None or running.stopped:
            return False
        if self.pruner is None or not max(running.epochs, default=0) <= event.epoch < self.fidelity.epochs:
            return True

        def score(accuracy: float) -> float:
            return self.score(accuracy, running.cost)

        self._note(running, event)
        with self._batch():
            if event.ticket not in self.running:
                return False
            trial = as_stored(self.study, running.trial)
            running.stopped = is_unpromising(self.pruner, self.study, trial, score)
            if running.stopped:
                attrs = pruned_attrs(self.study, event.epoch, event.accuracy, self.fidelity.epochs, score)
                _set_attrs(running.trial, attrs)
        return not running.stopped

    def _note(self, running: _Running, event: Reported) -> None:
        if event.epoch not in running.epochs:
            running.epochs.add(event.epoch)
            self.unwritten.append((running.trial, event))

    @contextlib.contextmanager
    def _batch(self, *, durable: bool = False) -> Iterator[None]:
        """A batch of the journal that begins with the reports held back: so that many epochs cost one write.

        Outcomes are durable. What a crash of the machine loses of the rest is asked and reported again.
        """
        with batch(self.study, durable=durable):
            for trial, report in self.unwritten:
                trial.report(report.accuracy, report.epoch)
            self.unwritten.clear()
            self.written = time.monotonic()
            yield

    def _remember(self, frozen: FrozenTrial) -> None:
        self.done += 1
        attrs = frozen.user_attrs
        if "request_key" not in attrs:
            return
        self.seeds[attrs["arch_id"]].add(attrs["seed"])
        if PRUNED_AT in attrs and "duplicate_of" not in attrs:
            self.pruned.setdefault(attrs["request_key"], frozen.number)
        outcome = stored_outcome(frozen)
        if outcome is not None and is_final(outcome) and "duplicate_of" not in attrs:
            self.answers.setdefault(attrs["request_key"], (frozen.number, outcome))

    def _resume(self, frozen: FrozenTrial) -> Trial:
        """A trial of an earlier run."""
        return go_on_with(self.study, frozen, self.space.distributions())

    def _begun(self) -> int:
        return sum(trial.state != TrialState.WAITING for trial in self.study.get_trials(deepcopy=False))

    def _prepare(self, trial: Trial) -> Job:
        """The trial's job when only training can answer it; else its answer is told, or it waits for one."""
        frozen = as_stored(self.study, trial)
        try:
            arch = self.space.decode(trial.params)
            costs = self.cost(arch)
        except ValueError as error:
            self._fail_unbuilt(trial, error)
            return None
        request = Request(arch, self.fidelity, self._training_seed(frozen, arch))
        _set_attrs(trial, request_attrs(request, *costs))
        for (unit, limit), figure in zip(self.limits, costs, strict=True):
            if limit is not None and figure > limit:
                self._prune(trial, request, f"{figure:,} {unit} are more than the bound of {limit:,.0f}")
                return None
        cost: float = costs[0]
        if self.priced is not None:
            cost = float(self.priced(arch))
            trial.set_user_attr("cost", cost)
        if self.max_cost is not None and cost > self.max_cost:
            self._prune(trial, request, f"a cost of {cost:,.6g} is more than the bound of {self.max_cost:,.6g}")
            return None
        stored = stored_outcome(frozen)
        if stored is None and PRUNED_AT not in frozen.user_attrs:
            return self._place(trial, request, cost)
        if stored is None:
            self._end_pruned(trial, request, None)
        else:
            self._finish(trial, request, cost, stored)
        return None

    def _place(self, trial: Trial, request: Request, cost: float) -> Job:
        """Answer the trial, let it wait for another that asks the same, or have it trained."""
        same = next((running for running in self.running.values() if running.request.key == request.key), None)
        if request.key in self.answers:
            self._answer(trial, request, cost, *self.answers[request.key])
        elif request.key in self.pruned:
            self._answer_pruned(trial, request, self.pruned[request.key])
        elif same is not None:
            same.waiting.append(trial)
        else:
            reported = as_stored(self.study, trial).intermediate_values
            self.running[trial.number] = _Running(trial, request, cost, set(reported))
            self._tell_running(trial.number, request)
            return trial.number, request
        return None

    def _training_seed(self, frozen: FrozenTrial, arch: ArchSpec) -> int:
        used = self.seeds[arch.id]
        seed: int = frozen.user_attrs.get("seed", self.seed)
        if "seed" not in frozen.user_attrs and frozen.system_attrs.get(REPEAT):
            while seed in used:
                seed += 1
        used.add(seed)
        return seed

    def _end_training(self, running: _Running, outcome: Outcome) -> None:
        """Store what a training gave, for its trial and those that wait for it."""
        trial, request, cost = running.trial, running.request, running.cost
        if running.stopped and outcome.failure is None:
            self._end_pruned(trial, request, outcome)
            for waiting in running.waiting:
                self._answer_pruned(waiting, request, trial.number)
            return
        self._finish(trial, request, cost, outcome)
        for waiting in running.waiting:
            self._answer(waiting, request, cost, trial.number, outcome)

    def _finish(self, trial: Trial, request: Request, cost: float, outcome: Outcome) -> None:
        _set_attrs(trial, outcome_attrs(outcome))
        if outcome.value is None:
            self.study.tell(trial, state=TrialState.FAIL)
        else:
            self.study.tell(trial, self.score(outcome.value, cost))
        if is_final(outcome):
            self.answers.setdefault(request.key, (trial.number, outcome))
        self._end(trial, request, outcome)

    def _answer(self, trial: Trial, request: Request, cost: float, original: int, outcome: Outcome) -> None:
        trial.set_user_attr("duplicate_of", original)
        self._finish(trial, request, cost, replace(outcome, seconds=0.0))

    def _fail_unbuilt(self, trial: Trial, error: ValueError) -> None:
        outcome = Outcome(failure=Failure("crashed", one_line(error)))
        _set_attrs(trial, outcome_attrs(outcome))
        self.study.tell(trial, state=TrialState.FAIL)
        self._end(trial, None, outcome)

    def _prune(self, trial: Trial, request: Request, reason: str) -> None:
        trial.set_user_attr("pruned_because", reason)
        self.study.tell(trial, state=TrialState.PRUNED)
        self._end(trial, request, None)

    def _end_pruned(self, trial: Trial, request: Request, outcome: Outcome | None) -> None:
        """A trial that `judge` stopped. Its accuracy is no answer to the request, so that it is not stored as one.

        outcome: None where a kill came between the stop and the end.
        """
        if outcome is not None:
            _set_attrs(trial, {name: value for name, value in outcome_attrs(outcome).items() if name not in VALUES})
        self.study.tell(trial, state=TrialState.PRUNED)
        self.pruned.setdefault(request.key, trial.number)
        epoch = as_stored(self.study, trial).user_attrs[PRUNED_AT]
        self._end(trial, request, outcome, epoch=epoch, pruned=True)

    def _answer_pruned(self, trial: Trial, request: Request, original: int) -> None:
        """A trial that asks for what was stopped before."""
        trial.set_user_attr("duplicate_of", original)
        self._prune(trial, request, f"as trial {original}, which was stopped early")

    def _end(self, trial: Trial, request: Request | None, outcome: Outcome | None, **news: Any) -> None:
        self.done += 1
        self.on_event(Progress(trial.number, request, self.done, self.trials, finished=True, outcome=outcome, **news))

    def _tell_running(self, number: int, request: Request, epoch: int = 0, accuracy: float | None = None) -> None:
        self.on_event(Progress(number, request, self.done, self.trials, epoch=epoch, accuracy=accuracy))


def _set_attrs(trial: Trial, attrs: Mapping[str, Any]) -> None:
    for name, value in attrs.items():
        trial.set_user_attr(name, value)


def is_final(outcome: Outcome) -> bool:
    """Whether the same request would end the same way again: then it is never trained twice."""
    return outcome.failure is None or outcome.failure.kind in FINAL_FAILURES
