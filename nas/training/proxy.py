"""The training of one network for a few epochs: the evaluator of a search."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import nn

from nas.data.dataset import Dataset
from nas.data.feed import Feed, open_feed
from nas.evaluation import Failure, Outcome, Report, Request
from nas.kernels.fast_path import accelerate
from nas.training.checkpoint import CheckpointError, Checkpoints, TrainingState, trial_checkpoints
from nas.training.loop import (
    DivergedError,
    Training,
    images_watched,
    measure,
    out_of_memory,
    prepare_network,
    repeatable,
)
from nas.training.recipe import Recipe, fast
from search_spaces import ArchSpec, build_network


@dataclass(frozen=True)
class ProxyEvaluator:
    """Trains a request's network on `dataset` by `recipe` and measures its accuracy.

    threads: for torch's operations on the CPU; part of what an outcome depends on, beside the request. None leaves
    torch as it is: executors set it for their slots. build(arch, num_classes) makes the network from torch's global
    random numbers. checkpoints: a folder where a training that takes longer than `checkpoint_after` seconds is kept
    after each epoch, so that the same request goes on from there after a kill (see trial_checkpoints); whoever has
    stored its outcome removes it. plain: with torch's own depthwise gradients on the CPU too.
    """

    dataset: Dataset
    recipe: Recipe = field(default_factory=fast)
    threads: int | None = None
    build: Callable[[ArchSpec, int], nn.Module] = build_network
    checkpoints: Path | None = None
    checkpoint_after: float = 60.0
    plain: bool = False

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        """Train, reporting the val accuracy after each epoch, and return the accuracy on the request's split.

        Until the last epoch the reported accuracy is that on a sample of val (see images_watched).

        Equal requests give equal bits with equal threads on one kind of device, unless batches are in parts (see
        Request.micro_batches): the batch norms then see smaller ones. For split "test" the training is the
        same, the accuracy is measured once at the end, and `val_accuracy` is among the metrics. Failures: `diverged`
        when the loss is not finite, `oom` when memory runs out.
        """
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

    def _run_repeatably(self, request: Request, device: torch.device, report: Report) -> Outcome:
        kept = None if self.checkpoints is None else trial_checkpoints(self.checkpoints, request)
        try:
            with repeatable(request.seed, device):
                return self._run(request, device, report, kept)
        except CheckpointError:
            assert kept is not None
            kept.remove()
        with repeatable(request.seed, device):
            return self._run(request, device, report, kept)

    def _run(self, request: Request, device: torch.device, report: Report, kept: Checkpoints | None) -> Outcome:
        """The outcome, its seconds those of earlier tries."""
        network = self.network(request.arch, request.fidelity.epochs, device)
        train = self._feed(request, "train", device)
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
        )
        before = (kept.restore(training) if kept is not None else None) or TrainingState()
        curve = tuple(self._fit(training, val, report, before, kept))
        if final is val:
            return Outcome(accuracy=curve[-1], curve=curve, seconds=before.seconds)
        accuracy = measure(training.result, final, request.micro_batches)
        return Outcome(accuracy=accuracy, curve=curve, seconds=before.seconds, metrics={"val_accuracy": curve[-1]})

    def _fit(
        self, training: Training, val: Feed, report: Report, progress: TrainingState, kept: Checkpoints | None
    ) -> list[float]:
        """Train to the end or until the report says stop; the val accuracy after each epoch, all of them reported."""
        go_on = True
        few = val.sample(images_watched(len(training.train), len(val)))
        for epoch, accuracy in enumerate(progress.curve, 1):
            go_on &= report(epoch, accuracy)
        for epoch in range(len(progress.curve) + 1, training.epochs + 1):
            if not go_on:
                break
            start = time.perf_counter()
            training.run_epoch(epoch)
            accuracy = measure(training.result, val if epoch == training.epochs else few, training.micro_batches)
            progress = progress.after(accuracy, time.perf_counter() - start)
            go_on = report(epoch, accuracy)
            if kept is not None and epoch < training.epochs:
                self._keep(training, progress, kept)
        return list(progress.curve)

    def _keep(self, training: Training, progress: TrainingState, kept: Checkpoints) -> None:
        if progress.seconds / len(progress.curve) * training.epochs > self.checkpoint_after:
            with contextlib.suppress(OSError):  # a full disk costs the way back, not the training
                kept.save(training, progress)

    def _feed(self, request: Request, split: str, device: torch.device) -> Feed:
        resolution = max(1, round(request.arch.resolution * request.fidelity.resolution_factor))
        share = request.fidelity.train_fraction if split == "train" else 1.0
        return open_feed(
            self.dataset, split, device, share=share, resolution=resolution, channels=request.arch.input_channels
        )

    def network(self, arch: ArchSpec, epochs: int, device: torch.device) -> nn.Module:
        """A fresh network for a training of `epochs` on `device`."""
        fresh = prepare_network(self.build, arch, self.dataset.num_classes, self.recipe, epochs)
        network: nn.Module = fresh.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if device.type == "cpu" and not self.plain:
            accelerate(network)
        return network
