"""One trial: what is asked of an evaluator and what comes back. The seam between search, pool and training."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol, runtime_checkable

from search_spaces import ArchSpec

ACCURACY = "accuracy"
"""The name of the metric that is meant where none is named."""
_METRIC = re.compile(r"(?:^|,)\s*metric=([^,]+)")
INT8 = "int8"
"""The metric of a network quantised to int8, and what a method says where that is measured beside another."""
FAILURE_KINDS = ("oom", "timeout", "diverged", "crashed")


@dataclass(frozen=True)
class Fidelity:
    """How thorough a training is: its epochs, the share of the training images (0..1], a factor on the resolution.

    Raises ValueError unless epochs are whole and at least 1, and the factor is above 0.
    """

    epochs: int = 5
    train_fraction: float = 1.0
    resolution_factor: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.epochs, bool) or not isinstance(self.epochs, int) or self.epochs < 1:
            raise ValueError(f"epochs must be a whole number of at least 1, not {self.epochs!r:.40}")
        for name, value, most in (
            ("train_fraction", self.train_fraction, 1.0),
            ("resolution_factor", self.resolution_factor, 100.0),
        ):
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
                raise ValueError(f"{name} must be above 0 and at most {most:g}, not {value!r:.40}")


IMAGES_SEEN = 40_000
"""About so many images a short training shows in all its epochs."""
SHORTEST, LONGEST = 3, 20


def default_epochs(train_images: int) -> int:
    """Epochs of a short training on so many images, 3 to 20: few images take many epochs to tell networks apart, many
    tell them apart in few."""
    return min(LONGEST, max(SHORTEST, round(IMAGES_SEEN / max(1, train_images))))


@dataclass(frozen=True)
class Request:
    """Train `arch` at `fidelity` from `seed`, measure it on `split` ("val", or "test" for the frontier).

    method: how the figure is got where it is not the accuracy of a training from scratch: another metric, initial
    weights, a teacher, other numerics, such as "metric=macro_f1". Figures of different methods are different figures.
    micro_batches: the parts that each batch is computed in, so that less memory is needed; the steps, and what the
    request asks for, stay the same, but batch norms see smaller batches. Evaluators that know no such thing may ignore
    it.
    """

    arch: ArchSpec
    fidelity: Fidelity
    seed: int = 0
    split: str = "val"
    micro_batches: int = field(default=1, compare=False)
    method: str = ""

    @cached_property
    def key(self) -> str:
        """Equal for two requests exactly when their outcome is the same by definition."""
        f = self.fidelity
        key = f"{self.arch.id}/e{f.epochs}/f{f.train_fraction:g}/r{f.resolution_factor:g}/s{self.seed}/{self.split}"
        return f"{key}/{self.method}" if self.method else key


def with_int8(method: str) -> str:
    """The method by which the value after quantisation to int8 is measured too: among the outcome's metrics as INT8."""
    return ",".join(filter(None, (method, INT8)))


def metric_of(method: str) -> str:
    """The name of the metric that a method, or the name of a recipe with its method, tells; ACCURACY where it tells
    none."""
    found = _METRIC.search(method)
    return found[1].strip() if found else ACCURACY


@dataclass(frozen=True)
class Failure:
    """Why a trial has no figure. kind: one of FAILURE_KINDS; message: one line for people."""

    kind: str
    message: str


