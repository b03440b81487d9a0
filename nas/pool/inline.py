"""The executor that runs trials in the caller's own process, one at a time: exact, simple, and open to a debugger."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nas.evaluation import Evaluator, Failure, Outcome, Probe, Request, Timing
from nas.pool.executor import (
    Event,
    Finished,
    Judge,
    Reported,
    TimeLimit,
    WorkersError,
    evaluate_safely,
    limit_of,
    prepare_run,
    prepare_worker,
    probe_safely,
    release_memory,
)
from nas.pool.memory import lighter, out_of_memory_for_good
from nas.pool.slots import pin_threads


class InlineExecutor:
    """One slot in this process. A trial runs inside `wait`, which returns its reports together with its outcome,
    however short the timeout; a timeout of 0 runs nothing.

    `stop` therefore takes effect when it is called before `wait`, and then after the first epoch. A time limit
    interrupts Python code only, and only in the main thread. What kills the process kills the caller. A trial that runs
    out of memory is tried again with its batches in parts (see Request.micro_batches).
    """

    def __init__(
        self, evaluator: Evaluator, device: str = "cpu", threads: int = 1, *, time_limit: TimeLimit = None
    ) -> None:
        self._evaluator = evaluator
        self._device = device
        self._threads = threads
        self._time_limit = time_limit
        self._job: tuple[int, Request] | None = None
        self._judge: Judge | None = None
        self._stopped = False
        self._is_prepared = False
        prepare_run(evaluator)

    @property
    def free_slots(self) -> int:
        return 0 if self._job else 1

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:
        if self._job is not None:
            raise RuntimeError(f"no free slot for ticket {ticket}")
        self._job, self._judge, self._stopped = (ticket, request), judge, False

    def wait(self, timeout: float | None = None) -> list[Event]:
        if self._job is None or timeout == 0:  # any longer and the trial is run to its end
            return []
        (ticket, request), events = self._job, list[Event]()
        try:
            self._prepare()
            outcome = self._try(ticket, request, events)
            while outcome.failure is not None and outcome.failure.kind == "oom":
                smaller = lighter(request)
                if smaller is None:
                    outcome = out_of_memory_for_good(outcome, request)
                    break
                release_memory(self._evaluator, self._device)
                request = smaller
                outcome = self._try(ticket, request, events)
        finally:
            self._job = None
        return [*events, Finished(ticket, outcome)]

    def _try(self, ticket: int, request: Request, events: list[Event]) -> Outcome:
        curve: list[float] = []

        def report(epoch: int, value: float) -> bool:
            curve.append(value)
            event = Reported(ticket, epoch, value)
            events.append(event)
            return (self._judge is None or self._judge(event)) and not self._stopped

        limit = limit_of(self._time_limit, request)
        begin = time.perf_counter()
        try:
            with _interrupt_after(limit):
                return evaluate_safely(self._evaluator, request, self._device, report)
        except _TimeUpError:
            failure = Failure("timeout", f"no result within {limit:g} s")
            seconds = time.perf_counter() - begin
            return Outcome(failure=failure, seconds=seconds, device=self._device, curve=tuple(curve))

    def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
        if self._job is not None:
            raise RuntimeError("a trial is running")
        self._prepare()
        return [self._probe_once(probe, limit_of(self._time_limit, probe)) for _ in range(times)]

    def _probe_once(self, probe: Probe, limit: float | None) -> Timing | Failure:
        try:
            with _interrupt_after(limit):
                return probe_safely(self._evaluator, probe, self._device)
        except _TimeUpError:
            return Failure("timeout", f"no result within {limit:g} s")

    def _prepare(self) -> None:
        """What a worker does before its first trial; later only the threads are seen to again."""
        pin_threads(self._threads)
        if not self._is_prepared:
            unprepared = prepare_worker(self._evaluator, self._device)
            if unprepared is not None:
                raise WorkersError(unprepared)
            self._is_prepared = True

    def stop(self, ticket: int) -> None:
        if self._job is not None and self._job[0] == ticket:
            self._stopped = True

    def cancel(self, ticket: int) -> None:
        if self._job is not None and self._job[0] == ticket:
            self._job = None

    def close(self) -> None:
        self._job = None


class _TimeUpError(BaseException):
    """Not an Exception, so that an evaluator that catches those does not swallow it."""


@contextmanager
def _interrupt_after(seconds: float | None) -> Iterator[None]:
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def raise_time_up(_signum: int, _frame: object) -> None:
        raise _TimeUpError

    handler = signal.signal(signal.SIGALRM, raise_time_up)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
        signal.signal(signal.SIGALRM, handler)
