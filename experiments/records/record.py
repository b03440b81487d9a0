"""What the JSON files of a run folder have in common: how each is read, and how a damaged one is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from experiments.errors import UserError
from experiments.records.values import RecordError, plain, read_value
from nas import files

AGAIN = "mend it, or remove it and the run writes it anew"


@dataclass(frozen=True)
class Record:
    """The content of a file of a run folder, a field for each of its keys and in their order.

    FILE: its name. WHAT: what it is, MEND: what helps where it is damaged, in words. Files of older versions have fewer
    keys: a field that was not always there has a default.
    """

    FILE: ClassVar[str]
    WHAT: ClassVar[str]
    MEND: ClassVar[str] = AGAIN

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """From the file's content. Raises RecordError, naming the field, where it is damaged."""
        found: Self = read_value(cls, value)
        return found

    def to_json(self) -> Any:
        """The file's content."""
        return plain(self)


R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path) -> R:
    """A record's file. Raises UserError, naming file and field and saying how to mend it, where it is damaged."""
    try:
        with named_record(kind, path):
            return kind.from_json(_read(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


@contextmanager
def named_record(kind: type[Record], path: Path) -> Iterator[None]:
    """Turn RecordErrors about the record at `path` into UserErrors."""
    try:
        yield
    except RecordError as error:
        line = " ".join(str(error).split())
        raise UserError(f"{path}: not {kind.WHAT}: {line}; {kind.MEND}") from None


def read_json(path: Path) -> Any:
    """A JSON file's content. Raises UserError, naming the file."""
    try:
        return _read(path)
    except (OSError, RecordError) as error:
        line = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"{path}: {line}") from None


def _read(path: Path) -> Any:
    try:
        return files.read_json(path)
    except ValueError as error:
        raise RecordError(str(error)) from None
