"""One trial: what is asked of an evaluator and what comes back. The seam between search, pool and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

from search_spaces import ArchSpec

FAILURE_KINDS = ("oom", "timeout", "diverged", "crashed")


@dataclass(frozen=True)
class Fidelity:
    """How thorough a training is: its epochs, the share of the training images (0..1], a factor on the resolution."""

    epochs: int = 5
    train_fraction: float = 1.0
    resolution_factor: float = 1.0


@dataclass(frozen=True)
class Request:
    """Train `arch` at `fidelity` from `seed`, measure its accuracy on `split` ("val", or "test" for the frontier).

    micro_batches: the parts that each batch is computed in, so that less memory is needed; the steps, and what the
    request asks for, stay the same, but batch norms see smaller batches. Evaluators that know no such thing may ignore
    it.
    """

    arch: ArchSpec
    fidelity: Fidelity
    seed: int = 0
    split: str = "val"
    micro_batches: int = field(default=1, compare=False)

    @cached_property
    def key(self) -> str:
        """Equal for two requests exactly when their outcome is the same by definition."""
        f = self.fidelity
        return f"{self.arch.id}/e{f.epochs}/f{f.train_fraction:g}/r{f.resolution_factor:g}/s{self.seed}/{self.split}"


@dataclass(frozen=True)
class Failure:
    """Why a trial has no accuracy. kind: one of FAILURE_KINDS; message: one line for people."""

    kind: str
    message: str


@dataclass(frozen=True)
class Outcome:
    """What a trial gave: accuracy in 0..1 on the request's split, or a failure; wall seconds and the device's name.

    curve: the accuracy reported after each epoch. metrics: any further numbers (loss, images per second ...).
    """

    accuracy: float | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    device: str = ""
    curve: tuple[float, ...] = ()
    metrics: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.accuracy is None) == (self.failure is None):
            raise ValueError("an outcome has either an accuracy or a failure")


Report = Callable[[int, float], bool]
"""report(epoch, accuracy) -> go on? epoch counts from 1; False asks the evaluator to stop and return what it has."""


class Evaluator(Protocol):
    """Turns a request into an outcome. Must be picklable: worker processes get a copy and keep it for their life.

    A failure of the trial itself (no memory, NaN) is returned as `Outcome(failure=...)`; an accuracy that is not finite
    is recorded as `diverged`. Anything raised is a defect of the evaluator, which the executor records as `crashed`
    with the exception's text, but memory that runs out: `oom`.
    """

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome: ...
