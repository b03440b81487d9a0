"""What a data set was found to be, in a few lines: what is used for what, what is not and why, and what looks wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import SPLITS
from nas.data.folder import Listing
from nas.data.levels import BLACK, WHITE, Levels
from nas.data.walk import HIDDEN

_NAMED, _KINDS = 5, 8
_LITTLE = 256 // 8  # levels of 256: an image that spans fewer uses under an eighth of the range
_SHARE = 0.01  # more of a kind passed over, by the images used, is worth a warning
_NOTES = frozenset({HIDDEN, ".txt", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".md", ".html", ".log", ".py"})
"""What lies beside images and is none."""


@dataclass(frozen=True)
class Remark:
    """A line about a data set. warning: whether something may be wrong with it."""

    text: str
    warning: bool = False

    def __str__(self) -> str:
        return f"warning: {self.text}" if self.warning else self.text


@dataclass(frozen=True)
class Items:
    """The readable images of a data set, row by row: names, labels, splits (a place in SPLITS), digests (N, 16), and
    spans: the most that an image's pixels differ in one channel; groups: their names, None where there are none.
    """

    names: NDArray[np.object_]
    labels: NDArray[np.int64]
    splits: NDArray[np.int64]
    digests: NDArray[np.uint8]
    spans: NDArray[np.uint8]
    groups: NDArray[np.object_] | None = None


def of_layout(listing: Listing, cut: Sequence[str]) -> list[Remark]:
    """Which folders are which splits, and what is not used. cut: the splits that were cut from what is there."""
    folders = listing.folders
    named = [f"{shown(folder)}/ is {split}" for split, folder in folders.items()]
    source = f"{shown(folders['train'])}/" if folders else "the class folders"
    if cut:
        named.append(f"{' and '.join(cut)} cut from {source}")
    elif "test" not in folders:
        named.append("nothing is held out for testing")
    remarks = [Remark(f"splits: {', '.join(named)}")]
    if listing.unused:
        remarks.append(Remark(f"not used: {some(listing.unused)}", warning=True))
    if listing.passed:
        total = sum(map(sum, listing.counts.values()))
        kinds = Counter(listing.passed).most_common()
        said = [f"{count} {shown(kind)}" for kind, count in kinds[:_KINDS]]
        said += [f"{len(kinds) - _KINDS} more kinds"] if len(kinds) > _KINDS else []
        much = any(count > _SHARE * total for kind, count in kinds if kind not in _NOTES)
        remarks.append(Remark(f"passed over: {', '.join(said)}", warning=much))
    return remarks


def of_classes(items: Items, classes: Sequence[str], empty: Sequence[str]) -> list[Remark]:
    """Class folders without images, and classes that a split has none of. empty: the former."""
    missing = [f"left out, no images in it: {some(empty)}"] if empty else []
    for place in np.unique(items.splits):
        lacking = np.setdiff1d(np.arange(len(classes)), items.labels[items.splits == place])
        if len(lacking):
            missing.append(f"none in {SPLITS[place]} of {some([classes[label] for label in lacking])}")
    return [Remark(f"classes: {'; '.join(missing)}", warning=True)] if missing else []


def of_unread(reasons: Mapping[str, str]) -> str:
    """Files that cannot be read, by reason; reasons: of each by its name."""
    kinds = Counter(reasons.values())
    named = [
        f"{count} {kind} ({some([name for name, why in reasons.items() if why == kind])})"
        for kind, count in kinds.most_common()
    ]
    return some(named)


def of_values(levels: Levels, channels: int, paged: int = 0, *, alike: bool) -> list[Remark]:
    """How numbers became levels of grey, where files leave it open; paged: how many files, of those looked at, have
    several pages; alike: whether all channels hold the same."""
    said = [f"{channels} channels, kept as they are"] if channels not in (1, 3) else []
    if levels.ranges:
        own = [f"{low:.6g} to {high:.6g}" for low, high in levels.ranges]
        said.append(f"{levels.deep} of more than 8 bits, each channel scaled by itself: {some(own)}")
    elif levels.deep:
        ranges = [each for each in (levels.integers, levels.floats) if each is not None]
        scales = ", of floats ".join(f"{low:.6g} is black and {high:.6g} white" for low, high in ranges)
        said.append(f"{levels.deep} of more than 8 bits, in all of which {scales}")
    if levels.holes:
        said.append(f"{levels.holes} with values that are no numbers, shown black")
    if levels.transparent:
        ground = {WHITE: "white", BLACK: "black, since white is drawn on them"}.get(
            levels.background, "grey, since black and white are drawn on them"
        )
        said.append(f"{levels.transparent} transparent, laid on {ground}")
    if paged:
        said.append(f"{paged} TIFFs of several pages, of each the first is used")
    if channels == 3 and alike:
        said.append("all grey, held as three equal channels (`grey`: as one)")
    return [Remark(f"values: {'; '.join(said)}", warning=levels.holes > 0 or paged > 0)] if said else []


def of_looks(items: Items) -> list[Remark]:
    """Images that show nothing, or hardly anything."""
    total, even = len(items.spans), items.spans == 0
    faint = ~even & (items.spans < _LITTLE)
    said = [
        f"{count} of {total} images {what} ({some(items.names[which], 2)})"
        for which, what in ((even, "of one colour"), (faint, "using under an eighth of the range"))
        if (count := int(which.sum()))
    ]
    return [Remark(f"looks: {'; '.join(said)}", warning=True)] if said else []


def of_duplicates(items: Items) -> list[Remark]:
    """Files of the same content in several splits, under several classes, or several times in one."""
    contents = np.ascontiguousarray(items.digests).view("V16").ravel()
    _, ids, counts = np.unique(contents, return_inverse=True, return_counts=True)
    rows = np.flatnonzero(counts[ids] > 1)
    names, ids, labels, splits = items.names[rows], ids[rows], items.labels[rows], items.splits[rows]
    said = []
    for seen, later in ((0, 1), (0, 2), (1, 2)):
        both = names[(splits == later) & np.isin(ids, ids[splits == seen])]
        if len(both):
            said.append(f"{len(both)} of {SPLITS[later]} also in {SPLITS[seen]} ({some(both, 2)})")
    under, of_classes = np.unique(np.unique(np.stack([ids, labels]), axis=1)[0], return_counts=True)
    contradictory = names[np.isin(ids, under[of_classes > 1])]
    if len(contradictory):
        said.append(f"{len(contradictory)} under several classes ({some(contradictory, 2)})")
    again = len(rows) - np.unique(np.stack([ids, labels, splits]), axis=1).shape[1]
    if again:
        said.append(f"{again} once more in the same class and split")
    return [Remark(f"duplicates: {'; '.join(said)}", warning=True)] if said else []


def of_groups(items: Items) -> list[Remark]:
    """How many groups there are, and which the folder's own splits tear apart."""
    if items.groups is None:
        return []
    places: dict[str, set[int]] = {}
    for group, split in zip(items.groups, items.splits, strict=True):
        places.setdefault(group, set()).add(int(split))
    torn = [group for group, splits in places.items() if len(splits) > 1]
    said = f"groups: {len(places)} of {len(items.groups)} images"
    if torn:
        said += f"; {len(torn)} are in several splits, as the folder has it ({some(torn)})"
    return [Remark(said, warning=bool(torn))]


def some(names: Iterable[str], most: int = _NAMED) -> str:
    """The first few names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more


def shown(name: str) -> str:
    """A name as it can stand in a line: what does not print is written as an escape."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in name)
