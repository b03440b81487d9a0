"""Files that are replaced in one step: a kill leaves the old one or the new one, whole."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PARTIAL = ".partial"
"""How the names of files end that are being written; a kill may leave one behind, which nothing reads."""


@contextmanager
def replacing(path: Path, *, durable: bool) -> Iterator[Path]:
    """A new, empty file beside `path` to write to, which takes its place when the block ends.

    Its name begins as that of `path` and cannot be foretold; it is made for this block alone, so that no file and no
    link that lay there before is written to. A `path` that is a link is itself replaced, not what it points to.

    durable: wait until the content is on the disk, so that a power failure too leaves one of the two; for what costs
    much to make again. Where the block raises, `path` stays as it was. Raises OSError where the folder cannot be
    written.
    """
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
    """Write a text in UTF-8 in one step; see `replacing`."""
    replace_bytes(path, text.encode(), durable=durable)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
