"""How a network is trained: values only. Named functions return the recipes there are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from nas.data.augment import Augmentation


@dataclass(frozen=True)
class OneCycle:
    """The rate rises to its peak over the first `warmup` (a share of all steps), then falls to 0 along a cosine."""

    warmup: float

    def rate(self, peak: float, progress: float, epochs: int) -> float:  # noqa: ARG002  the same at every length
        """The learning rate at a progress in 0..1 of all steps."""
        if progress < self.warmup:
            return peak * progress / self.warmup
        return peak * 0.5 * (1 + math.cos(math.pi * (progress - self.warmup) / (1 - self.warmup)))


@dataclass(frozen=True)
class Staircase:
    """The rate is multiplied by `factor` every `every` epochs, counted from the first.

    It rises from 0 over the first `warmup` epochs, but over no more than the share `longest` of a training, so that
    short ones are scaled versions of long ones.
    """

    factor: float
    every: float
    warmup: float
    longest: float

    def rate(self, peak: float, progress: float, epochs: int) -> float:
        """The learning rate at a progress in 0..1 of all steps of so many epochs."""
        epoch = progress * epochs
        warmup = min(self.warmup, self.longest * epochs)
        if epoch < warmup:
            return peak * epoch / warmup
        return peak * self.factor ** math.floor(epoch / self.every)


@dataclass(frozen=True)
class Recipe:
    """Batches, optimiser, rate, regularisation and augmentation of a training.

    full_epochs: the length of a full training. batch_size: images a step, fewer where an epoch would have less than
    `min_steps` steps. learning_rate: the peak, at batch_size; in proportion for smaller batches, but the same for
    Muon; schedule: its course. optimizer: "muon" (see Muon), "sgd" with Nesterov's momentum, or "rmsprop" (see
    RMSProp). weight_decay spares norms, and biases unless `decay_biases`. average: the decay of the running average
    of the weights, which is then what is measured and kept (see Average), None for the weights themselves.
    augmentation: see there.
    norm_momentum: of the batch norms, None to keep the architecture's. zero_branches: each residual branch starts
    at zero. regularised_epochs: dropout and stochastic depth reach the architecture's rates in trainings of this
    many epochs and are smaller in proportion in shorter ones, which are far from overfitting.
    """

    name: str
    full_epochs: int
    batch_size: int
    min_steps: int
    optimizer: Literal["muon", "sgd", "rmsprop"]
    learning_rate: float
    schedule: OneCycle | Staircase
    momentum: float
    weight_decay: float
    decay_biases: bool
    average: float | None
    label_smoothing: float
    augmentation: Augmentation
    norm_momentum: float | None
    zero_branches: bool
    regularised_epochs: int

    def batch_for(self, images: int) -> int:
        """The batch size for a training on so many images: halved until an epoch has `min_steps` steps, 16 at least."""
        batch = self.batch_size
        while images // batch < self.min_steps and batch // 2 >= 16:
            batch //= 2
        return min(batch, images)

    def rate_at(self, progress: float, batch: int, epochs: int) -> float:
        """The learning rate at a progress in 0..1 of all steps of `epochs`, for batches of `batch` images."""
        # Muon's steps have one size whatever the gradient's noise: fewer images a step are no reason for shorter steps.
        scale = 1.0 if self.optimizer == "muon" else batch / self.batch_size
        return self.schedule.rate(self.learning_rate * scale, progress, epochs)

    def regularisation(self, epochs: int) -> float:
        """The factor in 0..1 on dropout and stochastic depth in a training of `epochs`."""
        return min(1.0, epochs / self.regularised_epochs)


def fast() -> Recipe:
    """The default, for proxies of 1 to 20 epochs.

    Muon in small batches, because few steps are made: on CIFAR-10 (6,000 images at 16 pixels, batches of 64, 2 epochs,
    mean of two seeds), B0 fitted to 1.5 M multiply-adds and the same with twice the layers reach 37.9 and 37.6 % by
    Muon at 0.05, 35.0 and 36.4 % by AdamW at 0.01, 30.4 and 32.4 % by SGD at 1.
    """
    return Recipe(
        name="fast",
        full_epochs=100,
        batch_size=64,
        min_steps=32,
        optimizer="muon",
        learning_rate=0.05,
        schedule=OneCycle(warmup=0.25),
        momentum=0.9,
        weight_decay=0.01,
        decay_biases=False,
        average=None,
        label_smoothing=0.1,
        augmentation=Augmentation(flip=True, translate=0.125),
        norm_momentum=0.1,
        zero_branches=True,
        regularised_epochs=100,
    )


def paper() -> Recipe:
    """EfficientNet's (Tan and Le 2019, section 5.2, and the authors' published code).

    RMSProp in TensorFlow's form with decay 0.9, momentum 0.9 and epsilon 1e-3; batch-norm momentum 0.99 (0.01 in
    PyTorch's terms); weight decay 1e-5 on all but norms; a rate of 0.016 for every 256 images of a batch, times 0.97
    every 2.4 epochs in steps, after 5 epochs of linear warm-up; the weights averaged with decay 0.9999; label smoothing
    0.1; AutoAugment; dropout and stochastic depth at the architecture's rates; about 350 epochs.

    Scaled to shorter trainings: the warm-up takes at most a tenth of the epochs (so 5 from 50 epochs on), and the
    average spans at most about the last ninth of the steps, as in the published code (see Average). The decay of the
    rate is not scaled.

    Not as published: AutoAugment has the sub-policies and ranges of its own paper, while EfficientNet's published code
    has another set ("v0") and other ranges; crops are shifts by up to an eighth of the side instead of random areas
    resized; and batches have 256 images (fewer on small data) instead of 4096, the rate in proportion.
    """
    return Recipe(
        name="paper",
        full_epochs=350,
        batch_size=256,
        min_steps=32,
        optimizer="rmsprop",
        learning_rate=0.016,
        schedule=Staircase(factor=0.97, every=2.4, warmup=5, longest=0.1),
        momentum=0.9,
        weight_decay=1e-5,
        decay_biases=True,
        average=0.9999,
        label_smoothing=0.1,
        augmentation=Augmentation(flip=True, translate=0.125, auto_augment=True),
        norm_momentum=0.01,
        zero_branches=False,
        regularised_epochs=1,
    )


def fine_tune() -> Recipe:
    """For networks that begin with weights of other images.

    As `fast`, but by smaller steps, since the weights are to be changed less, and without branches that begin at zero.
    Of the rates and optimisers in benchmarks/results/fine_tune_rates.csv (1,500 images, 6 epochs, val, one seed) this
    is the best or within 2.5 points of it in each of three cases: MobileNetV1-0.25 in grey reaches 58.9 % of flowers
    and 79.8 of Imagenette, EfficientNet-Lite0 67.0 of flowers, where Muon at 0.05 gives 55.0, 76.6 and 61.8, and SGD at
    0.03 53.8 and 82.3 (at 0.1 with EfficientNet-Lite0 29.7).
    """
    return replace(fast(), name="fine_tune", full_epochs=20, learning_rate=0.015, zero_branches=False)


RECIPES: Mapping[str, Callable[[], Recipe]] = {"fast": fast, "paper": paper, "fine_tune": fine_tune}
