"""The executor that runs trials in the caller's own process, one at a time: exact, simple, and open to a debugger."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from nas.evaluation import Evaluator, Failure, Outcome, Request
from nas.pool.executor import Event, Finished, Reported, evaluate_safely
from nas.pool.slots import pin_threads


class InlineExecutor:
    """One slot in this process. A trial runs inside `wait`, which returns its reports together with its outcome,
    however short the timeout; a timeout of 0 runs nothing.

    `stop` therefore takes effect when it is called before `wait`, and then after the first epoch. time_limit, in
    seconds, interrupts Python code only, and only in the main thread. What kills the process kills the caller.
    """

    def __init__(
        self, evaluator: Evaluator, device: str = "cpu", threads: int = 1, *, time_limit: float | None = None
    ) -> None:
        self._evaluator = evaluator
        self._device = device
        self._threads = threads
        self._time_limit = time_limit
        self._job: tuple[int, Request] | None = None
        self._stopped = False

    @property
    def free_slots(self) -> int:
        return 0 if self._job else 1

    def submit(self, ticket: int, request: Request) -> None:
        if self._job is not None:
            raise RuntimeError(f"no free slot for ticket {ticket}")
        self._job, self._stopped = (ticket, request), False

    def wait(self, timeout: float | None = None) -> list[Event]:
        if self._job is None or timeout == 0:  # any longer and the trial is run to its end
            return []
        (ticket, request), events = self._job, list[Event]()

        def report(epoch: int, accuracy: float) -> bool:
            events.append(Reported(ticket, epoch, accuracy))
            return not self._stopped

        pin_threads(self._threads)
        begin = time.perf_counter()
        try:
            with _interrupt_after(self._time_limit):
                outcome = evaluate_safely(self._evaluator, request, self._device, report)
        except _TimeUpError:
            failure = Failure("timeout", f"no result within {self._time_limit:g} s")
            curve = tuple(event.accuracy for event in events if isinstance(event, Reported))
            outcome = Outcome(failure=failure, seconds=time.perf_counter() - begin, device=self._device, curve=curve)
        finally:
            self._job = None
        return [*events, Finished(ticket, outcome)]

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
