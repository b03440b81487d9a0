"""Cheap evaluators, a tiny space and a command-line driver for the tests of the pool and the search."""

# ruff: noqa: ARG002  an evaluator takes all arguments of the seam

from __future__ import annotations

import os
import signal
import time
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.data.dataset import Dataset
from nas.evaluation import ACCURACY, Evaluator, Failure, Fidelity, Outcome, Probe, Report, Request, Timing
from search_spaces import ArchSpec, Choice, SearchSpace, StageSpec

FIDELITY = Fidelity(epochs=3)


def arch(channels: int = 8, kernel: int = 3, layers: int = 1) -> ArchSpec:
    return ArchSpec(stages=(StageSpec(channels=channels, kernel=kernel, layers=layers),), resolution=32)


def request(channels: int = 8, *, epochs: int = 3, seed: int = 0) -> Request:
    return Request(arch(channels), Fidelity(epochs=epochs), seed)


def decode(params: Mapping[str, Any]) -> ArchSpec:
    return arch(params["channels"], params["kernel"], params["layers"])


TINY = SearchSpace(
    "tiny",
    (Choice("channels", tuple(range(8, 72, 8))), Choice("kernel", (3, 5, 7)), Choice("layers", (1, 2, 3))),
    decode,
)


def formula(req: Request) -> float:
    """An accuracy in 0..1 that depends on the request alone."""
    return zlib.crc32(req.key.encode()) / 2**32


def note(path: str | None, line: str) -> None:
    if path is not None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(fd, f"{line}\n".encode())
        os.close(fd)


@dataclass(frozen=True)
class Formula:
    """Reports `formula` after each epoch of `delay` seconds; notes begin and end of each training in a file."""

    delay: float = 0.0
    log: str | None = None
    metric: str = ACCURACY

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.log, f"begin {request.key} {os.getpid()}")
        value = formula(request)
        for epoch in range(1, request.fidelity.epochs + 1):
            time.sleep(self.delay)
            if not report(epoch, value * epoch / request.fidelity.epochs):
                break
        note(self.log, f"end {request.key} {os.getpid()}")
        metrics = {"epochs": float(epoch), "threads": float(os.environ["OMP_NUM_THREADS"])}
        return Outcome(value=value, metric=self.metric, metrics=metrics)


@dataclass
class Prepared:
    """Notes in a file what is done once for all, once in each worker, and for each trial, with the process's id.

    fails: what preparing a worker, or the run, raises. prepared: how often this copy was.
    """

    log: str
    fails: BaseException | None = None
    fails_in_run: bool = False
    delay: float = 0.0
    prepared: int = 0
    run_prepared: int = 0

    def prepare_run(self) -> None:
        note(self.log, f"run {os.getpid()}")
        self.run_prepared += 1
        if self.fails is not None and self.fails_in_run:
            raise self.fails

    def prepare(self, device: str) -> None:
        note(self.log, f"prepare {os.getpid()} {device}")
        if self.fails is not None and not self.fails_in_run:
            raise self.fails
        self.prepared += 1

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.log, f"evaluate {os.getpid()}")
        report(1, 0.5)
        time.sleep(self.delay)
        return Outcome(
            accuracy=formula(request), metrics={"prepared": self.prepared, "run_prepared": self.run_prepared}
        )


@dataclass(frozen=True)
class Timed:
    """Notes when it begins to time; raises `error`, hangs at eight channels, or tells its process's id as MACs."""

    log: str | None = None
    error: BaseException | None = None

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        report(1, 0.5)
        time.sleep(1)
        return Outcome(accuracy=formula(request))

    def time(self, probe: Probe, device: str) -> Timing:
        note(self.log, f"time {os.getpid()}")
        if self.error is not None:
            raise self.error
        if probe.arch.stages[0].channels == 8:
            time.sleep(600)
        time.sleep(probe.seconds)
        return Timing(float(os.getpid()), 0.5, 32, 0.1, 64, 0.0, 0.0)


@dataclass(frozen=True)
class Raises:
    error: BaseException

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        report(1, 0.25)
        raise self.error


@dataclass(frozen=True)
class Returns:
    value: Any

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        return self.value  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Fails:
    """Fails the given way for architectures with `channels`, and gives `formula` for all others."""

    kind: str
    channels: int = 0
    log: str | None = None

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.log, f"begin {request.key} {os.getpid()}")
        if self.channels in (0, request.arch.stages[0].channels):
            return Outcome(failure=Failure(self.kind, "as asked"))
        return Outcome(accuracy=formula(request))


