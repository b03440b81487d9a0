"""The training of one network for a few epochs: the evaluator of a search."""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch
from torch import nn

from nas.data.dataset import Dataset
from nas.data.feed import Feed, forget, in_grey, open_feed
from nas.evaluation import Failure, Fidelity, Outcome, Probe, Report, Request, Timing, with_int8
from nas.failure_causes import out_of_memory
from nas.kernels.fast_path import available
from nas.training.adapted import Adapted, Normalisation, Sight
from nas.training.checkpoint import CheckpointError, Checkpoints, TrainingState, save_weights, trial_checkpoints
from nas.training.fit import Validation, fit
from nas.training.int8 import Quantised, quantise
from nas.training.loop import DivergedError, Training, place_network, prepare_network
from nas.training.numerics import FLOAT32, method_of, repeatable
from nas.training.objective import FROM_SCRATCH, INT8, Objective
from nas.training.recipe import Recipe, fast
from nas.training.speed import time_training
from search_spaces import ArchSpec, build_network, network_cost


@dataclass(frozen=True)
class Keep:
    """The trainings whose weights are kept in `folder`: those measured on `split`, as only final ones are on test."""

    folder: Path
    split: str

    def file(self, request: Request) -> Path | None:
        """Where the weights of a request's training are kept; None where they are not."""
        if request.split != self.split:
            return None
        method = f"-{hashlib.sha256(request.method.encode()).hexdigest()[:8]}" if request.method else ""
        return self.folder / f"{request.arch.id}-{request.seed}{method}.safetensors"


