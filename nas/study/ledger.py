"""The ledger of trials: what is known of a study's trials, and the one place where they are stored and told of."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.study import Study
from optuna.trial import Trial, create_trial

from nas.evaluation import Outcome, Request
from nas.pool.executor import Reported
from nas.study.ending import Ending
from nas.study.journal import batch
from nas.study.known import Known
from nas.study.optuna_adapter import as_stored

REPORTS_WAIT = 1.0  # seconds at most between the journal's writes while epochs are reported


@dataclass(frozen=True)
class TrialEvent:
    """What happened to one trial. number: the trial's, or the position in the list. done, total: trials of the run;
    a study that holds more than were asked for has so many in all.

    A running trial tells its start (epoch 0) and each epoch with its value; a finished one its outcome, which is
    None where the trial was not worth training. request is None where the parameters made no network. pruned: it was
    stopped after `epoch`, and the outcome's value is that of then.
    """

    number: int
    request: Request | None
    done: int
    total: int
    finished: bool = False
    epoch: int = 0
    value: float | None = None
    outcome: Outcome | None = None
    pruned: bool = False


OnEvent = Callable[[TrialEvent], None]


@dataclass
class Ledger:
    """One driver's ledger of a study. total: trials of the run, done: those that have finished, for `on_event`."""

    study: Study
    total: int
    on_event: OnEvent
    known: Known = field(default_factory=Known)
    done: int = 0
    _reports: list[tuple[Trial, Reported]] = field(default_factory=list)  # not stored yet
    _written: float = 0.0  # when, in monotonic seconds

    @contextlib.contextmanager
    def batch(self, *, durable: bool = False) -> Iterator[None]:
        """What is stored together, in one write of the journal. It begins with the reports held back: so many epochs
        cost one write.

        Outcomes are durable. What a crash of the machine loses of the rest is asked and reported again.
        """
        with batch(self.study, durable=durable):
            for trial, report in self._reports:
                trial.report(report.value, report.epoch)
            self._reports.clear()
            self._written = time.monotonic()
            yield

    def hold_back(self, trial: Trial, report: Reported) -> None:
        """Keep a report for the next batch."""
        self._reports.append((trial, report))

    @property
    def overdue(self) -> bool:
        """Whether reports have been held back for long."""
        return bool(self._reports) and time.monotonic() - self._written > REPORTS_WAIT

    def drop_reports(self, numbers: Collection[int]) -> None:
        """Forget the reports of trials that are not this driver's any more."""
        self._reports = [(trial, report) for trial, report in self._reports if trial.number not in numbers]

    def tell_running(self, number: int, request: Request, report: Reported | None = None) -> None:
        """Say that a trial began, or what it reported."""
        epoch, value = (0, None) if report is None else (report.epoch, report.value)
        self.on_event(TrialEvent(number, request, self.done, max(self.total, self.done), epoch=epoch, value=value))

    def close(self, trial: Trial, request: Request | None, ending: Ending) -> None:
        """Store the end of a trial that was asked for. request: None where its parameters make no network."""
        set_attrs(trial, ending.attrs)
        # A score that is no number fails the trial where its state is left to Optuna.
        self.study.tell(trial, ending.value, ending.state if ending.value is None else None)
        self.known.remember(as_stored(self.study, trial))
        self._tell_end(trial.number, request, ending)

    def add(
        self, number: int, request: Request, ending: Ending, *,
        attrs: Mapping[str, Any], params: Mapping[str, Any], axes: Mapping[str, BaseDistribution],
    ) -> None:  # fmt: skip
        """Store a whole trial that nobody asked for, but a list. number: in that list. attrs: beside the ending's.
        params: the trial's parameters, which have the distributions `axes`.
        """
        outcome = ending.outcome
        trial = create_trial(
            state=ending.state,
            value=ending.value,
            params=dict(params),
            distributions=dict(axes),
            user_attrs={**attrs, **ending.attrs},
            intermediate_values=dict(enumerate(outcome.curve if outcome else (), 1)),
        )
        trial.datetime_start = datetime.now() - timedelta(seconds=outcome.seconds if outcome else 0.0)
        self.study.add_trial(trial)
        self._tell_end(number, request, ending)

    def _tell_end(self, number: int, request: Request | None, ending: Ending) -> None:
        self.done += 1
        self.on_event(TrialEvent(
            number, request, self.done, max(self.total, self.done), finished=True, epoch=ending.stopped_after,
            outcome=ending.outcome, pruned=ending.stopped_after > 0,
        ))  # fmt: skip


def set_attrs(trial: Trial, attrs: Mapping[str, Any]) -> None:
    """Store user attributes in their order."""
    for name, value in attrs.items():
        trial.set_user_attr(name, value)
