"""How labelled items are divided into splits and put in order, by seed. Pure functions of values."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import SPLITS, DataError

Indices = NDArray[np.int64]
Names = NDArray[np.object_]


@dataclass(frozen=True)
class Division:
    """How a data set is divided where it does not divide itself; see open_dataset. Raises DataError."""

    seed: int
    val_fraction: float
    test_fraction: float
    train_images: int | None
    group: str | None

    def __post_init__(self) -> None:
        val, test = self.val_fraction, self.test_fraction
        if not (0 < val < 1 and 0 <= test < 1 and val + test < 1):
            raise DataError(f"the val and test fractions must be in 0..1 and leave a rest, not {val:g} and {test:g}")
        if self.train_images is not None and self.train_images < 1:
            raise DataError(f"the number of training images must be at least 1, not {self.train_images}")
        try:
            re.compile(self.group or "")
        except re.error as error:
            raise DataError(f"`group` must be a regular expression, not {self.group!r} ({error})") from None

    def groups_of(self, whole: str, names: list[str]) -> Names | None:
        """The group of each name of the data set `whole`; None without groups. Raises DataError where none has one."""
        if self.group is None:
            return None
        found = [re.search(self.group, name) for name in names]
        if not any(found):
            raise DataError(f"{whole}: `group` {self.group!r} is found in no name, such as {names[0]}")
        groups = [
            name if match is None else "/".join(map(str, match.groups())) if match.re.groups else match[0]
            for name, match in zip(names, found, strict=True)
        ]
        return np.array(groups, dtype=object)


@dataclass(frozen=True)
class Plan:
    """Which items are used and where: `splits` holds indices into `labels` and `groups` (all items there are).

    groups: the name of each item's group, None where there are none.
    """

    name: str
    classes: tuple[str, ...]
    labels: Indices
    splits: dict[str, Indices]
    groups: Names | None = None

    @property
    def used(self) -> Indices:
        return np.concatenate([self.splits[split] for split in SPLITS])


def divide(given: Plan, division: Division) -> Plan:
    """Split off what is not given (`all` is what is no split yet), and put the training items in stratified order, cut
    to their cap. Raises DataError where there is too little."""
    splits = {"val": np.array([], dtype=np.int64), "test": np.array([], dtype=np.int64), **given.splits}
    whole = splits.pop("all") if "all" in splits else splits["train"]
    if "val" not in given.splits:
        wanted = {"val": division.val_fraction}
        if "test" not in given.splits:
            wanted["test"] = division.test_fraction
        rest, *parts = _cut(given, whole, wanted, division.seed)
        splits["train"] = whole[rest]
        splits.update({split: whole[part] for split, part in zip(wanted, parts, strict=True)})
    limit, train = division.train_images, splits["train"]
    if limit is not None and limit < len(given.classes):
        raise DataError(f"{given.name}: {limit} training images are fewer than the {len(given.classes)} classes")
    splits["train"] = train[stratified_order(given.labels[train], division.seed)][:limit]
    return replace(given, splits=splits)


def _cut(given: Plan, whole: Indices, wanted: dict[str, float], seed: int) -> tuple[Indices, ...]:
    labels, fractions = given.labels[whole], tuple(wanted.values())
    counts = np.bincount(labels, minlength=len(given.classes))
    if counts.min() < 2:
        alone = given.classes[int(counts.argmin())]
        raise DataError(
            f"{given.name}: class {alone!r} has one image, too few to be split; add some or remove the class"
        )
    if given.groups is None:
        return stratified_split(labels, fractions, seed)
    _, groups = np.unique(given.groups[whole], return_inverse=True)
    parts = grouped_split(labels, groups, fractions, seed)
    if not all(map(len, parts)):
        several = f"{groups.max() + 1} groups" if groups.max() else "one group"
        raise DataError(f"{given.name}: {several} cannot be divided into train and {' and '.join(wanted)}")
    return parts


def stratified_order(labels: Indices, seed: int) -> Indices:
    """A shuffled order of 0..n-1 in which every prefix holds the classes in proportion.

    The first as many places as there are classes hold one item of each. Within a class the order is random by seed
    and by the class's label, so another class more or less leaves it as it is.
    """
    place = np.zeros(len(labels), dtype=np.float64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shuffled = np.random.default_rng([seed, int(label)]).permutation(members)
        place[shuffled] = (np.arange(len(members)) + 0.5) / len(members)
        place[shuffled[0]] = 0.0
    return np.argsort(place, kind="stable").astype(np.int64)


def stratified_split(labels: Indices, fractions: tuple[float, ...], seed: int) -> tuple[Indices, ...]:
    """Divide 0..n-1 into a rest and one part per fraction; each part holds every class in proportion.

    Returns (rest, part, part ...), each sorted. A class's share of a part is rounded to the nearest, but is at least
    one item where the class has enough to leave one for the rest; earlier parts are served first.
    """
    parts: list[list[int]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        left = list(np.random.default_rng([seed, int(label)]).permutation(members))
        for i, fraction in enumerate(fractions, start=1):
            wanted = max(1, round(len(members) * fraction)) if fraction > 0 else 0
            taken = min(wanted, len(left) - 1)
            parts[i] += left[:taken]
            left = left[taken:]
        parts[0] += left
    return tuple(np.sort(np.array(part, dtype=np.int64)) for part in parts)


def grouped_split(labels: Indices, groups: Indices, fractions: tuple[float, ...], seed: int) -> tuple[Indices, ...]:
    """Divide 0..n-1 as `stratified_split` does, as nearly as can be with the items of one group in one part.

    groups: (n,) from 0 on. The rest gets every class. Groups are dealt out from the largest on, by size and by seed,
    each to the part that lacks its classes most; a part left without any gets one from the rest that this can spare.
    """
    classes, places = np.unique(labels, return_inverse=True)
    counts = np.zeros((int(groups.max(initial=-1)) + 1, len(classes)))
    np.add.at(counts, (groups, places), 1)
    wanted = np.outer([1 - sum(fractions), *fractions], counts.sum(axis=0))
    held = np.zeros_like(wanted)
    part_of = np.zeros(len(counts), dtype=np.int64)
    drawn = np.random.default_rng(seed).permutation(len(counts))
    for group in drawn[np.argsort(-counts[drawn].sum(axis=1), kind="stable")]:
        new_to_rest = (held[0][counts[group] > 0] == 0).any()
        lacking = ((wanted - held) / counts.sum(axis=0)) @ counts[group]
        part_of[group] = 0 if new_to_rest else int(lacking.argmax())
        held[part_of[group]] += counts[group]
    for part in range(1, len(wanted)):
        spare = [
            group for group in drawn if part_of[group] == 0 and ((held[0] > counts[group]) | (counts[group] == 0)).all()
        ]
        if not held[part].any() and spare:
            least = min(spare, key=lambda group: counts[group].sum())
            part_of[least] = part
            held[0] -= counts[least]
            held[part] += counts[least]
    return tuple(np.flatnonzero(part_of[groups] == part) for part in range(len(wanted)))
