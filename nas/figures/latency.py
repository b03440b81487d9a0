"""Latency of networks: measured on the device at hand, kept by network, and predicted for those not measured."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from nas.figures.figure import Figure, Floats, Rows, members
from nas.figures.latency_model import LEAST, LatencyModel, features, spread_out
from nas.files import read_json, replace_text
from nas.machine import quiet_onnxruntime, quietly, wait_for
from search_spaces import ArchSpec, SearchSpace

BACKENDS = ("torch", "onnxruntime")
AT_ONCE = 5
"""So many networks are measured before it is asked anew which would tell most."""


class Setup(Protocol):
    """A way to measure latencies. words: all that they depend on but the network, its classes and the machine."""

    @property
    def words(self) -> str: ...

    def measure(self, arch: ArchSpec, num_classes: int) -> float:
        """Milliseconds for one batch. Raises ValueError where they cannot be had."""
        ...


@dataclass(frozen=True)
class LatencySetup:
    """How a latency is measured: the median over `repeats` runs of one batch after `warmup` runs, in milliseconds.

    device: torch's name. backend: one of BACKENDS (onnxruntime on the CPU alone). threads: of the CPU. On a GPU of
    NVIDIA's or AMD's the kernels are captured once as a graph and replayed, as programs that serve networks do: without
    it a small network takes as long as Python needs to launch its kernels. Weights and images are random: what a
    network computes does not change how long it takes. Raises ValueError out of range.
    """

    device: str = "cpu"
    backend: str = "torch"
    batch: int = 1
    threads: int = 1
    warmup: int = 5
    repeats: int = 30

    def __post_init__(self) -> None:
        if self.backend not in BACKENDS:
            raise ValueError(f"latency backend must be one of {', '.join(BACKENDS)}, not {self.backend!r}")
        if self.backend == "onnxruntime" and self.device != "cpu":
            raise ValueError(f"ONNX Runtime is measured on the cpu, not on {self.device}")
        for name in ("batch", "threads", "repeats"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} of a latency must be at least 1, not {getattr(self, name)}")

    @property
    def words(self) -> str:
        """Everything that a latency depends on but the network, its classes and the machine."""
        captured = " by a captured graph" if self.captured else ""
        return f"{self.backend}, {self.device}{captured}, batch {self.batch}, {self.threads} thread(s)"

    @property
    def captured(self) -> bool:
        """Whether kernels are replayed from a graph."""
        return self.device.startswith("cuda")

    def measure(self, arch: ArchSpec, num_classes: int) -> float:
        """As `measure_latency`."""
        return measure_latency(arch, self, num_classes)


def measure_latency(arch: ArchSpec, setup: LatencySetup, num_classes: int = 1000) -> float:
    """Milliseconds for one batch at the architecture's resolution. Raises ImportError where the backend is missing."""
    import torch  # noqa: PLC0415  seconds to load, and most of this module does without

    before = torch.get_num_threads()
    torch.set_num_threads(setup.threads)
    try:
        with torch.inference_mode():
            network, images = drawn(arch, num_classes, setup.batch, setup.device)
            if setup.backend == "onnxruntime":
                return _median(_onnx_runner(network, images, setup.threads), setup)
            device = torch.device(setup.device)
            forward = _captured(network, images, device) if setup.captured else partial(network, images)

            def run() -> None:
                forward()
                wait_for(device)

            return _median(run, setup)
    finally:
        torch.set_num_threads(before)


def drawn(arch: ArchSpec, num_classes: int, batch: int, device: str = "cpu") -> tuple[Any, Any]:
    """The network with random weights, in evaluation mode, and a batch of random images, on the device."""
    import torch  # noqa: PLC0415

    from search_spaces import build_network  # noqa: PLC0415

    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = build_network(arch, num_classes).eval().to(device)
        images = torch.randn(batch, arch.input_channels, arch.resolution, arch.resolution, device=device)
    return network, images


def onnx_program(network: Any, images: Any) -> Any:
    """The network as torch's exporter makes it for these very images, with input `images` and output `logits`.

    Raises ImportError without the exporter's packages.
    """
    import torch  # noqa: PLC0415

    with quietly():
        program = torch.onnx.export(
            network, (images,), dynamo=True, input_names=["images"], output_names=["logits"], verbose=False
        )
    assert program is not None
    return program


