"""The description of an opened data set: a small value that worker processes get, and the arrays it points at."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.decode import CROPS, Reading
from nas.data.levels import Levels

SPLITS = ("train", "val", "test")


class DataError(ValueError):
    """Data that cannot be used. The message is one line: what is wrong, where, and how to mend it."""


@dataclass(frozen=True)
class Dataset:
    """A data set decoded into a cache; opened by `open_dataset`, read by `load_split`.

    name: what the user called it. classes: names in the order of the labels. native_size: the median short side of
    the images as they came, in pixels. size: that of the cached squares, at most native_size. channels: 1, 3, or as
    many as the images have. counts: images of each split, 0 where there is none. fingerprint: 16 hexadecimal digits
    over the content of every used image with its class, split and place, the same on every machine. mean, std: of
    the training images, per channel in 0..1, or of their brightness alone (one number) where networks of one channel
    are to see images of three in grey. flip: whether a mirrored image still shows its class (not so for
    characters). images_path, splits_path: the files of the cache. crop, levels: how they were read, see Reading.
    """

    name: str
    classes: tuple[str, ...]
    native_size: int
    size: int
    channels: int
    counts: dict[str, int]
    fingerprint: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    flip: bool
    images_path: Path
    splits_path: Path
    crop: str = CROPS[0]
    levels: Levels = field(default_factory=Levels)

    @property
    def reading(self) -> Reading:
        """How to read another image as these were read."""
        return Reading(self.size, self.channels, self.crop, self.levels)

    @property
    def num_classes(self) -> int:
        return len(self.classes)

    def check_resolution(self, resolution: int) -> None:
        """Raise DataError where `resolution` asks for pixels that the images had and the cache left out."""
        if self.size < resolution and self.size < self.native_size:
            raise DataError(
                f"{self.name}: cached at {self.size} pixels of {self.native_size}, too few for a network at "
                f"{resolution}: open it with max_resolution={resolution} or more"
            )


@dataclass(frozen=True)
class Split:
    """One split: `rows` (n,) of int64 are places in `images` (N, S, S, C) uint8, `labels` (n,) their int64 classes;
    `names` (n,) the files, relative to the data folder, or empty where images are no files.

    The training rows stand in an order whose every prefix is stratified.
    """

    images: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    names: NDArray[np.str_]


def load_split(dataset: Dataset, split: str) -> Split:
    """Map one split into memory; nothing is read before it is used. Raises DataError when the split is empty."""
    if not dataset.counts.get(split):
        raise DataError(f"{dataset.name}: has no {split} images")
    with np.load(dataset.splits_path, allow_pickle=False) as arrays:
        rows, labels, names = arrays[f"{split}_rows"], arrays[f"{split}_labels"], arrays[f"{split}_names"]
    # Copy on write: never written to, but torch warns of arrays that are read-only.
    images = np.lib.format.open_memmap(dataset.images_path, mode="c")
    return Split(images=images, rows=rows, labels=labels, names=names)
