"""The training loop of one network, epoch by epoch: short trainings of a search and full ones run the same."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from nas.data.augment import draw_epoch
from nas.data.feed import Feed
from nas.kernels.fast_path import accelerate
from nas.kernels.norm import count_batches, leave_uncounted
from nas.kernels.sampled import swap_strided
from nas.training.numerics import FLOAT32, mixed
from nas.training.objective import FROM_SCRATCH, Metric, Objective
from nas.training.optimizer import Average, make_optimizer, set_rate
from nas.training.recipe import Recipe
from search_spaces import ArchSpec
from search_spaces.network import branch_ends

EVAL_BATCH = 2048
"""Images that are evaluated at once at most."""
CHECK_EVERY = 50  # steps between looks at the loss; each look waits for the device
_WATCHED = 1000


class DivergedError(ArithmeticError):
    """The loss is not a number any more."""


def prepare_network(
    build: Callable[[ArchSpec, int], nn.Module], arch: ArchSpec, num_classes: int, recipe: Recipe, epochs: int
) -> nn.Module:
    """A fresh network as `recipe` begins with it, regularised for a training of `epochs`."""
    factor = recipe.regularisation(epochs)
    network = build(replace(arch, dropout=arch.dropout * factor, drop_path=arch.drop_path * factor), num_classes)
    if recipe.zero_branches:
        for norm in branch_ends(network):
            nn.init.zeros_(norm.weight)
    if recipe.norm_momentum is not None:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = recipe.norm_momentum
    return network


def place_network(network: nn.Module, device: torch.device, *, plain: bool = False) -> nn.Module:
    """The network on `device` in channels_last layout, to be trained there by `Training`.

    On the CPU its strided convolutions of one pixel are computed in a way that is safe (see swap_strided). Unless
    `plain`, its norms leave the counting of batches to the training, and on the CPU it has our compiled operations.
    """
    network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if device.type == "cpu":
        swap_strided(network)
    if not plain:
        if device.type == "cpu":
            accelerate(network)
        leave_uncounted(network)
    return network


@dataclass
class Training:
    """A network on its way through `epochs` of `recipe` on the images of `train`.

    seed: orders and augments the images of each epoch; dropout and stochastic depth draw from torch's global numbers.
    flip: whether a mirrored image still shows its class. body_rate: the factor on the rate of all but the classifier.
    micro_batches: the parts that each batch is computed in, their gradients summed, to save memory; the steps are those
    of whole batches, but batch norms are given the statistics of the parts. numerics: of NUMERICS; but for bfloat16
    it takes effect within `repeatable`. on_step: is told after each step which of how many steps of which epoch it was.
    view: what the network is given of a batch, where that is not the batch itself, which is for the objective then.
    """

    network: nn.Module
    recipe: Recipe
    train: Feed
    epochs: int
    seed: int
    flip: bool
    body_rate: float = 1.0
    micro_batches: int = 1
    numerics: str = FLOAT32
    on_step: Callable[[int, int, int], None] | None = None
    view: Callable[[Tensor], Tensor] | None = None
    optimizer: torch.optim.Optimizer = field(init=False)
    average: Average | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.optimizer = make_optimizer(self.network, self.recipe, self.body_rate)
        if self.recipe.average is not None:
            self.average = Average(self.network, self.recipe.average)

    @property
    def batch(self) -> int:
        """Images that are computed at once in a step, at least."""
        return max(1, self.recipe.batch_for(len(self.train)) // self.micro_batches)

    @cached_property
    def eval_batch(self) -> int:
        """Images to evaluate at once: as many as need no more memory than a step."""
        images, _ = next(self.train.in_order(1))
        return images_at_once(self.network, self.given(images), self.batch, self.train.images[0].numel())

    @property
    def result(self) -> nn.Module:
        """What is measured and kept: the averaged network where the recipe averages, else the network itself."""
        return self.network if self.average is None else self.average.network

    def run_epoch(self, epoch: int, objective: Objective = FROM_SCRATCH) -> None:
        """Train for epoch `epoch` (from 1). Raises DivergedError when the loss is not finite."""
        recipe = self.recipe
        batch = recipe.batch_for(len(self.train))
        steps = len(self.train) // batch
        self.network.train()
        total = torch.zeros((), device=self.train.device)
        for step, (images, labels) in enumerate(self.batches(epoch, batch)):
            progress = ((epoch - 1) * steps + step + 0.5) / (self.epochs * steps)
            set_rate(self.optimizer, recipe.rate_at(progress, batch, self.epochs))
            total += self.step(images, labels, objective)
            if self.average is not None:
                self.average.update(self.network)
            if (step + 1) % CHECK_EVERY == 0 or step + 1 == steps:
                _check_finite(total, f"the training loss is not finite in epoch {epoch}, step {step + 1}")
            if self.on_step is not None:
                self.on_step(epoch, step + 1, steps)
        count_batches(self.network, steps * self.micro_batches)

    def batches(self, epoch: int, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """The augmented batches of an epoch: images (size, channels, R, R) and labels (size,)."""
        feed, augmentation = self.train, self.recipe.augmentation
        draws = draw_epoch(len(feed), self.seed, epoch, feed.images.device, auto_augment=augmentation.auto_augment)
        return feed.shuffled(size, draws, augmentation, flip=self.flip)

    def step(self, images: Tensor, labels: Tensor, objective: Objective = FROM_SCRATCH) -> Tensor:
        """One step of gradient descent; the loss, detached and not waited for."""
        self.optimizer.zero_grad(set_to_none=True)
        losses = []
        for part, answers in zip(images.chunk(self.micro_batches), labels.chunk(self.micro_batches), strict=True):
            with mixed(self.numerics, labels.device):
                loss = objective.loss_of(self.network(self.given(part)), part, answers, self.recipe.label_smoothing)
            if len(answers) < len(labels):
                loss = loss * (len(answers) / len(labels))
            loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss.detach())
        self.optimizer.step()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def given(self, images: Tensor) -> Tensor:
        """A batch as the network is given it."""
        return images if self.view is None else self.view(images)

    def measure(self, feed: Feed, metric: Metric) -> float:
        """The metric's value of the training's result over all images of the feed. Raises what `predict` does."""
        return metric.of(self.predict(feed), feed.labels)

    def predict(self, feed: Feed) -> Tensor:
        """The class (N,) that the training's result gives each image of the feed. Raises what `predict` does."""
        with mixed(self.numerics, feed.device):
            return predict(self.result, feed, self.eval_batch)


