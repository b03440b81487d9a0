"""Keeping every slot busy, and stopping in good order: the one loop that all searches share."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from functools import partial
from types import FrameType
from typing import Literal

from nas.evaluation import Outcome, Request
from nas.pool.executor import Event, Executor, Finished, Judge, Reported

LATER: Literal["later"] = "later"
Job = tuple[int, Request] | None | Literal["later"]
"""A ticket and its request; None for a job that turned out to need no slot; LATER while there may be more to come."""

_LATER = 1.0  # seconds
_FEW = 10
_TOLERATED_FAILURES = 0.9


class TooManyFailuresError(RuntimeError):
    """Nearly every trial of this run failed; the message tells the commonest reason."""


def drive(
    jobs: Iterator[Job], executor: Executor, on_event: Callable[[Event], Collection[int]], judge: Judge | None = None
) -> None:
    """Run all jobs on the executor; every event goes to `on_event`, which gives the tickets of the trials that are not
    wanted any more: they are cancelled before anything else happens. judge: says after each epoch whether a trial goes
    on, and is asked before that epoch's event is handed on.

    The next job is taken only when a slot is free and all events so far were handled, so that an iterator that asks a
    sampler asks it as late, and with as much known, as can be.

    An interrupt or SIGTERM ends the waiting for events: what is finished is handled and KeyboardInterrupt is raised;
    what still runs is the executor's owner's to close. Raises TooManyFailuresError when of ten or more trials over
    nine in ten failed.
    """
    running: set[int] = set()
    tally = _Tally()
    with _interrupts() as interrupts:
        submit = executor.submit if judge is None else partial(executor.submit, judge=interrupts.held(judge))
        while True:
            job: Job = None
            while executor.free_slots and not interrupts.wanted and job != LATER:
                try:
                    job = next(jobs)
                except StopIteration:
                    break
                if isinstance(job, tuple):
                    submit(*job)
                    running.add(job[0])
            if not running and job != LATER:
                interrupts.raise_if_wanted()
                return
            for event in _next_events(executor, interrupts, _LATER if job == LATER else None):
                if event.ticket not in running:
                    continue  # told together with one that had its trial cancelled
                unwanted = on_event(event)
                if isinstance(event, Finished):
                    running.discard(event.ticket)
                    if event.ticket not in unwanted:
                        tally.add(event.outcome)
                for ticket in running.intersection(unwanted):
                    executor.cancel(ticket)
                    running.discard(ticket)
            interrupts.raise_if_wanted()
            tally.raise_if_hopeless()


def _next_events(executor: Executor, interrupts: _Interrupts, timeout: float | None) -> list[Event]:
    try:
        with interrupts.at_once():
            begin = time.monotonic()
            events = executor.wait(timeout)
            if timeout is not None and not events:  # also where nothing runs, for which no executor waits
                time.sleep(max(0.0, begin + timeout - time.monotonic()))
            return events
    except KeyboardInterrupt:
        interrupts.wanted = True
        return executor.wait(0)


class _Tally:
    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._finished = 0

    def add(self, outcome: Outcome) -> None:
        self._finished += 1
        if outcome.failure is not None:
            self._failures[f"{outcome.failure.kind}: {outcome.failure.message}"] += 1

    def raise_if_hopeless(self) -> None:
        failed = self._failures.total()
        if failed >= _FEW and failed > _TOLERATED_FAILURES * self._finished:
            reason = self._failures.most_common(1)[0][0]
            raise TooManyFailuresError(f"{failed} of {self._finished} trials failed, most often with {reason}")


class _Interrupts:
    """Whether the user wants to stop. Outside of `at_once` the first signal waits, so that no record is cut in two."""

    def __init__(self) -> None:
        self.wanted = False
        self._at_once = False

    def handle(self, _signum: int, _frame: FrameType | None) -> None:
        if self._at_once or self.wanted:
            raise KeyboardInterrupt
        self.wanted = True

    def raise_if_wanted(self) -> None:
        if self.wanted:
            raise KeyboardInterrupt

    def held(self, judge: Judge) -> Judge:
        """The same, with signals held back while it is asked; once one has come it is not asked any more."""

        def ask(report: Reported) -> bool:
            if self.wanted:
                return True
            before, self._at_once = self._at_once, False
            try:
                return judge(report)
            finally:
                self._at_once = before
                if before:
                    self.raise_if_wanted()

        return ask

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        self._at_once = True
        try:
            self.raise_if_wanted()
            yield
        finally:
            self._at_once = False


@contextlib.contextmanager
def _interrupts() -> Iterator[_Interrupts]:
    interrupts = _Interrupts()
    if threading.current_thread() is not threading.main_thread():
        yield interrupts  # signals are the main thread's
        return
    handlers = {number: signal.signal(number, interrupts.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interrupts
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
