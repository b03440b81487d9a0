"""Files written safely: replaced in one step, so that a kill leaves the old one or the new one, whole; no link is
followed; what others made is read within bounds.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search_spaces.json_text import parse_json

PARTIAL = ".partial"
"""How the names of files end that are being written; a kill may leave one behind, which nothing reads."""


@contextmanager
def replacing(path: Path, *, durable: bool) -> Iterator[Path]:
    """A new, empty file beside `path` to write to, which takes its place when the block ends.

    Its name begins as that of `path` and cannot be foretold; it is made for this block alone, so that no file and no
    link that lay there before is written to. A `path` that is a link is itself replaced, not what it points to.

    durable: wait until the content is on the disk, so that a power failure too leaves one of the two; for what costs
    much to make again. Where the block raises, `path` stays as it was.

    Raises OSError where the folder cannot be written, and where `path` is a folder, a device or a pipe, or a link to
    one: no file may take the place of these.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "is there, and no regular file", str(path))
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}{PARTIAL}")
    os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o666))
    try:
        yield draft
        if durable:
            _flush(draft)
        draft.replace(path)
        if durable:
            _flush(path.parent)  # the new name is the folder's content
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def replace_bytes(path: Path, content: bytes, *, durable: bool) -> None:
    """Write a file in one step; see `replacing`."""
    with replacing(path, durable=durable) as draft:
        draft.write_bytes(content)


def replace_text(path: Path, text: str, *, durable: bool) -> None:
    """Write a text in UTF-8 in one step; see `replacing`.

    Bytes of a path that are no UTF-8, which Python keeps as lone surrogates, are written as `\\udc..`.
    """
    replace_bytes(path, text.encode(errors="backslashreplace"), durable=durable)


def own_file(path: str, flags: int) -> int:
    """An opener (see the builtin `open`) for files that are written in place, such as a lock or a journal.

    flags: without O_TRUNC, which would empty a file before it is looked at. Raises OSError where `path` is a link, no
    regular file, or has a second name: a write would change a file elsewhere.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise _foreign(path, "is a link, which is not followed") from None
        if error.errno == errno.ENXIO:  # a pipe or a socket that nobody reads
            raise _foreign(path, "is no regular file") from None
        raise
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_nlink <= 1:
        return descriptor
    os.close(descriptor)
    raise _foreign(path, "has a second name (hard link)" if stat.S_ISREG(found.st_mode) else "is no regular file")


def own_folder(path: Path) -> None:
    """Make a folder, and those that hold it, where it is not there. Raises OSError where it is a link."""
    if path.is_symlink():
        raise _foreign(str(path), "is a link, which is not followed")
    path.mkdir(parents=True, exist_ok=True)


def _foreign(path: str, what: str) -> OSError:
    return OSError(errno.EPERM, f"{what}; remove it", path)


def read_bounded(path: Path, limit: int) -> bytes:
    """The content of a file of at most `limit` bytes. Raises OSError where it is larger, or no regular file: a device
    or a pipe may have no end.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "is no regular file", str(path))
        content = file.read(limit + 1)
    if len(content) > limit:
        raise OSError(errno.EFBIG, f"is larger than {limit / 1e6:g} MB", str(path))
    return content


LARGEST_JSON = 32_000_000
"""Bytes of a JSON file that is read. Those of a run have some kilobytes; with 100,000 classes, some megabytes."""


def read_json(path: Path) -> Any:
    """The value in a JSON file of at most LARGEST_JSON bytes. Raises OSError as `read_bounded` does, and ValueError as
    `search_spaces.json_text.parse_json` does.
    """
    return parse_json(read_bounded(path, LARGEST_JSON))


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