@dataclass(frozen=True, init=False)
class Outcome:
    """What a trial gave: the value of a metric on the request's split, or a failure; wall seconds, the device's name.

    value: in 0..1, the more the better; metric: what it is. `Outcome(accuracy=0.9)` is `Outcome(value=0.9)`, whose
    metric is ACCURACY. curve: the value reported after each epoch. metrics: any further numbers (loss, images per
    second ...).
    """

    value: float | None
    failure: Failure | None
    seconds: float
    device: str
    curve: tuple[float, ...]
    metrics: dict[str, float]
    metric: str

    def __init__(
        self,
        accuracy: float | None = None,
        failure: Failure | None = None,
        *,
        seconds: float = 0.0,
        device: str = "",
        curve: tuple[float, ...] = (),
        metrics: Mapping[str, float] | None = None,
        value: float | None = None,
        metric: str = ACCURACY,
    ) -> None:
        """Raises ValueError unless there is exactly one of accuracy, value and failure."""
        if sum(given is not None for given in (accuracy, value, failure)) != 1:
            raise ValueError("an outcome has either a value (such as an accuracy) or a failure")
        if accuracy is not None and metric != ACCURACY:
            raise ValueError(f"an outcome of the metric {metric} has a value, not an accuracy")
        value = accuracy if value is None else value
        fields = (value, failure, seconds, device, curve, {} if metrics is None else dict(metrics), metric)
        for each, given in zip(dataclasses.fields(self), fields, strict=True):
            object.__setattr__(self, each.name, given)  # the way into a frozen instance

    @property
    def accuracy(self) -> float | None:
        """The value, None after a failure. Raises AttributeError where the metric is not ACCURACY."""
        if self.metric != ACCURACY:
            raise AttributeError(f"this outcome has no accuracy: its value is of the metric {self.metric}")
        return self.value


Report = Callable[[int, float], bool]
"""report(epoch, value) -> go on? epoch counts from 1; False asks the evaluator to stop and return what it has."""


class Evaluator(Protocol):
    """Turns a request into an outcome. Must be picklable: worker processes get a copy and keep it for their life.

    A failure of the trial itself (no memory, NaN) is returned as `Outcome(failure=...)`; a value that is not finite is
    recorded as `diverged`. Anything raised is a defect of the evaluator, which the executor records as `crashed`
    with the exception's text, but memory that runs out: `oom`.

    An evaluator may have the methods of PreparesRun, Prepares, Releases and Times too; executors call those that are
    there.
    """

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome: ...


@runtime_checkable
class PreparesRun(Protocol):
    """An evaluator with something to do once for all workers: an executor calls it in the driver's process when it is
    opened, before workers get their copies, which so have whatever it left in the evaluator or on the disk.
    """

    def prepare_run(self) -> None: ...


@runtime_checkable
class Prepares(Protocol):
    """An evaluator with something to do once in each worker: called there before the first request, on the worker's
    device, and so again in a worker that takes the place of one that died. A worker has five minutes to get ready.

    Memory that runs out or a lost device is left for the first trial to meet; whatever else is raised ends the search.
    """

    def prepare(self, device: str) -> None: ...


@runtime_checkable
class Releases(Protocol):
    """An evaluator that keeps memory between requests, such as images: `release` frees it, on the worker's device.

    Called between requests, in every worker of a device that a trial is to have for itself; after it the worker serves
    on. What torch and the C library keep of freed memory is given back by the pool.
    """

    def release(self, device: str) -> None: ...


@dataclass(frozen=True)
class Probe:
    """Ask how fast a slot trains `arch`: a few steps, timed for at least `seconds`, after one that is not."""

    arch: ArchSpec
    seconds: float = 0.5


@dataclass(frozen=True)
class Timing:
    """One network on one slot. macs: of one image; train_step, eval_batch: seconds; batch, eval_batch_size: images.

    peak_bytes: the most memory that torch held on a GPU; on the CPU the most the process ever had. free_bytes,
    total_bytes: of the GPU's memory, right after the steps; 0 on the CPU.
    """

    macs: float
    train_step: float
    batch: float
    eval_batch: float
    eval_batch_size: float
    setup: float
    peak_bytes: float
    free_bytes: float = 0.0
    total_bytes: float = 0.0

    @property
    def images_per_second(self) -> float:
        """Training images a second."""
        return self.batch / self.train_step


@runtime_checkable
class Times(Protocol):
    """An evaluator that can tell how fast it is. Raises what its trainings raise."""

    def time(self, probe: Probe, device: str) -> Timing: ...
