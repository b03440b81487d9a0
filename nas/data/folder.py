"""What an image folder holds: its classes, the files of each split, and what is in it beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from nas.data.dataset import SPLITS, DataError
from nas.data.walk import ImageFile, Walk, folders_in, loose_images, normal, overlap

_NAMES = {
    "train": "train", "training": "train", "trn": "train",
    "val": "val", "valid": "val", "validation": "val", "validate": "val", "dev": "val", "development": "val",
    "test": "test", "testing": "test", "tst": "test", "eval": "test", "evaluation": "test", "holdout": "test",
    "heldout": "test",
}  # fmt: skip
"""What folders of splits are called, by the split."""
_BESIDE = r"set|sets|data|dataset|split|images?|imgs?|pictures?|photos?|folder|seg|final|full|my|the"
"""Words beside the split's in such names, as in seg_train or test_set."""
_SHARED = 2  # folders of the same name that two folders hold in common make them look like splits
_NAMED = 5


@dataclass(frozen=True)
class Listing:
    """Class names in the order of their labels, and the files of each split the folder itself divides into.

    A folder of bare classes is one split, `all`. files: sorted by label and name; counts: how many of them each class
    has, by label. folders: the name of each split's folder, none of bare classes. unused: the folders that are no
    split, and image files that are in no class folder, each with what it is. empty: class folders without images.
    passed: see Walk.
    """

    classes: tuple[str, ...]
    files: dict[str, list[ImageFile]]
    counts: dict[str, list[int]]
    folders: Mapping[str, str]
    unused: tuple[str, ...]
    empty: tuple[str, ...]
    passed: Mapping[str, int]


def scan_folder(root: Path) -> Listing:
    """List `train/<class>/*.jpg` with optional `val/` and `test/`, or `<class>/*.jpg`; folders may nest in a class.

    Splits may have their other usual names, such as training, seg_test, validation, dev and eval. Raises DataError when
    there is no such folder, no image, fewer than two classes, a class outside of train/ that train/ lacks, a folder
    that cannot be read, or where it cannot be told which folders are splits and which classes.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder (give a folder of class folders with images, or digits)")
    if not root.is_dir():
        raise DataError(f"{root}: not a folder (give a folder of class folders with images, or digits)")
    splits = _split_folders(root)
    where = splits or {"all": root}
    walk = Walk(root)
    inside = {split: folders_in(folder) for split, folder in where.items()}
    entered = set(walk.enter(folder for folders in inside.values() for folder in folders))
    by_split, empty = {}, []
    for split, folders in inside.items():
        found = _by_class(walk, where[split], [folder for folder in folders if folder in entered])
        by_split[split] = {name: members for name, members in found.items() if members}
        empty += [f"{name} in {where[split].name}/" if splits else name for name in found.keys() - by_split[split]]
    first = next(iter(where))
    classes = _class_names(where[first], by_split[first], walk.passed)
    for split, members in by_split.items():
        for name in sorted(members.keys() - set(classes)):
            raise DataError(f"{where[split]}: class {name!r} has no training images; add some or remove it")
    return Listing(
        classes,
        {split: [file for name in classes for file in members.get(name, ())] for split, members in by_split.items()},
        {split: [len(members.get(name, ())) for name in classes] for split, members in by_split.items()},
        folders={split: folder.relative_to(root).as_posix() for split, folder in splits.items()},
        unused=tuple(_unused(root, where, splits)),
        empty=tuple(sorted(empty)),
        passed=walk.passed,
    )


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders that are splits: named so, and holding class folders (a class may be called `train`).

    Raises DataError where two are of one split, where there is no train/, and where other folders look like splits.
    """
    folders = folders_in(root)
    inside = {folder: _names_in(folder) for folder in folders}
    named: dict[str, list[Path]] = {}
    for folder in folders:
        if (split := _split_of(folder.name)) is not None:
            named.setdefault(split, []).append(folder)
    holding = {split: _distinct([folder for folder in each if inside[folder]]) for split, each in named.items()}
    found = {split: each for split, each in holding.items() if each}
    if not found:
        _refuse_flat(folders, named)
        _refuse_likely_splits(root, inside)
        return {}
    for split, each in found.items():
        if len(each) > 1:
            raise DataError(f"{root}: {_list(each)} are called like {split}: rename or remove all but one of them")
    kept = _distinct([each[0] for each in found.values()])
    found = {split: each for split, each in found.items() if each[0] in kept}
    if "train" not in found:
        raise DataError(f"{root}: has {next(iter(found.values()))[0].name}/ but no train/ with class folders")
    if len(found) < len(SPLITS):
        _refuse_siblings(root, found["train"][0], [folder for folder in inside if _split_of(folder.name) is None])
    return {split: _unwrapped(found[split][0]) for split in SPLITS if split in found}


def _distinct(folders: list[Path]) -> list[Path]:
    """Without links to what is, holds or lies in another of the folders."""
    real = [os.path.realpath(folder) for folder in folders if not folder.is_symlink()]
    return [
        folder
        for folder in folders
        if not folder.is_symlink() or not any(overlap(os.path.realpath(folder), other) for other in real)
    ]


