"""What drivers and workers tell each other; a worker also sends the executor's own events."""

from __future__ import annotations

import pickle
from dataclasses import dataclass

from nas.evaluation import Evaluator, Failure, Probe, Request, Timing
from nas.pool.executor import Finished, Reported, one_line


@dataclass(frozen=True)
class Run:
    """Driver to worker: evaluate `request`. waits: after each epoch for a Go or a Stop."""

    ticket: int
    request: Request
    waits: bool = False


@dataclass(frozen=True)
class RunProbe:
    """Driver to worker: time `probe`. Answered by Probed."""

    ticket: int
    probe: Probe


@dataclass(frozen=True)
class Stop:
    """Driver to worker: end `ticket` after its current epoch."""

    ticket: int


@dataclass(frozen=True)
class Go:
    """Driver to worker: `ticket`, which waits, may begin its next epoch."""

    ticket: int


@dataclass(frozen=True)
class Release:
    """Driver to worker, between trials: give back the memory kept for those to come. Answered by Released."""


@dataclass(frozen=True)
class Ready:
    """Worker to driver: the evaluator is loaded and prepared. place: names the device; workers that share it are
    neighbours.
    """

    place: str


@dataclass(frozen=True)
class Broken:
    """Worker to driver: the evaluator cannot be loaded or prepared, and no other worker could either."""

    message: str


@dataclass(frozen=True)
class Lost:
    """Worker to driver: the device does not answer this process any more, which ends after this message."""

    message: str


@dataclass(frozen=True)
class Probed:
    """Worker to driver: what a probe came to."""

    ticket: int
    result: Timing | Failure


@dataclass(frozen=True)
class Released:
    """Worker to driver: no memory is kept any more."""


Order = Run | RunProbe | Stop | Go | Release
"""What a driver may send."""
Message = Ready | Broken | Lost | Reported | Finished | Probed | Released
"""What a worker may send."""


class UnpicklableError(ValueError):
    """An evaluator that cannot be sent to workers; the message is one line for people."""


def pickled(evaluator: Evaluator) -> bytes:
    """The evaluator as workers get it. Raises UnpicklableError."""
    try:
        return pickle.dumps(evaluator)
    except Exception as error:
        raise UnpicklableError(
            f"the evaluator cannot be pickled for worker processes: {one_line(error)}; keep lambdas, open files and "
            "locks out of it, or train in this process with `InlineExecutor`"
        ) from None
