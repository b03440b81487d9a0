"""Batches of one split at one resolution, from memory where they fit and from the cache file where they do not."""

from __future__ import annotations

import itertools
import mmap
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from nas.data.ahead import ahead
from nas.data.augment import Augmentation, Draws, crop_flip, cut_out, normalise, resize, to_grey
from nas.data.auto_augment import Part, augment_batch, plan_batches
from nas.data.dataset import Dataset, load_split

RESIDENT_BYTES = {"cpu": 1 << 28, "cuda": 1 << 32}
"""A split takes at most so much memory; several together, kept for trainings to come, at most twice that."""

CHUNK = 1024


@dataclass(frozen=True)
class Feed:
    """Images of a split, `count` of them, on their way to a network of `channels` inputs at `resolution` on `device`.

    images (N, S, S, C) uint8: on the device at the resolution, or the mapped file at the cache's size. rows (n,): their
    places in `images`; labels (n,) on the device; mean, std (C,) in 0..255 on the device, or (1,) of the brightness
    where a network of one channel sees colours in grey. mapping: that of the file.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    resolution: int
    channels: int
    mapping: mmap.mmap | None = None

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def device(self) -> torch.device:
        return self.labels.device

    def sample(self, count: int) -> Feed:
        """`count` of the images, drawn at random but always the same; the order of a split may be that of classes."""
        drawn = torch.randperm(len(self), generator=torch.Generator().manual_seed(0))[:count].sort().values
        return replace(self, rows=self.rows[drawn.to(self.rows.device)], labels=self.labels[drawn.to(self.device)])

    def in_order(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images once, plain: float batches (B, channels, R, R) in channels_last, and labels (B,)."""
        for start in range(0, len(self), size):
            images = self.images[self.rows[start : start + size]]
            self._let_go()
            yield self._to_float(images), self.labels[start : start + size]

    def shuffled(
        self, size: int, draws: Draws, augmentation: Augmentation, *, flip: bool
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """One epoch, augmented, in whole batches of `size`; the images left over are dropped.

        All but the hole is done to the images as they are held, before those of the mapped file are resized. draws: on
        the device of `images`, or elsewhere, at the price of a copy an epoch. Raises ValueError where the augmentation
        has AutoAugment and the draws have no numbers for it.
        """
        if augmentation.auto_augment and draws.policy is None:
            raise ValueError("augmented by AutoAugment: draw the epochs with auto_augment=True")
        parts: Iterable[Sequence[Part]] = itertools.repeat(())
        if augmentation.auto_augment and draws.policy is not None:
            parts = plan_batches(draws.policy, size, self.device)
        hole = round(augmentation.cutout * self.resolution)
        holes, labels = draws.hole.to(self.device), self.labels[draws.order.to(self.device)]
        batches = self._cut(size, draws, augmentation, flip=flip)
        if self.device != self.images.device:
            batches = ahead(batches, pinned=self.device.type == "cuda")
        starts = range(0, len(self) - size + 1, size)
        for start, cut, todo in zip(starts, batches, parts, strict=False):
            images = cut.to(self.device, non_blocking=True)
            batch = self._to_float(augment_batch(images, todo) if todo else images)
            part = slice(start, start + size)
            yield cut_out(batch, holes[part], hole) if hole else batch, labels[part]

    def _cut(self, size: int, draws: Draws, augmentation: Augmentation, *, flip: bool) -> Iterator[Tensor]:
        """The batches as they are held, shifted and mirrored: (size, S, S, C) uint8 where `images` is."""
        place = self.images.device
        side = self.images.shape[1]
        reach = augmentation.translate * side
        shift = torch.round(draws.shift.to(place) * reach).long() if reach >= 0.5 else None
        mirrored = draws.flip.to(place) if flip and augmentation.flip else None
        rows = self.rows[draws.order.to(place)]
        for start in range(0, len(self) - size + 1, size):
            part = slice(start, start + size)
            cut = crop_flip(
                self.images,
                rows[part],
                None if shift is None else shift[part],
                None if mirrored is None else mirrored[part],
            )
            self._let_go()
            yield cut

    def _let_go(self) -> None:
        """Free what the images read so far take of this process's memory; they stay in the system's file cache."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)

    def _to_float(self, images: Tensor) -> Tensor:
        sized = resize(images.to(self.device), self.resolution)
        batch = normalise(to_grey(sized) if self.channels < sized.shape[-1] else sized, self.mean, self.std)
        if batch.shape[1] == self.channels:
            return batch
        return batch.expand(-1, self.channels, -1, -1).contiguous(memory_format=torch.channels_last)


def open_feed(
    dataset: Dataset, split: str, device: torch.device, *, share: float, resolution: int, channels: int
) -> Feed:
    """The first `share` (0..1] of a split's images, at least one of each class. Loaded once a process.

    Raises DataError where the cache holds fewer pixels than `resolution` needs and the images had more, and ValueError
    where the network's input channels do not suit the images.
    """
    dataset.check_resolution(resolution)
    in_grey = (channels, dataset.channels, len(dataset.mean)) == (1, 3, 1)
    if dataset.channels not in (channels, 1) and not in_grey:
        hint = "; with `grey` they have one" if (channels, dataset.channels) == (1, 3) else ""
        raise ValueError(
            f"the network's input channels are {channels}, those of {dataset.name}'s images {dataset.channels}{hint}"
        )
    total = dataset.counts[split]
    count = min(total, max(dataset.num_classes, round(total * share)))
    images, rows, labels, mapping = _load(dataset, split, count, resolution, device)
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=device) * 255 for values in (dataset.mean, dataset.std)
    )
    return Feed(images, rows, labels, mean, std, resolution, channels, mapping)


def in_grey(dataset: Dataset) -> Dataset:
    """Images of three channels for networks that see their brightness alone, normalised by up to 1024 of the training
    images; those of one channel as they are."""
    if dataset.channels != 3:
        return dataset
    part = load_split(dataset, "train")
    seen = to_grey(torch.from_numpy(part.images[part.rows[:CHUNK]])).double() / 255
    return replace(dataset, mean=(float(seen.mean()),), std=(max(float(seen.std()), 1 / 255),))


_Loaded = tuple[Tensor, Tensor, Tensor, mmap.mmap | None]  # images, rows, labels, mapping of a Feed
RESIDENT: OrderedDict[tuple[object, ...], _Loaded] = OrderedDict()
"""The splits that this process keeps in memory, the latest used last; see RESIDENT_BYTES."""


def _load(dataset: Dataset, split: str, count: int, resolution: int, device: torch.device) -> _Loaded:
    """The first `count` images of a split, in memory where they are not too many; see Feed."""
    key = (dataset.images_path, dataset.splits_path, split, count, resolution, device)
    if key in RESIDENT:
        RESIDENT.move_to_end(key)
        return RESIDENT[key]
    part = load_split(dataset, split)
    labels = torch.from_numpy(part.labels[:count]).to(device)
    rows = torch.from_numpy(part.rows[:count])
    mapped, mapping = torch.from_numpy(part.images), part.images._mmap  # type: ignore[attr-defined]
    needed = count * resolution**2 * mapped.shape[-1]
    if needed > RESIDENT_BYTES[device.type]:
        return mapped, rows, labels, mapping
    _make_room(needed, 2 * RESIDENT_BYTES[device.type])
    images = torch.empty((count, resolution, resolution, mapped.shape[-1]), dtype=torch.uint8, device=device)
    for start in range(0, count, CHUNK):
        images[start : start + CHUNK] = resize(mapped[rows[start : start + CHUNK]].to(device), resolution)
        mapping.madvise(mmap.MADV_DONTNEED)
    RESIDENT[key] = images, torch.arange(count, device=device), labels, None
    return RESIDENT[key]


def forget(device: torch.device) -> None:
    """Free the splits that this process keeps in memory on `device`; they are loaded again when they are asked for."""
    for key in [key for key in RESIDENT if key[-1] == device]:
        del RESIDENT[key]


def _make_room(needed: int, limit: int) -> None:
    """Forget what was used longest ago, until `needed` bytes more come to at most `limit`."""
    while RESIDENT and sum(loaded[0].nbytes for loaded in RESIDENT.values()) + needed > limit:
        RESIDENT.popitem(last=False)