def _median(run: Callable[[], object], setup: LatencySetup) -> float:
    for _ in range(setup.warmup):
        run()
    times = []
    for _ in range(setup.repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def _captured(network: Any, images: Any, device: Any) -> Callable[[], object]:
    """The forward pass on the device as a graph to replay."""
    import torch  # noqa: PLC0415

    with torch.cuda.device(device):
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # what libraries set up at a first run must not be captured
            for _ in range(3):
                network(images)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            network(images)
    replay: Callable[[], object] = graph.replay
    return replay


def _onnx_runner(network: Any, images: Any, threads: int) -> Callable[[], object]:
    program = onnx_program(network, images)
    onnxruntime = quiet_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    feed = {"images": images.numpy()}
    return lambda: session.run(None, feed)


@dataclass
class LatencyBook:
    """Latencies by network, kept in a JSON file: each network is measured once for a setup and a number of classes."""

    path: Path
    setup: Setup
    num_classes: int
    _known: dict[str, float] | None = field(default=None, init=False)

    def __call__(self, arch: ArchSpec) -> float:
        """Milliseconds for one batch, from the file where it is known."""
        known = self.known
        if arch.id not in known:
            known[arch.id] = self.setup.measure(arch, self.num_classes)
            self._save()
        return known[arch.id]

    @property
    def known(self) -> dict[str, float]:
        """What has been measured so far, by architecture id."""
        if self._known is None:
            self._known = dict(self._file().get(self._key, {}))
        return self._known

    @property
    def _key(self) -> str:
        return f"{self.setup.words}, {self.num_classes} classes"

    def _file(self) -> dict[str, dict[str, float]]:
        try:
            content = read_json(self.path)
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise ValueError(f"{self.path}: {error}; remove it to measure anew") from None
        if not isinstance(content, dict) or not all(map(_are_latencies, content.values())):
            raise ValueError(f"{self.path}: holds no latencies; remove it to measure anew")
        return content

    def _save(self) -> None:
        content = json.dumps({**self._file(), self._key: self._known}, indent=1)
        replace_text(self.path, content, durable=False)  # once a network: it is soon measured again


def _are_latencies(value: Any) -> bool:
    return isinstance(value, dict) and all(
        type(each) in (int, float) and 0 <= each < float("inf") for each in value.values()
    )


@dataclass(frozen=True, eq=False)
class Latency(Figure):
    """Milliseconds for one batch: measured of some networks of a space, and of all others predicted from these."""

    book: LatencyBook
    model: LatencyModel
    name = "latency"
    unit = "ms"
    words = "latency"

    @classmethod
    def fit(cls, book: LatencyBook, archs: Sequence[ArchSpec], count: int, note: Callable[[int], None]) -> Latency:
        """Measure `count` of the architectures, LEAST of them at least, and fit a model to these. note: how many are
        done.

        The first are those that differ most; which come next the model says that is fitted to those before: the ones
        that would tell most of all. Raises what `LatencyModel.fit` and the measurements raise.
        """
        if len(archs) < LEAST:
            raise ValueError(f"a model of latency needs at least {LEAST} networks, and the space gave {len(archs)}")
        x = np.array([features(arch, book.num_classes) for arch in archs])
        count = min(len(archs), max(count, LEAST))
        chosen, latencies = list[int](), list[float]()
        following = spread_out(x, LEAST)
        while following:
            for place in following:
                latencies.append(book(archs[place]))
                note(len(latencies))
            chosen += following
            model = LatencyModel.fit([archs[place] for place in chosen], latencies, book.num_classes)
            following = model.regressor.most_telling(x, chosen, min(AT_ONCE, count - len(chosen)))
        return cls(book, model)

    @property
    def how(self) -> str:
        return f"latency: {self.book.setup.words}"

    def of(self, arch: ArchSpec) -> float:
        return self.model(arch)

    def exact(self, arch: ArchSpec) -> float:
        return self.book(arch)

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        values, found = np.full(len(rows), np.nan), members(space, rows)
        values[list(found)] = self.model.predict(list(found.values()))
        return values
