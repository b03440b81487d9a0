"""Where trials run: the executor seam, its events, and the one way an evaluator is called."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from nas.evaluation import (
    FAILURE_KINDS,
    Evaluator,
    Failure,
    Outcome,
    Prepares,
    PreparesRun,
    Probe,
    Releases,
    Report,
    Request,
    Times,
    Timing,
)
from nas.failure_causes import cause_of
from nas.pool.slots import give_back_memory

TimeLimit = float | Callable[[Request | Probe], float | None] | None
"""Seconds a try may take: for all requests and probes, for each, or (None) as long as it likes."""

_LONGEST_MESSAGE = 500


@dataclass(frozen=True)
class Reported:
    """A running trial ended epoch `epoch` (from 1; a trial tried again tells all from 1) with `value` in 0..1."""

    ticket: int
    epoch: int
    value: float


@dataclass(frozen=True)
class Finished:
    """A trial ended, well or not; its slot is free again. The last event of its ticket."""

    ticket: int
    outcome: Outcome


Event = Reported | Finished

Judge = Callable[[Reported], bool]
"""judge(report) -> go on? Asked in the driver's process after an epoch, while the trial waits for the answer."""


class Executor(Protocol):
    """Runs requests on slots. A failure of a trial is an outcome; only a defect of the program raises.

    Tickets are the caller's names for submitted trials; no two running trials may share one.
    """

    @property
    def free_slots(self) -> int:
        """How many more requests can be submitted now."""
        ...

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:
        """Start `request` on a free slot. Raises RuntimeError when none is free.

        judge: asked from within `wait` after each epoch, before the trial goes on or ends by the answer; what it is
        asked about is an event as well. Without it no trial waits.
        """
        ...

    def wait(self, timeout: float | None = None) -> list[Event]:
        """The events since the last call, oldest first; blocks until there is one or `timeout` seconds have passed.

        Returns an empty list at once when nothing runs.
        """
        ...

    def stop(self, ticket: int) -> None:
        """Ask a trial to return after its current epoch; it still finishes with an outcome. Unknown tickets pass."""
        ...

    def cancel(self, ticket: int) -> None:
        """End a trial at once; its ticket gives no further event. Unknown tickets pass."""
        ...

    def close(self) -> None:
        """End whatever runs and every process behind it. Closing twice is fine."""
        ...


class ProbingExecutor(Executor, Protocol):
    """An executor that can also tell how fast its slots are."""

    def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
        """Time the probe so many times, side by side as far as there are free slots, and return when all are done. Each
        is tried once.

        Raises RuntimeError while trials run, and what `wait` raises.
        """
        ...


class WorkersError(RuntimeError):
    """No worker can be had; the message is one line for people."""


def limit_of(limit: TimeLimit, asked: Request | Probe) -> float | None:
    """The seconds that a request or a probe may take."""
    return limit(asked) if callable(limit) else limit


def prepare_run(evaluator: Evaluator) -> None:
    """What the evaluator does once for all workers, if anything. Raises WorkersError where that fails."""
    if isinstance(evaluator, PreparesRun):
        try:
            evaluator.prepare_run()
        except Exception as error:
            raise WorkersError(f"cannot prepare the evaluator: {one_line(error)}") from error


def prepare_worker(evaluator: Evaluator, device: str) -> str | None:
    """What the evaluator does once in each worker, if anything; in one line why that fails for good, or None."""
    if not isinstance(evaluator, Prepares):
        return None
    try:
        evaluator.prepare(device)
    except Exception as error:
        failure = _failure(error)
        left_to_trials = failure.kind == "oom" or is_lost_device(failure)
        return None if left_to_trials else f"cannot prepare the evaluator: {failure.message}"
    return None


def release_memory(evaluator: Evaluator, device: str) -> Failure | None:
    """Give back all memory that this process keeps between trials, or tell what was raised instead."""
    try:
        if isinstance(evaluator, Releases):
            evaluator.release(device)
        give_back_memory()
    except Exception as error:
        return _failure(error)
    return None


def is_lost_device(failure: Failure) -> bool:
    """Whether this is a failure of the device that only a new process, if any, gets over."""
    return failure.kind == "crashed" and cause_of(failure.message) == "device"


def probe_safely(evaluator: Evaluator, probe: Probe, device: str) -> Timing | Failure:
    """The evaluator's timing, or what was raised as a failure of the kind that a trial's would be."""
    try:
        if not isinstance(evaluator, Times):
            raise TypeError(f"{type(evaluator).__name__} has no method `time`")
        return evaluator.time(probe, device)
    except (Exception, SystemExit) as error:
        return _failure(error)


def evaluate_safely(evaluator: Evaluator, request: Request, device: str, report: Report) -> Outcome:
    """The evaluator's outcome, checked; what it raises, or returns against its contract, becomes a `crashed` failure.

    Running out of memory becomes `oom`, a value that is not finite `diverged`. Seconds, device and curve are filled
    in where the evaluator left them out.
    """
    curve: list[float] = []

    def record(epoch: int, value: float) -> bool:
        curve.append(float(value))
        return report(int(epoch), float(value))

    begin = time.perf_counter()
    try:
        outcome = _checked(evaluator.evaluate(request, device, record))
    except (Exception, SystemExit) as error:
        outcome = Outcome(failure=_failure(error))
    return replace(
        outcome,
        seconds=outcome.seconds or time.perf_counter() - begin,
        device=outcome.device or device,
        curve=outcome.curve or tuple(curve),
    )


def one_line(error: BaseException) -> str:
    """An exception as `Type: text` on one line of bounded length."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:_LONGEST_MESSAGE] if text else type(error).__name__


def _failure(error: BaseException) -> Failure:
    return Failure("oom" if cause_of(error) == "memory" else "crashed", one_line(error))


def _checked(outcome: Any) -> Outcome:
    if not isinstance(outcome, Outcome):
        raise TypeError(f"the evaluator returned {type(outcome).__name__}, not an Outcome")
    if outcome.failure is not None and outcome.failure.kind not in FAILURE_KINDS:
        raise ValueError(f"failure kind must be one of {', '.join(FAILURE_KINDS)}, not {outcome.failure.kind!r}")
    if outcome.value is not None and not math.isfinite(outcome.value):
        failure = Failure("diverged", f"the {outcome.metric} is {outcome.value}")
        outcome = replace(outcome, value=None, failure=failure)
    if outcome.value is not None and not 0 <= outcome.value <= 1:
        raise ValueError(f"{outcome.metric} must be in 0..1, not {outcome.value}")
    if not (math.isfinite(outcome.seconds) and outcome.seconds >= 0):
        raise ValueError(f"seconds must be finite and at least 0, not {outcome.seconds}")
    return _plain(outcome)


def _plain(outcome: Outcome) -> Outcome:
    """The same with built-in numbers only, whatever array scalars the evaluator used: they cross pipes and JSON."""
    to_float: Callable[[Any], float] = float
    return replace(
        outcome,
        value=None if outcome.value is None else float(outcome.value),
        seconds=float(outcome.seconds),
        device=str(outcome.device),
        curve=tuple(map(to_float, outcome.curve)),
        metrics={str(name): float(value) for name, value in outcome.metrics.items()},
        metric=str(outcome.metric),
    )
