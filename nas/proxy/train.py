"""The training of one network for a few epochs: the evaluator of a search."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.evaluation import Failure, Outcome, Report, Request
from nas.proxy.augment import draw_epoch
from nas.proxy.dataset import Dataset
from nas.proxy.feed import Feed, open_feed
from nas.proxy.recipe import Recipe, fast
from search_spaces import ArchSpec, build_network
from search_spaces.network import branch_ends

EVAL_BATCH = {"cpu": 256, "cuda": 2048}
CHECK_EVERY = 50  # steps between looks at the loss; each look waits for the device


class DivergedError(ArithmeticError):
    """The loss is not a number any more."""


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
            with torch.random.fork_rng(devices=[place] if place.type == "cuda" else []), _deterministic():
                torch.manual_seed(request.seed)
                outcome = self._run(request, place, report)
        except DivergedError as error:
            outcome = Outcome(failure=Failure("diverged", str(error)))
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            outcome = Outcome(failure=Failure("oom", str(error).splitlines()[0] if str(error) else "out of memory"))
        if outcome.failure is not None and place.type == "cuda":
            torch.cuda.empty_cache()
        return replace(outcome, seconds=time.perf_counter() - start, device=device)

    def _run(self, request: Request, device: torch.device, report: Report) -> Outcome:
        network = self._network(request).to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        train = self._feed(request, "train", device)
        val = self._feed(request, "val", device)
        final = val if request.split == "val" else self._feed(request, request.split, device)
        curve = tuple(self._fit(network, request, train, val, report))
        if final is val:
            return Outcome(accuracy=curve[-1], curve=curve)
        return Outcome(accuracy=measure(network, final), curve=curve, metrics={"val_accuracy": curve[-1]})

    def _feed(self, request: Request, split: str, device: torch.device) -> Feed:
        resolution = max(1, round(request.arch.resolution * request.fidelity.resolution_factor))
        share = request.fidelity.train_fraction if split == "train" else 1.0
        return open_feed(
            self.dataset, split, device, share=share, resolution=resolution, channels=request.arch.input_channels
        )

    def _network(self, request: Request) -> nn.Module:
        factor = self.recipe.regularisation(request.fidelity.epochs)
        arch = replace(request.arch, dropout=request.arch.dropout * factor, drop_path=request.arch.drop_path * factor)
        network = self.build(arch, self.dataset.num_classes)
        if self.recipe.zero_branches:
            for norm in branch_ends(network):
                nn.init.zeros_(norm.weight)
        if self.recipe.norm_momentum is not None:
            for module in network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = self.recipe.norm_momentum
        return network

    def _fit(self, network: nn.Module, request: Request, train: Feed, val: Feed, report: Report) -> list[float]:
        """Train for the request's epochs or until the report says stop; the val accuracy after each."""
        recipe, epochs = self.recipe, request.fidelity.epochs
        batch = recipe.batch_for(len(train))
        steps = len(train) // batch
        optimizer = make_optimizer(network, recipe)
        curve: list[float] = []
        for epoch in range(1, epochs + 1):
            network.train()
            total = torch.zeros((), device=train.device)
            draws = draw_epoch(len(train), request.seed, epoch, train.device)
            for step, (images, labels) in enumerate(train.shuffled(batch, draws, recipe, flip=self.dataset.flip)):
                rate = recipe.rate_at(((epoch - 1) * steps + step + 0.5) / (epochs * steps), batch)
                for group in optimizer.param_groups:
                    group["lr"] = rate
                loss = F.cross_entropy(network(images), labels, label_smoothing=recipe.label_smoothing)
                total += _descend(optimizer, loss)
                if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                    _check_finite(total, f"the training loss is not finite in epoch {epoch}, step {step + 1}")
            curve.append(measure(network, val))
            if not report(epoch, curve[-1]):
                break
        return curve


def make_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum; weight decay on weights of two dimensions or more, so not on norms and biases."""
    weights = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim <= 1]
    groups = [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=True, fused=True)


def _descend(optimizer: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """One step of gradient descent; the loss, detached and not waited for."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss.detach()


@torch.inference_mode()
def measure(network: nn.Module, feed: Feed) -> float:
    """The accuracy in 0..1 over all images of the feed. Raises DivergedError when a logit is not finite."""
    network.eval()
    correct = torch.zeros((), dtype=torch.int64, device=feed.device)
    total = torch.zeros((), device=feed.device)
    for images, labels in feed.in_order(EVAL_BATCH[feed.device.type]):
        logits = network(images)
        correct += (logits.argmax(1) == labels).sum()
        total += logits.abs().mean()
    _check_finite(total, "the network's outputs are not finite")
    return int(correct) / len(feed)


def _check_finite(value: Tensor, message: str) -> None:
    if not math.isfinite(float(value)):
        raise DivergedError(message)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _deterministic() -> AbstractContextManager[None]:
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    return flags
