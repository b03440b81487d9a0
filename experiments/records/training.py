"""train.json: the result of a full training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from experiments.records.record import Record
from experiments.records.values import ABSENT, Amount, Count, Share
from experiments.wording import metric_words
from search_spaces import ArchSpec


@dataclass(frozen=True)
class Accuracies:
    """In 0..1; test: None without test images."""

    val: Share
    test: Share | None


@dataclass(frozen=True, kw_only=True)
class KeptWeights:
    """Which weights are in `file`, in the run folder: those of `epoch`, kept as the best on val or as the last."""

    file: str | None = field(default=None, metadata=ABSENT)
    kept: str
    epoch: Count
    averaged: bool = False


@dataclass(frozen=True)
class ClassFigures:
    """One class: its images, the share of them that is right (recall), and of all that are taken for it the share that
    is of it (precision); None where there are none."""

    name: str
    images: Count
    recall: Share | None
    precision: Share | None


@dataclass(frozen=True)
class TrainingData:
    """The images: how many of each split."""

    name: str
    fingerprint: str
    images: Mapping[str, Count]


@dataclass(frozen=True, kw_only=True)
class TrainingRecord(Record):
    """A training of `epochs` epochs of `recipe`, and what it reached.

    started_from: a weights file, None for fresh ones; body_rate: the factor on the learning rate of all but the
    classifier. mean, std: of the images per channel, in 0..1, by which they are normalised. curve: val accuracy after
    each epoch. seconds: of the wall. metric: what accuracy and curve are, loss: what was minimised, by name. by_class:
    on test, without test on val. Files of older versions have none of these three.
    """

    FILE = "train.json"
    WHAT = "the result of a training"
    MEND = "mend it, or remove it and train again"

    accuracy: Accuracies
    metric: str | None = field(default=None, metadata=ABSENT)
    loss: str | None = field(default=None, metadata=ABSENT)
    by_class: tuple[ClassFigures, ...] | None = field(default=None, metadata=ABSENT)
    weights: KeptWeights | None = field(default=None, metadata=ABSENT)
    recipe: str
    epochs: Count
    seed: Count | None = field(default=None, metadata=ABSENT)
    started_from: str | None = None
    body_rate: Share = 1.0
    data: TrainingData | None = field(default=None, metadata=ABSENT)
    classes: tuple[str, ...] | None = field(default=None, metadata=ABSENT)
    mean: tuple[float, ...] | None = field(default=None, metadata=ABSENT)
    std: tuple[float, ...] | None = field(default=None, metadata=ABSENT)
    macs: Count
    params: Count
    curve: tuple[Share, ...] | None = field(default=None, metadata=ABSENT)
    seconds: Amount | None = field(default=None, metadata=ABSENT)
    device: str | None = field(default=None, metadata=ABSENT)
    threads: Count | None = field(default=None, metadata=ABSENT)
    arch: ArchSpec | None = field(default=None, metadata=ABSENT)

    @property
    def measured(self) -> str:
        """What accuracy and curve are, for people."""
        return metric_words(self.metric)