@dataclass(frozen=True)
class ProxyEvaluator:
    """Trains a request's network on `dataset` by `recipe` and measures its accuracy.

    threads: for torch's operations on the CPU; part of what an outcome depends on, beside the request. None leaves
    torch as it is: executors set it for their slots. build(arch, num_classes) makes the network from torch's global
    random numbers. checkpoints: a folder where a training that takes longer than `checkpoint_after` seconds is kept
    after each epoch, so that the same request goes on from there after a kill (see trial_checkpoints); whoever has
    stored its outcome removes it. plain: with torch's own depthwise gradients on the CPU too. objective: what is
    minimised and measured. numerics: of `nas.training.numerics.NUMERICS`. Requests must ask for the evaluator's
    `method`, in Request(method=...) or SearchPlan(method=...), or for that of one of the evaluators `beside` it, which
    then answers. noted: what its method says besides, such as another recipe. keep: the trainings whose weights are
    kept; where they cannot be written, the training counts all the same.
    """

    dataset: Dataset
    recipe: Recipe = field(default_factory=fast)
    threads: int | None = None
    build: Callable[[ArchSpec, int], nn.Module] = build_network
    checkpoints: Path | None = None
    checkpoint_after: float = 60.0
    plain: bool = False
    objective: Objective = FROM_SCRATCH
    numerics: str = FLOAT32
    keep: Keep | None = None
    noted: str = ""
    beside: tuple[ProxyEvaluator, ...] = ()

    @property
    def method(self) -> str:
        """What tells its figures from the accuracy of a training from scratch in float32, which is ""."""
        return ",".join(filter(None, (self.objective.method, method_of(self.numerics), self.noted)))

    def of_method(self, method: str) -> ProxyEvaluator:
        """That of this one and those beside it which answers requests for `method`. Raises ValueError for others."""
        found = next((each for each in (self, *self.beside) if method in (each.method, with_int8(each.method))), None)
        if found is None:
            raise ValueError(f"the request asks for the method {method!r}, the evaluator's is {self.method!r}")
        return found

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        """Train, reporting the objective's metric on val after each epoch, and return it on the request's split.

        Until the last epoch the reported value is that on a sample of val (see images_watched).

        Equal requests give equal bits with equal threads on one kind of device, unless batches are in parts (see
        Request.micro_batches): the batch norms then see smaller ones. For split "test" the training is the
        same, the test images are measured on once, at the end, and `val_accuracy` is among the metrics. Where the
        request's method is `with_int8(method)`, the metric after quantisation is among them, as `int8`. Failures:
        `diverged` when the loss is not finite, `oom` when memory runs out. Raises ValueError where the request asks for
        another method than the evaluator's.
        """
        asked = self.of_method(request.method)
        if asked is not self:
            return asked.evaluate(request, device, report)
        start = time.perf_counter()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        place = torch.device(device)
        try:
            outcome = self._run_repeatably(request, place, report)
        except DivergedError as error:
            outcome = Outcome(failure=Failure("diverged", str(error)))
        except (MemoryError, RuntimeError) as error:
            line = out_of_memory(error)
            if line is None:
                raise
            outcome = Outcome(failure=Failure("oom", line))
        if outcome.failure is not None and place.type == "cuda":
            torch.cuda.empty_cache()
        seconds = outcome.seconds + time.perf_counter() - start
        parts = {"micro_batches": float(request.micro_batches)} if request.micro_batches > 1 else {}
        return replace(outcome, seconds=seconds, device=device, metrics={**outcome.metrics, **parts})

    def prepare(self, device: str) -> None:
        """Once in each worker, so that its first training need not: check our operations, or wake the GPU up."""
        place = torch.device(device)
        if place.type == "cuda":
            torch.zeros(1, device=place)
        elif not self.plain:
            available()

    def release(self, device: str) -> None:
        """Take the images, and the teacher if there is one, off the device."""
        forget(torch.device(device))
        for each in (self, *self.beside):
            each.objective.place(torch.device("cpu"))

    def time(self, probe: Probe, device: str) -> Timing:
        """How fast full batches of the probe's network are trained and evaluated."""
        place, arch = torch.device(device), probe.arch
        macs = float(network_cost(arch, None, self.dataset.num_classes).macs)

        def make() -> Training:
            network = replace(self, objective=FROM_SCRATCH).network(arch, 1, place)
            dataset = in_grey(self.dataset) if arch.input_channels == 1 else self.dataset
            feed, view = replace(self, dataset=dataset)._train_feed(Request(arch, Fidelity(1)), place)
            return Training(network, self.recipe, feed, 1, 0, flip=dataset.flip, numerics=self.numerics, view=view)

        with repeatable(0, place, self.numerics):
            return time_training(make, place, self.objective, macs, probe.seconds)

    def _run_repeatably(self, request: Request, device: torch.device, report: Report) -> Outcome:
        kept = None
        if self.checkpoints is not None:
            kept = trial_checkpoints(self.checkpoints, request, self.checkpoint_after)
        try:
            with repeatable(request.seed, device, self.numerics):
                return self._run(request, device, report, kept)
        except CheckpointError:
            assert kept is not None
            kept.remove()
        with repeatable(request.seed, device, self.numerics):
            return self._run(request, device, report, kept)

    def _run(self, request: Request, device: torch.device, report: Report, kept: Checkpoints | None) -> Outcome:
        """The outcome, its seconds those of earlier tries."""
        network = self.network(request.arch, request.fidelity.epochs, device)
        train, view = self._train_feed(request, device)
        val = self._feed(request, "val", device)
        final = val if request.split == "val" else self._feed(request, request.split, device)
        training = Training(
            network,
            self.recipe,
            train,
            request.fidelity.epochs,
            request.seed,
            self.dataset.flip,
            micro_batches=request.micro_batches,
            numerics=self.numerics,
            view=view,
        )

        def on_epoch(state: TrainingState) -> bool:
            return all([report(epoch, state.curve[epoch - 1]) for epoch in state.news])  # noqa: C419  all are told

        state = fit(training, self.objective, Validation.of_proxy(val, len(train)), kept, on_epoch)
        value, metrics = self._measured(training, request, val, final, state.curve[-1])
        file = None if self.keep is None else self.keep.file(request)
        if file is not None:
            with contextlib.suppress(OSError):
                file.parent.mkdir(parents=True, exist_ok=True)
                save_weights(training.result, file, durable=False)
        name = self.objective.metric.name
        return Outcome(value=value, metric=name, curve=state.curve, seconds=state.earlier, metrics=metrics)

    def _measured(
        self, training: Training, request: Request, val: Feed, final: Feed, last: float
    ) -> tuple[float, dict[str, float]]:
        """The value on the request's split, `final`, and what is measured beside it. last: the value on val after the
        last epoch."""
        metric = self.objective.metric

        def measure(feed: Feed) -> float:
            return training.measure(feed, metric) if metric != INT8 else in_int8(feed)

        def in_int8(feed: Feed) -> float:
            return metric.of(quantised().predict(feed), feed.labels)

        @cache
        def quantised() -> Quantised:
            network = self.build(request.arch, self.dataset.num_classes)
            network.load_state_dict(training.result.state_dict())
            return quantise(network.cpu(), self._feed(request, "train", training.train.device))

        if metric == INT8:
            last = in_int8(val)
        metrics = {} if final is val else {f"val_{metric.name}": last}
        value = last if final is val else measure(final)
        if request.method != self.method:
            metrics[INT8.name] = in_int8(final)
        return value, metrics

    def _feed(self, request: Request, split: str, device: torch.device) -> Feed:
        share = request.fidelity.train_fraction if split == "train" else 1.0
        return open_feed(
            self.dataset, split, device,
            share=share, resolution=self._resolution(request), channels=request.arch.input_channels,
        )  # fmt: skip

    def _train_feed(self, request: Request, device: torch.device) -> tuple[Feed, nn.Module | None]:
        """The images of train. If a teacher sees them differently from the network: images that suit both, and what
        turns them into the network's."""
        own = Normalisation(self.dataset.mean, self.dataset.std)
        sight, repeated = Sight(self._resolution(request), own), request.arch.input_channels // len(own.mean)
        sees = None if self.objective.teacher is None else self.objective.teacher.sees
        if sees is None or sees == sight or not repeated:  # a network of fewer channels than the images is refused
            return self._feed(request, "train", device), None
        given = sees.normalisation
        # Images that were enlarged or made smaller for one of the two would be blurred for the other: both get the
        # cached ones, and make of them what they need.
        size = sight.resolution if sees.resolution == sight.resolution else self.dataset.size
        feed = open_feed(
            replace(self.dataset, mean=tuple(given.mean), std=tuple(given.std)), "train", device,
            share=request.fidelity.train_fraction, resolution=size,
            channels=max(request.arch.input_channels, self.dataset.channels),
        )  # fmt: skip
        own = Normalisation(tuple(own.mean) * repeated, tuple(own.std) * repeated)
        return feed, Adapted(nn.Identity(), sight.resolution, own, given).to(device)

    @staticmethod
    def _resolution(request: Request) -> int:
        return max(1, round(request.arch.resolution * request.fidelity.resolution_factor))

    def network(self, arch: ArchSpec, epochs: int, device: torch.device) -> nn.Module:
        """A network on `device` as a training of `epochs` begins with it."""
        network = prepare_network(self.build, arch, self.dataset.num_classes, self.recipe, epochs)
        if self.objective.initial is not None:
            self.objective.initial.load_into(network)
        return place_network(network, device, plain=self.plain)
