"""Optuna's journal file with batches: what belongs together is written together, and a trial costs a few writes."""

from __future__ import annotations

import contextlib
import errno
import json
import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock
from optuna.study import Study

from nas.files import own_file
from nas.study.optuna_adapter import JournalOperation, backend_of
from search_spaces.json_text import parse_json

_LINE = "line"  # key of a record, beside Optuna's own: its line in the file, from 1
_KNOWN = frozenset(int(each) for each in JournalOperation)


class BatchingJournal(BaseJournalBackend):
    """A journal in the format, and behind the lock, of Optuna's own file backend.

    Optuna writes and syncs each parameter and attribute of a trial by itself. Inside of `batch` records are kept in
    memory and reach the file in one write at its end. The file's lock is held meanwhile, so that the records keep
    their place among those of other writers, such as a dashboard. What was read or written once is not read again, so
    that a trial costs the same however long the journal is.

    Each record also tells its line in the file, so that lines that were lost from its middle are noticed. Optuna passes
    over that, and writers of its own do not say it.
    """

    def __init__(self, path: Path) -> None:
        self._lock = JournalFileSymlinkLock(str(path))
        self._path = path
        self._known = (0, 0)  # records, and the bytes that they take from the file's begin
        self._pending: list[dict[str, Any]] = []
        self._lines: list[str] = []  # of the file, for what is pending
        self._in_file: int | None = None  # records of the file, in a batch: nobody else can write meanwhile
        if not path.exists():
            open(path, "ab", opener=own_file).close()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if self._in_file is None or log_number_from < self._in_file:
            yield from self._read(log_number_from)
        if self._in_file is not None:
            yield from self._pending[max(0, log_number_from - self._in_file) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._in_file is not None:
            # What comes back must be what a reader of the file will see, down to tuples that turn into lists.
            lines = _numbered(logs, self._in_file + len(self._lines))
            self._lines += lines
            self._pending += [json.loads(line) for line in lines]
        else:
            with self._locked():
                self._write(_numbered(logs, self._read_to_end()), durable=True)

    @contextlib.contextmanager
    def batch(self, *, durable: bool = True) -> Iterator[None]:
        """Keep records in memory until the end; they are written also when an exception ends the batch.

        Where they are not `durable` a crash of the machine, though none of the program, may lose them.
        """
        with self._locked():
            in_file = self._in_file = self._read_to_end()
            try:
                yield
            finally:
                lines, self._lines, self._pending, self._in_file = self._lines, [], [], None
                if lines:
                    written = self._write(lines, durable=durable)
                    self._known = (in_file + len(lines), self._known[1] + written)

    def _read_to_end(self) -> int:
        """How many records the file holds."""
        for _ in self._read(self._known[0]):
            pass
        return self._known[0]

    def _read(self, start: int) -> Generator[dict[str, Any], None, None]:
        """The file's records from number `start` on. Raises ValueError for one that is damaged before the last."""
        number, position = self._known if self._known[0] <= start else (0, 0)
        damage: ValueError | None = None
        with self._path.open("rb") as file:
            file.seek(position)
            for line in file:
                if damage is not None:
                    raise damage
                if not line.endswith(b"\n"):
                    break  # somebody is writing it
                try:
                    record = parse_record(line)
                except ValueError as error:
                    damage = ValueError(f"line {number + 1}: {error}")
                    continue
                check_record(record, number + 1)
                number, position = number + 1, position + len(line)
                if number > self._known[0]:
                    self._known = (number, position)
                if number > start:
                    yield record

    def _write(self, lines: list[str], *, durable: bool) -> int:
        data = "".join(lines).encode()
        with open(self._path, "ab", opener=own_file) as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        return len(data)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            try:
                self._lock.release()
            except RuntimeError:  # Optuna's, where the lock is gone
                raise OSError(errno.ENOENT, "its folder or its lock was removed", str(self._path)) from None


def _numbered(records: Sequence[Mapping[str, Any]], before: int) -> list[str]:
    """The lines of records that follow so many others."""
    return [
        json.dumps({**record, _LINE: number}, separators=(",", ":")) + "\n"
        for number, record in enumerate(records, before + 1)
    ]


def parse_record(line: bytes) -> dict[str, Any]:
    """The record in a line of a journal. Raises ValueError, saying why, where there is none."""
    record = parse_json(line)
    if not isinstance(record, dict) or "op_code" not in record:
        raise ValueError("not a record")
    return record


def check_record(record: Mapping[str, Any], line: int) -> None:
    """Raise ValueError, naming the line, where a record is of a kind that this Optuna does not know, or tells another
    line than it is in."""
    if type(record["op_code"]) is not int or record["op_code"] not in _KNOWN:
        raise ValueError(f"line {line}: unknown operation {record['op_code']!r:.40}: written by a newer Optuna?")
    told = record.get(_LINE, line)
    if told != line:
        raise ValueError(f"line {line} was written as line {told!r:.40}: lines before it are missing, or out of place")


def batch(study: Study, *, durable: bool = True) -> contextlib.AbstractContextManager[None]:
    """A batch of the study's journal; nothing where the study is kept elsewhere. Batches must not be nested."""
    backend = backend_of(study)
    return backend.batch(durable=durable) if isinstance(backend, BatchingJournal) else contextlib.nullcontext()