@torch.inference_mode()
def images_at_once(network: nn.Module, image: Tensor, batch: int, pixels: int = 0) -> int:
    """How many images may be evaluated at once in the memory that a training step on `batch` of them takes.

    A step keeps, until it goes backwards, what all layers with weights write: convolutions, norms, linear layers (what
    others do may be done in place). Evaluation holds what one layer reads and writes, and two maps beside it
    where there is a shortcut. image: one, as the network takes it (1, C, R, R); pixels: values of one as it is held, of
    which floats are made, too.
    """
    kept, held, largest = 0, 0, image.numel()

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal kept, held, largest
        kept += output.numel() if any(True for _ in module.parameters(recurse=False)) else 0
        held = max(held, inputs[0].numel() + output.numel())
        largest = max(largest, output.numel())

    hooks = [module.register_forward_hook(note) for module in network.modules() if not list(module.children())]
    training = network.training
    network.eval()
    try:
        network(image)
    finally:
        network.train(training)
        for hook in hooks:
            hook.remove()
    most = max(held + 2 * largest, 2 * pixels)
    return max(1, min(EVAL_BATCH, batch * kept // most if held else batch))


@torch.inference_mode()
def predict(network: nn.Module, feed: Feed, size: int = 256) -> Tensor:
    """The class (N,) that the network gives each image of the feed, in batches of `size`.

    Raises DivergedError when a logit is not finite.
    """
    network.eval()
    predicted = torch.empty_like(feed.labels)
    done = 0
    total = torch.zeros((), device=feed.device)
    for images, _ in feed.in_order(size):
        logits = network(images)
        predicted[done : done + len(images)] = logits.argmax(1)
        done += len(images)
        total += logits.abs().mean()
    _check_finite(total, "the network's outputs are not finite")
    return predicted


@torch.inference_mode()
def probabilities(network: nn.Module, feed: Feed, size: int = 256) -> Tensor:
    """The probability (N, classes) that the network gives each class of each image of the feed, on the CPU."""
    network.eval()
    return torch.cat([network(images).float().softmax(1).cpu() for images, _ in feed.in_order(size)])


def images_watched(train: int, val: int) -> int:
    """On how many of `val` images a training on `train` is measured after each epoch but the last, which gets all.

    One for four trained on, so that watching costs about a twelfth of training, but 1000 where there are, since fewer
    could not tell good trainings from poor ones.
    """
    return min(val, max(_WATCHED, train // 4))


def images_measured(epochs: int, train: int, val: int) -> int:
    """On how many of `val` images a training of `epochs` on `train` is measured in all."""
    return (epochs - 1) * images_watched(train, val) + val


def _check_finite(value: Tensor, message: str) -> None:
    if not math.isfinite(float(value)):
        raise DivergedError(message)
