"""A trained network at work: what it takes images of a data set for, and images of one's own."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from experiments.errors import UserError, from_user, told
from experiments.records.model import ModelRecord
from experiments.records.training import ClassFigures
from experiments.run.models import Trained
from nas.data.dataset import SPLITS, DataError, Dataset, load_split
from nas.data.decode import Reading, Reason, UnreadableError
from nas.data.feed import Feed, open_feed
from nas.data.levels import Levels
from nas.data.source import open_dataset
from nas.data.summary import shown
from nas.files import read_bounded
from nas.training.loop import probabilities
from nas.training.objective import ACCURACY, INT8, METRICS, class_counts

_CPU = torch.device("cpu")
_AT_ONCE = 64
_LARGEST = 1 << 29  # bytes of a file that is read as an image


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What a network makes of the images of a data set.

    splits: those looked at; images: the same as trained on, by their content? probabilities (N, classes); labels (N,)
    of the model's classes; names (N,) of the files, empty where images are none.
    """

    model: Trained
    splits: tuple[str, ...]
    same_data: bool
    probabilities: Tensor
    labels: Tensor
    names: NDArray[np.str_]

    @property
    def predicted(self) -> Tensor:
        return self.probabilities.argmax(1)

    @property
    def metric(self) -> str:
        """What `value` is: the metric that the network was trained for, or accuracy in place of one of the user's, and
        of that in int8, which is not what the network computes here."""
        metric = self.model.record.metric
        return metric if metric in METRICS and metric != INT8.name else ACCURACY.name

    @property
    def value(self) -> float:
        """The metric over all images, in 0..1."""
        return METRICS[self.metric].of(self.predicted, self.labels)

    @property
    def before(self) -> float | None:
        """What the training measured on the same images; None where it did not."""
        if not self.same_data or len(self.splits) > 1 or self.metric != self.model.record.metric:
            return None
        return {"val": self.model.record.accuracy.val, "test": self.model.record.accuracy.test}.get(self.splits[0])

    @property
    def confusion(self) -> NDArray[np.int64]:
        """(classes, classes): how many images of each class (row) are taken for each (column)."""
        classes = len(self.model.record.classes)
        places = self.labels * classes + self.predicted
        return torch.bincount(places, minlength=classes**2).view(classes, classes).numpy()

    @property
    def by_class(self) -> list[ClassFigures]:
        """Of all classes of the network, in its order."""
        names = self.model.record.classes
        counts = zip(*(each.tolist() for each in class_counts(self.predicted, self.labels, len(names))), strict=True)
        return [
            ClassFigures(name, int(there), right / there if there else None, right / said if said else None)
            for name, (right, there, said) in zip(names, counts, strict=True)
        ]

    def mistakes(self, most: int) -> list[tuple[str, str, str, float]]:
        """The images that are wrong with most confidence: file, class, what it is taken for, with what probability."""
        sure, predicted = self.probabilities.max(1)
        wrong = torch.nonzero(predicted != self.labels).flatten()
        wrong = wrong[sure[wrong].argsort(descending=True, stable=True)][:most]
        classes = self.model.record.classes
        return [
            (str(self.names[i]), classes[self.labels[i]], classes[predicted[i]], float(sure[i])) for i in wrong.tolist()
        ]


def evaluate(
    model: Trained,
    data: str,
    *,
    split: str | None,
    cache: str | None,
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
) -> Evaluation:
    """What the network makes of the images of `data`.

    split: of SPLITS, or "all"; None: of the images that it was trained on the test images, or val where there are none,
    and all images of others. cache: where decoded images are kept; None: nowhere. Raises UserError.
    """
    with opened_for(model.record, data, cache, progress, tell) as dataset, from_user():
        same = dataset.fingerprint == model.record.data.fingerprint
        chosen = split or (held_out(dataset) if same else "all")
        splits = tuple(each for each in SPLITS if chosen in (each, "all") and dataset.counts[each])
        if not splits:
            raise UserError(f"{data}: has no {chosen} images")
        labels_of = labels_for(model.record, dataset)
        found: list[Tensor] = []
        labels: list[Tensor] = []
        names: list[NDArray[np.str_]] = []
        arch = model.record.arch
        for each in splits:
            feed = open_feed(dataset, each, _CPU, share=1.0, resolution=arch.resolution, channels=arch.input_channels)
            found.append(probabilities(model.network, feed))
            labels.append(labels_of[feed.labels])
            names.append(load_split(dataset, each).names)
    return Evaluation(model, splits, same, torch.cat(found), torch.cat(labels), np.concatenate(names))


