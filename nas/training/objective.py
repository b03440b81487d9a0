"""What a training aims at: its loss, the metric it is judged by, the weights it starts from, and a teacher."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas import evaluation
from nas.training.adapted import Sight
from search_spaces import ArchError, ArchSpec, build_network, load_weights
from search_spaces.network import Network
from search_spaces.weights.inherit import inherit
from search_spaces.weights_file import WeightsError

_DIGITS = 16  # of a digest


@dataclass(frozen=True)
class Loss:
    """A loss by name. of(logits (B, C), labels (B,) int64, label smoothing in 0..1) -> the batch's mean, a scalar."""

    name: str
    of: Callable[[Tensor, Tensor, float], Tensor]


@dataclass(frozen=True)
class Metric:
    """A metric by name. of(predicted classes (N,), labels (N,), both int64) -> a value in 0..1, the more the better."""

    name: str
    of: Callable[[Tensor, Tensor], float]


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """The mean cross-entropy against labels that give each other class an equal part of `label_smoothing`."""
    return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)


def accuracy(predicted: Tensor, labels: Tensor) -> float:
    """The share of images whose class is predicted."""
    return int((predicted == labels).sum()) / len(labels)


def balanced_accuracy(predicted: Tensor, labels: Tensor) -> float:
    """The share of each class's images that are right, averaged over the classes that there are."""
    right, there, _ = class_counts(predicted, labels)
    return float((right[there > 0] / there[there > 0]).mean())


def macro_f1(predicted: Tensor, labels: Tensor) -> float:
    """F1, the harmonic mean of precision and recall, averaged over the classes that there are or are predicted."""
    right, there, said = class_counts(predicted, labels)
    known = there + said > 0
    return float((2 * right[known] / (there + said)[known]).mean())


