"""The training of one network for a few epochs: the evaluator of a search."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from nas.evaluation import Failure, Outcome, Report, Request
from nas.proxy.dataset import Dataset
from nas.proxy.feed import Feed, open_feed
from nas.proxy.loop import DivergedError, Training, measure, out_of_memory, prepare_network, repeatable
from nas.proxy.recipe import Recipe, fast
from search_spaces import ArchSpec, build_network


@dataclass(frozen=True)
class ProxyEvaluator:
    """Trains a request's network on `dataset` by `recipe` and measures its accuracy.

    threads: for torch's operations on the CPU; part of what an outcome depends on, beside the request. None leaves
    torch as it is: executors set it for their slots. build(arch, num_classes) makes the network from torch's global
    random numbers.
    """

    dataset: Dataset
    recipe: Recipe = field(default_factory=fast)
    threads: int | None = None
    build: Callable[[ArchSpec, int], nn.Module] = build_network

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        """Train, reporting the val accuracy after each epoch, and return the accuracy on the request's split.

        Equal requests give equal bits with equal threads on one kind of device. For split "test" the training is the
        same, the accuracy is measured once at the end, and `val_accuracy` is among the metrics. Failures: `diverged`
        when the loss is not finite, `oom` when memory runs out.
        """
        start = time.perf_counter()
        if self.threads is not None:
            torch.set_num_threads(self.threads)
        place = torch.device(device)
        try:
            with repeatable(request.seed, place):
                outcome = self._run(request, place, report)
        except DivergedError as error:
            outcome = Outcome(failure=Failure("diverged", str(error)))
        except (MemoryError, RuntimeError) as error:
            line = out_of_memory(error)
            if line is None:
                raise
            outcome = Outcome(failure=Failure("oom", line))
        if outcome.failure is not None and place.type == "cuda":
            torch.cuda.empty_cache()
        return replace(outcome, seconds=time.perf_counter() - start, device=device)

    def _run(self, request: Request, device: torch.device, report: Report) -> Outcome:
        network = self._network(request).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        train = self._feed(request, "train", device)
        val = self._feed(request, "val", device)
        final = val if request.split == "val" else self._feed(request, request.split, device)
        training = Training(network, self.recipe, train, request.fidelity.epochs, request.seed, flip=self.dataset.flip)
        curve = tuple(_fit(training, val, report))
        if final is val:
            return Outcome(accuracy=curve[-1], curve=curve)
        return Outcome(accuracy=measure(training.result, final), curve=curve, metrics={"val_accuracy": curve[-1]})

    def _feed(self, request: Request, split: str, device: torch.device) -> Feed:
        resolution = max(1, round(request.arch.resolution * request.fidelity.resolution_factor))
        share = request.fidelity.train_fraction if split == "train" else 1.0
        return open_feed(
            self.dataset, split, device, share=share, resolution=resolution, channels=request.arch.input_channels
        )

    def _network(self, request: Request) -> nn.Module:
        return prepare_network(self.build, request.arch, self.dataset.num_classes, self.recipe, request.fidelity.epochs)


def _fit(training: Training, val: Feed, report: Report) -> list[float]:
    """Train to the end or until the report says stop; the val accuracy after each epoch."""
    curve: list[float] = []
    for epoch in range(1, training.epochs + 1):
        training.run_epoch(epoch)
        curve.append(measure(training.result, val))
        if not report(epoch, curve[-1]):
            break
    return curve