def predict(model: Trained, files: Sequence[str]) -> Tensor:
    """The probability (N, classes) that the network gives each class of each file. Raises UserError."""
    record = model.record
    images = record.images
    with from_user(str(model.file)):
        reading = Reading(images.size, images.channels, images.crop, Levels.from_json(images.levels))
    mean, std = (torch.tensor(values) * 255 for values in (record.mean, record.std))
    found = []
    for start in range(0, len(files), _AT_ONCE):
        squares = torch.from_numpy(np.stack([_square(reading, file) for file in files[start : start + _AT_ONCE]]))
        rows = torch.arange(len(squares))
        feed = Feed(squares, rows, rows, mean, std, record.arch.resolution, record.arch.input_channels)
        found.append(probabilities(model.network, feed))
    return torch.cat(found)


def _square(reading: Reading, file: str) -> NDArray[np.uint8]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's remarks on odd files that it reads all the same
            return reading.square(read_bounded(Path(file), _LARGEST))
    except UnreadableError as error:
        taken = f" (the network takes {reading.channels})" if error.reason is Reason.OTHER_CHANNELS else ""
        raise UserError(f"{shown(file)}: {error}{taken}") from None
    except OSError as error:
        raise UserError(told(error)) from None


def held_out(dataset: Dataset) -> str:
    """The split that a network was not trained on, nor chosen by where there is another."""
    return "test" if dataset.counts["test"] else "val"


@contextmanager
def opened_for(
    record: ModelRecord,
    data: str,
    cache: str | None,
    progress: Callable[[int, int], None],
    tell: Callable[[str], None],
) -> Iterator[Dataset]:
    """The images of `data`, read as the network's own were, and normalised as it expects; divided likewise where they
    are these, else with all images in some split."""
    with tempfile.TemporaryDirectory(prefix="scalenas-") as room, from_user():
        as_trained = (record.data.train_images, record.data.group)
        told: list[str] = []

        def opened(train_images: int | None, group: str | None) -> Dataset:
            told.clear()
            return open_dataset(
                data,
                Path(cache or room),
                max_resolution=record.images.size,
                seed=record.data.seed,
                train_images=train_images,
                group=group,
                crop=record.images.crop,
                grey=record.images.channels == 1 and data != "digits",
                levels=Levels.from_json(record.images.levels),
                progress=progress,
                tell=told.append,
            )

        dataset = None
        with suppress(DataError):  # other images may have no such groups
            dataset = opened(*as_trained)
        if dataset is None or (dataset.fingerprint != record.data.fingerprint and as_trained != (None, None)):
            dataset = opened(None, None)
        for line in told:
            tell(line)
        if dataset.channels != record.images.channels:
            raise UserError(
                f"{data}: has {dataset.channels} channels, the network was trained on {record.images.channels}"
            )
        yield replace(dataset, mean=record.mean, std=record.std)


def labels_for(record: ModelRecord, dataset: Dataset) -> Tensor:
    """The network's number of each class of the data set. Raises UserError where it does not know one."""
    unknown = [name for name in dataset.classes if name not in record.classes]
    if unknown:
        raise UserError(
            f"{dataset.name}: class {unknown[0]!r} is none of the network's: {', '.join(record.classes[:5])}"
            + (" ..." if len(record.classes) > 5 else "")
        )
    return torch.tensor([record.classes.index(name) for name in dataset.classes])