def _split_of(name: str) -> str | None:
    """The split that a folder is called like, such as val for `Validation_Set`, `val2017` and `seg_val`."""
    words = [word for word in re.findall(r"[a-z]+", name.lower()) if not re.fullmatch(_BESIDE, word)]
    text = "".join(words)
    return _NAMES.get(text) or _NAMES.get(re.sub(rf"(?:{_BESIDE})$", "", text))


def _unwrapped(folder: Path) -> Path:
    """The folder of the class folders, where a split's folder holds nothing but another of that name."""
    inside = folders_in(folder)
    alone = len(inside) == 1 and not loose_images(folder)
    return _unwrapped(inside[0]) if alone and _split_of(inside[0].name) == _split_of(folder.name) else folder


def _refuse_flat(folders: list[Path], named: Mapping[str, list[Path]]) -> None:
    """Several folders called like splits, or nothing but one, without class folders in them."""
    if named and (len(named) > 1 or len(folders) == sum(map(len, named.values()))):
        folder = next(iter(named.values()))[0]
        raise DataError(
            f"{folder}: no class folders in it (expected {folder}/<class>/*.jpg; if it is a class, put all classes "
            "into a folder train)"
        )


def _refuse_likely_splits(root: Path, inside: Mapping[Path, frozenset[str]]) -> None:
    """Folders that would be classes, but hold folders of the same names, or are called like a split among others."""
    for one, other in combinations(inside, 2):
        shared = sorted(inside[one] & inside[other])
        if len(shared) >= _SHARED:
            raise DataError(
                f"{root}: {one.name}/ and {other.name}/ hold the same folders ({_some(shared)}): if they are splits, "
                "name them train, val or test; if they are classes, put all classes into a folder train"
            )
    for folder, names in inside.items():
        words = re.findall(r"[a-z]+", folder.name.lower())
        if names and any(word in _NAMES for word in words):
            raise DataError(
                f"{folder}: holds folders and is called like a split: if it is one, name it train, val or test; "
                "if it is a class, put all classes into a folder train"
            )


def _refuse_siblings(root: Path, train: Path, others: list[Path]) -> None:
    """A folder beside train/ with the same classes, where a split would be cut from train/."""
    for folder in others:
        shared = sorted(_names_in(folder) & _names_in(train))
        if len(shared) >= _SHARED:
            raise DataError(
                f"{root}: {folder.name}/ holds the same folders as {train.name}/ ({_some(shared)}): if it is a split, "
                "name it val or test; else move it elsewhere"
            )


def _by_class(walk: Walk, where: Path, folders: list[Path]) -> dict[str, list[ImageFile]]:
    """Class name -> its image files. Raises DataError where two folders have one name."""
    found: dict[str, list[ImageFile]] = {}
    for folder in folders:
        name = normal(folder.name)
        if name in found:
            raise DataError(f"{where}: two folders are called {name!r}, written in different ways; rename one")
        found[name] = walk.images(folder)
    return found


def _class_names(where: Path, members: Mapping[str, list[ImageFile]], passed: Mapping[str, int]) -> tuple[str, ...]:
    """The classes in the order of their labels. Raises DataError where there are fewer than two."""
    classes = tuple(sorted(members))
    if not classes:
        loose = loose_images(where)
        found = [f"{loose} images in no folder"] if loose else []
        found += [f"{count} {kind}" for kind, count in passed.items()]
        there = f", but {_some(found)}" if found else ""
        raise DataError(f"{where}: no images in class folders (expected {where}/<class>/*.jpg){there}")
    if len(classes) == 1:
        folder = where / classes[0]
        hint = f" (if its folders are the classes, give {folder})" if folder.is_dir() and folders_in(folder) else ""
        raise DataError(f"{where}: only one class with images, {classes[0]!r}; at least two are needed{hint}")
    return classes


def _unused(root: Path, where: Mapping[str, Path], splits: Mapping[str, Path]) -> Iterator[str]:
    """The folders beside those of splits, and the image files that are in no class folder."""
    if splits:
        used = {folder.relative_to(root).parts[0] for folder in splits.values()}
        for folder in folders_in(root):
            if folder.name not in used:
                link = " (a link)" if folder.is_symlink() else ""
                inside = "" if _names_in(folder) else " (no class folders in it)"
                yield f"{folder.name}/{link or inside}"
    for folder in dict.fromkeys((root, *where.values())):
        count = loose_images(folder)
        if count:
            yield f"{count} images directly in {folder.name}/"


def _names_in(folder: Path) -> frozenset[str]:
    """The names of the folders in a folder, without regard to capital letters."""
    return frozenset(normal(each.name).casefold() for each in folders_in(folder))


def _list(folders: list[Path]) -> str:
    return " and ".join(f"{folder.name}/" for folder in folders)


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + (" ..." if len(names) > _NAMED else "")