@dataclass(frozen=True)
class Dies:
    """Ends its process: by SIGKILL, or with an exit code; only the first `times` times when a marker file is given."""

    exit_code: int | None = None
    marker: str | None = None
    times: int = 1

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        report(1, 0.5)
        if self.marker is not None:
            note(self.marker, "try")
            if len(Path(self.marker).read_text().splitlines()) > self.times:
                return Outcome(accuracy=formula(request))
        if self.exit_code is not None:
            os._exit(self.exit_code)
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("still alive")


@dataclass(frozen=True)
class Hangs:
    """Reports one epoch and never returns; for 16 channels it gives `formula` at once."""

    pid_file: str | None = None

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.pid_file, str(os.getpid()))
        report(1, 0.5)
        if request.arch.stages[0].channels != 16:
            time.sleep(3600)
        return Outcome(accuracy=formula(request))


class OutOfMemoryError(RuntimeError):
    """What torch raises, by name: its own takes seconds to import."""


@dataclass(frozen=True)
class NeedsMemory:
    """Runs out of memory unless each batch is split into `parts`."""

    parts: int
    log: str | None = None
    delay: float = 0.0

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.log, str(request.micro_batches))
        time.sleep(self.delay)
        if request.micro_batches < self.parts:
            raise OutOfMemoryError("needs more")
        return Outcome(accuracy=formula(request))


class TellsKillOrder:
    """Tells how willing its process is to be ended by the kernel where memory runs out."""

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        return Outcome(accuracy=0.5, metrics={"order": float(Path("/proc/self/oom_score_adj").read_text())})


@dataclass(frozen=True)
class Crowds:
    """Runs out of memory while others run, which it sees by the files that they hold."""

    log: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        mine = Path(f"{self.log}.{os.getpid()}.running")
        mine.touch()
        time.sleep(0.5)
        others = len(list(mine.parent.glob("*.running"))) - 1
        time.sleep(0.2)
        mine.unlink()
        note(self.log, str(request.micro_batches))
        if others:
            raise OutOfMemoryError("too many here")
        return Outcome(accuracy=formula(request))


@dataclass(frozen=True)
class Keeps:
    """Keeps memory after each trial until it is asked to release it, as files of the folder show; a trial of 16
    channels runs out of memory while another process keeps any. Notes the parts of each batch, and the releases.
    """

    folder: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        mine = self._mine
        if request.arch.stages[0].channels == 16:
            note(f"{self.folder}/log", str(request.micro_batches))
            if set(mine.parent.glob("*.kept")) - {mine}:
                raise RuntimeError("CUDA error: out of memory")
        mine.touch()
        time.sleep(0.5)
        return Outcome(accuracy=formula(request))

    def release(self, device: str) -> None:
        note(f"{self.folder}/log", "release")
        self._mine.unlink(missing_ok=True)

    @property
    def _mine(self) -> Path:
        return Path(self.folder) / f"{os.getpid()}.kept"


@dataclass(frozen=True)
class LosesDevice:
    """Meets the error of a GPU that is gone, on one device."""

    device: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        if device == self.device:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return Outcome(accuracy=formula(request))


@dataclass(frozen=True)
class Noted:
    """Another evaluator, with begin and end of each training noted in a file."""

    inner: Evaluator
    log: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        note(self.log, f"begin {request.key} {os.getpid()}")
        outcome = self.inner.evaluate(request, device, report)
        note(self.log, f"end {request.key} {os.getpid()}")
        return outcome


def formula_for(_: Dataset) -> Formula:
    return Formula()


class Irregular:
    """The more the blocks of a network differ, the better: plain ones are behind."""

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        kinds = {(stage.op, stage.kernel, stage.layers) for stage in request.arch.stages}
        return Outcome((len(kinds) + formula(request)) / 10)


def irregular_for(_: Dataset) -> Irregular:
    return Irregular()


def noted_formula_for(dataset: Dataset) -> Formula:
    """For `--evaluator`: slow enough to be killed, noted in trainings.log of the run folder that holds the cache."""
    return Formula(delay=0.05, log=str(dataset.images_path.parents[2] / "trainings.log"))


class Unpicklable(Formula):
    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("cannot pickle\na lock")


def unpicklable_for(_: Dataset) -> Formula:
    return Unpicklable()


def noted_proxy(dataset: Dataset) -> Noted:
    """For `--evaluator`: the built-in training, noted in trainings.log of the run folder that holds the cache."""
    from nas.training.proxy import ProxyEvaluator  # noqa: PLC0415  loads torch, which most tests do without

    return Noted(ProxyEvaluator(dataset), str(dataset.images_path.parents[2] / "trainings.log"))


class Unloadable:
    """Can be pickled, but not read back."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (int, ("no number",))

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        raise AssertionError("never loaded")
