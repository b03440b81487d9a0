"""The image files below a class folder, and what is passed over on the way. Opens no file that has a suffix."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from nas.data.dataset import DataError
from nas.data.decode import begins_as_image, suffixes

HIDDEN, SPECIAL, LINKS = "hidden", "pipes, sockets or devices", "links to what is in the data folder already"
NO_SUFFIX = "without a suffix"
_BY_SYSTEMS = frozenset({"__macosx", "@eadir", "$recycle.bin", "system volume information", "lost+found", "thumbs.db",
                         "desktop.ini"})  # fmt: skip


@dataclass(frozen=True)
class ImageFile:
    """One file of a class: name is relative to the data folder; size in bytes, -1 where that is not known; mtime in
    nanoseconds."""

    path: Path
    name: str
    size: int
    mtime: int


@dataclass
class Walk:
    """A walk through the class folders of the data folder `root`, each of which is gone through once.

    passed: how many entries were passed over, by suffix or by reason.
    """

    root: Path
    passed: Counter[str] = field(default_factory=Counter)
    _classes: set[str] = field(default_factory=set)
    _walked: set[str] = field(default_factory=set)

    def enter(self, folders: Iterable[Path]) -> list[Path]:
        """Class folders to be walked; a link to another of them, or to a folder around, is passed over.

        Called with all of them, before the walk: links below are followed only to what is in none of them.
        """
        entered = []
        for folder in sorted(folders, key=os.path.islink):
            real = os.path.realpath(folder)
            if folder.is_symlink() and self._leads_back(real, folder.parent):
                self.passed[LINKS] += 1
            else:
                self._classes.add(real)
                entered.append(folder)
        return sorted(entered)

    def images(self, folder: Path) -> list[ImageFile]:
        """The image files of a class in the order of their names. Raises DataError where a folder cannot be read."""
        found: list[ImageFile] = []
        waiting = [folder]
        while waiting:
            at = waiting.pop()
            real = os.path.realpath(at)
            if real in self._walked:
                self.passed[LINKS] += 1
                continue
            self._walked.add(real)
            for entry in entries(at):
                path = Path(entry.path)
                if is_hidden(entry.name):
                    self.passed[HIDDEN] += 1
                elif (file := self._file(entry, path)) is not None:
                    found.append(file)
                elif _is_dir(entry):
                    if entry.is_symlink() and self._leads_back(os.path.realpath(path), at):
                        self.passed[LINKS] += 1
                    else:
                        waiting.append(path)
        return sorted(found, key=lambda file: normal(file.path.as_posix()))

    def _file(self, entry: os.DirEntry[str], path: Path) -> ImageFile | None:
        """The entry as an image file; None for a folder, and for what is passed over, which is counted."""
        suffix = path.suffix.lower()
        try:
            found = entry.stat()
        except OSError:  # a link that leads nowhere, a file that may not be looked at: reading it will say so
            if suffix not in suffixes():
                self.passed[suffix or NO_SUFFIX] += 1
                return None
            return ImageFile(path, self._name(path), -1, 0)
        if stat.S_ISDIR(found.st_mode):
            return None
        if not stat.S_ISREG(found.st_mode):  # opening one may wait, or read, without end
            self.passed[SPECIAL] += 1
        elif entry.is_symlink() and self._in_a_class(os.path.realpath(path)):
            self.passed[LINKS] += 1
        elif suffix in suffixes() or (not suffix and found.st_size and _begins_as_image(path)):
            return ImageFile(path, self._name(path), found.st_size, found.st_mtime_ns)
        else:
            self.passed[suffix or NO_SUFFIX] += 1
        return None

    def _name(self, path: Path) -> str:
        return normal(path.relative_to(self.root).as_posix())

    def _leads_back(self, real: str, at: Path) -> bool:
        """Whether a folder is around the folder `at`, or is, holds or lies in a class folder."""
        around = _within(os.path.realpath(at), real)
        return around or self._in_a_class(real) or any(_within(each, real) for each in self._classes)

    def _in_a_class(self, real: str) -> bool:
        return real in self._classes or any(str(parent) in self._classes for parent in Path(real).parents)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """What is in a folder, by name. Raises DataError where that cannot be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except PermissionError:
        raise DataError(f"{folder}: may not be read (permission denied)") from None
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror})") from None


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, by name, without hidden ones. Raises DataError where it cannot be read."""
    return [Path(entry.path) for entry in entries(folder) if _is_dir(entry) and not is_hidden(entry.name)]


def loose_images(folder: Path) -> int:
    """How many image files lie directly in a folder, by their suffix."""
    return sum(
        not _is_dir(entry) and not is_hidden(entry.name) and Path(entry.name).suffix.lower() in suffixes()
        for entry in entries(folder)
    )


def is_hidden(name: str) -> bool:
    """Whether a name is hidden, or one that an operating system leaves in folders."""
    return name.startswith(".") or name.lower() in _BY_SYSTEMS


def normal(name: str) -> str:
    """One form for names that file systems compose differently."""
    return unicodedata.normalize("NFC", name)


def _is_dir(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def overlap(one: str, other: str) -> bool:
    """Whether two real paths are one, or one lies in the other."""
    return _within(one, other) or _within(other, one)


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _begins_as_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return begins_as_image(file.read(16))
    except OSError:
        return False
