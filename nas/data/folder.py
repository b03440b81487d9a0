"""What an image folder holds: its classes and the files of each split. Looks at names only, opens no image."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from nas.data.dataset import SPLITS, DataError

_log = logging.getLogger(__name__)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})
SPLIT_FOLDERS = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


@dataclass(frozen=True)
class ImageFile:
    """One file of a class: name is relative to the data folder; size in bytes, mtime in nanoseconds."""

    path: Path
    name: str
    label: int
    size: int
    mtime: int


@dataclass(frozen=True)
class Listing:
    """Class names in the order of their labels, and the files of each split the folder itself divides into.

    A folder of bare classes is one split, `all`. Files are sorted by label and name.
    """

    classes: tuple[str, ...]
    files: dict[str, list[ImageFile]]


def scan_folder(root: Path) -> Listing:
    """List `train/<class>/*.jpg` with optional `val/` and `test/`, or `<class>/*.jpg`; folders may nest in a class.

    Hidden files and files that are no images by their suffix are passed over. Raises DataError when there is no such
    folder, no image, fewer than two classes, or a class outside of train/ that train/ lacks.
    """
    if not root.exists():
        raise DataError(f"{root}: no such folder (give a folder of class folders with images, or digits)")
    if not root.is_dir():
        raise DataError(f"{root}: not a folder (give a folder of class folders with images, or digits)")
    try:
        return _scan(root)
    except PermissionError as error:
        raise DataError(f"{error.filename}: may not be read (permission denied)") from None


def _scan(root: Path) -> Listing:
    split_folders = _split_folders(root)
    if split_folders and "train" not in split_folders:
        raise DataError(f"{root}: has {next(iter(split_folders.values())).name}/ but no train/ with class folders")
    by_split = {split: _classes(folder) for split, folder in split_folders.items()} or {"all": _classes(root)}
    first = next(iter(by_split))
    classes = tuple(sorted(by_split[first]))
    where = split_folders.get(first, root)
    if not classes:
        raise DataError(f"{where}: no images in class folders (expected {where}/<class>/*.jpg)")
    if len(classes) == 1:
        raise DataError(f"{where}: only one class with images, {classes[0]!r}; at least two are needed")
    labels = {name: label for label, name in enumerate(classes)}
    files: dict[str, list[ImageFile]] = {}
    for split, members in by_split.items():
        for name in sorted(members):
            if name not in labels:
                raise DataError(f"{split_folders[split]}: class {name!r} has no training images; add some or remove it")
            files.setdefault(split, []).extend(_image_file(root, path, labels[name]) for path in members[name])
    return Listing(classes, files)


def _split_folders(root: Path) -> dict[str, Path]:
    """The folders that are splits: named so, and holding class folders (a class may be called `train`)."""
    folders = list(_folders(root))
    found = {SPLIT_FOLDERS[f.name.lower()]: f for f in folders if f.name.lower() in SPLIT_FOLDERS and any(_folders(f))}
    if not found and folders and all(f.name.lower() in SPLIT_FOLDERS for f in folders):
        raise DataError(f"{folders[0]}: no class folders in it (expected {folders[0]}/<class>/*.jpg)")
    return {split: found[split] for split in SPLITS if split in found}


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith("."))


def _classes(folder: Path) -> dict[str, list[Path]]:
    """Class name -> its image files; a class folder without any is named in a warning and left out."""
    found = {_normal(f.name): sorted(_images(f), key=lambda path: _normal(path.as_posix())) for f in _folders(folder)}
    empty = [name for name, paths in found.items() if not paths]
    if empty:
        _log.warning("%s: left out, no images in it: %s", folder, ", ".join(empty))
    return {name: paths for name, paths in found.items() if paths}


def _images(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()  # links between folders may form a loop
    for at, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(at)
        folders[:] = [] if real in seen else [name for name in folders if not name.startswith(".")]
        if real not in seen:
            seen.add(real)
            yield from (
                Path(at, name) for name in files if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES
            )


def _image_file(root: Path, path: Path, label: int) -> ImageFile:
    try:
        stat = path.stat()
        size, mtime = stat.st_size, stat.st_mtime_ns
    except OSError:  # a dangling link; decoding will name it
        size, mtime = 0, 0
    return ImageFile(path, _normal(path.relative_to(root).as_posix()), label, size, mtime)


def _normal(name: str) -> str:
    """One form for names that file systems compose differently."""
    return unicodedata.normalize("NFC", name)