def class_counts(predicted: Tensor, labels: Tensor, classes: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """By class, of `classes` at least: the images of it that are right, all images of it, and those predicted to be.

    predicted, labels: (N,) int64. Returns three tensors (C,) of float64.
    """
    most = max(classes, 1 + int(max(predicted.max(), labels.max())))
    right, there, said = (
        torch.bincount(each, minlength=most).cpu().double() for each in (labels[predicted == labels], labels, predicted)
    )
    return right, there, said


@dataclass(frozen=True)
class WeightedCrossEntropy:
    """As `cross_entropy`, an image counting as much as the `weights` of its class say: a positive number each."""

    weights: tuple[float, ...]

    def __call__(self, logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        weight = _placed(self.weights, logits.dtype, logits.device)
        return F.cross_entropy(logits, labels, weight=weight, label_smoothing=label_smoothing)


@lru_cache(maxsize=8)
def _placed(weights: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copied to the device once: a step would wait for the copy."""
    return torch.tensor(weights, dtype=dtype, device=device)


def class_weighted(images: Sequence[int]) -> Loss:
    """A loss to which all classes count alike; images: how many each has in training, at least one."""
    mean = sum(images) / len(images)
    return Loss("class_weighted_cross_entropy", WeightedCrossEntropy(tuple(mean / count for count in images)))


CROSS_ENTROPY = Loss("cross_entropy", cross_entropy)
ACCURACY = Metric(evaluation.ACCURACY, accuracy)
INT8 = Metric(evaluation.INT8, accuracy)
"""Accuracy after quantisation to int8, which is the value of a training's end; after epochs it is that in float32."""
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (ACCURACY, Metric("balanced_accuracy", balanced_accuracy), Metric("macro_f1", macro_f1), INT8)
}
"""By their names, as options give them."""


@dataclass(frozen=True, eq=False)
class InitialWeights:
    """Weights that a network starts from. source: as load_weights takes it. new_head: a fresh classifier even where
    the source's would fit.
    """

    source: str | Path | Mapping[str, Tensor]
    new_head: bool = False

    def load_into(self, network: nn.Module) -> bool:
        """Fill the network; returns whether its classifier too, which needs one of its shape in the source.

        Raises WeightsError.
        """
        head = not self.new_head
        try:
            load_weights(network, self.source, head=head)
        except WeightsError:
            if not head:
                raise
            load_weights(network, self.source, head=False)
            head = False
        return head

    @property
    def words(self) -> str:
        """What a method says of it."""
        return self.digest + "+new_head" * self.new_head

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits over the file, or over the tensors of a state dict."""
        if isinstance(self.source, Mapping):
            return _digest(self.source)
        return hashlib.sha256(Path(self.source).read_bytes()).hexdigest()[:_DIGITS]


@dataclass(frozen=True, eq=False)
class Inherited:
    """A network starts as a part of `parent`, whose weights are in the file `source`, with a fresh classifier."""

    parent: ArchSpec
    source: str

    def load_into(self, network: nn.Module) -> bool:
        """Fill the network (see search_spaces.weights.inherit); its classifier never, so False.

        Raises WeightsError for the file and ArchError for a network that is no part of the parent.
        """
        if not isinstance(network, Network):
            raise ArchError("only networks that are built of an architecture can inherit weights")
        inherit(network, _read_parent(self.parent, self.source, self.digest))
        return False

    @property
    def words(self) -> str:
        """What a method says of it."""
        return f"{self.digest}+part"

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits over the file."""
        return hashlib.sha256(Path(self.source).read_bytes()).hexdigest()[:_DIGITS]


@lru_cache(maxsize=2)
def _read_parent(arch: ArchSpec, source: str, digest: str) -> Network:  # noqa: ARG001  another file, another network
    """Once a process, since every trial of a search begins as a part of it."""
    network = build_network(arch, 2)
    load_weights(network, source, head=False)
    return network


@dataclass(frozen=True, eq=False)
class Teacher:
    """A trained network that the student is to imitate on the same images, with the share `weight` (0..1] of the loss.

    Knowledge distillation (Hinton, Vinyals and Dean 2015, "Distilling the knowledge in a neural network", section 2):
    both distributions are softened by `temperature` (above 0), and the term is multiplied by its square so that its
    gradients stay of one size. sees: the images' size and normalisation that suit the teacher. Where it is set and its
    student sees them differently, `ProxyEvaluator` gives it batches made of the cached images: `network` must take them
    at any size, normalised so. Raises ValueError on a number out of its range.
    """

    network: nn.Module
    weight: float = 0.5
    temperature: float = 4.0
    sees: Sight | None = None

    def __post_init__(self) -> None:
        if not 0 < self.weight <= 1:
            raise ValueError(f"a teacher's weight must be above 0 and at most 1, not {self.weight:g}")
        if not 0 < self.temperature < math.inf:
            raise ValueError(f"a teacher's temperature must be above 0, not {self.temperature:g}")

    def loss(self, logits: Tensor, images: Tensor) -> Tensor:
        """The mean divergence of the student's softened distribution (logits (B, C)) from the teacher's."""
        with torch.no_grad():
            wanted = F.softmax(self.network(images) / self.temperature, dim=1)
        given = F.log_softmax(logits / self.temperature, dim=1)
        return F.kl_div(given, wanted, reduction="batchmean") * self.temperature**2

    @cached_property
    def digest(self) -> str:
        """16 hexadecimal digits over its weights."""
        return _digest(self.network.state_dict())

    @cached_property
    def words(self) -> str:
        """What a method says of it."""
        sees = "" if self.sees is None else f"+{len(self.sees.normalisation.mean)}x{self.sees.resolution}px"
        return f"{self.digest}*{self.weight:g}@{self.temperature:g}{sees}"


@dataclass(frozen=True)
class Objective:
    """What a training minimises (`loss`, partly imitation of the `teacher`), is measured by, and starts from."""

    loss: Loss = CROSS_ENTROPY
    metric: Metric = ACCURACY
    initial: InitialWeights | Inherited | None = None
    teacher: Teacher | None = None

    @cached_property
    def method(self) -> str:
        """What tells its figures from the accuracy of a training from scratch, which is ""; see Request.method.

        Losses and metrics are told apart by their names alone: another function needs another name.
        """
        parts = {
            "loss": None if self.loss.name == CROSS_ENTROPY.name else self.loss.name,
            "metric": None if self.metric.name == ACCURACY.name else self.metric.name,
            "from": None if self.initial is None else self.initial.words,
            "teacher": None if self.teacher is None else self.teacher.words,
        }
        return ",".join(f"{name}={text}" for name, text in parts.items() if text is not None)

    def place(self, device: torch.device) -> None:
        """Have the teacher, if any, ready on `device`."""
        if self.teacher is not None:
            self.teacher.network.to(device).eval()

    def loss_of(self, logits: Tensor, images: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
        """The loss of a batch, a scalar with a gradient: logits (B, C) of the images (B, ...), labels (B,)."""
        loss = self.loss.of(logits, labels, label_smoothing)
        if self.teacher is None:
            return loss
        weight = self.teacher.weight
        return (1 - weight) * loss + weight * self.teacher.loss(logits, images)


FROM_SCRATCH = Objective()
"""The accuracy of a training from scratch by cross-entropy."""


def _digest(state: Mapping[str, Tensor]) -> str:
    content = hashlib.sha256()
    for name, value in state.items():
        plain = value.detach().cpu().contiguous()
        content.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        content.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()[:_DIGITS]
