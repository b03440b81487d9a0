"""Optuna's journal file with batches: what belongs together is written together, and a trial costs a few writes."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileSymlinkLock
from optuna.study import Study

from nas.study.optuna_adapter import backend_of


class BatchingJournal(BaseJournalBackend):
    """A journal in the format, and behind the lock, of Optuna's own file backend.

    Optuna writes and syncs each parameter and attribute of a trial by itself. Inside of `batch` records are kept in
    memory and reach the file in one write at its end. The file's lock is held meanwhile, so that the records keep
    their place among those of other writers, such as a dashboard. What was read or written once is not read again, so
    that a trial costs the same however long the journal is.
    """

    def __init__(self, path: Path) -> None:
        self._lock = JournalFileSymlinkLock(str(path))
        self._path = path
        self._known = (0, 0)  # records, and the bytes that they take from the file's begin
        self._batching = False
        self._pending: list[dict[str, Any]] = []
        self._lines: list[str] = []  # of the file, for what is pending
        self._in_file: int | None = None  # records, while nobody else can write
        if not path.exists():
            path.touch()

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if not self._batching:
            yield from self._read(log_number_from)
            return
        if self._in_file is None:
            records = list(self._read(log_number_from))
            self._in_file = log_number_from + len(records)
            yield from records
        yield from self._pending[max(0, log_number_from - self._in_file) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._batching:
            # What comes back must be what a reader of the file will see, down to tuples that turn into lists.
            self._lines += [_line(log) for log in logs]
            self._pending += [json.loads(line) for line in self._lines[len(self._pending) :]]
        else:
            with self._locked():
                self._write([_line(log) for log in logs], durable=True)

    @contextlib.contextmanager
    def batch(self, *, durable: bool = True) -> Iterator[None]:
        """Keep records in memory until the end; they are written also when an exception ends the batch.

        Where they are not `durable` a crash of the machine, though none of the program, may lose them.
        """
        with self._locked():
            self._batching = True
            try:
                yield
            finally:
                lines, self._lines, self._pending = self._lines, [], []
                in_file, self._batching, self._in_file = self._in_file, False, None
                if lines:
                    written = self._write(lines, durable=durable)
                    if self._known[0] == in_file:
                        self._known = (in_file + len(lines), self._known[1] + written)

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
                number, position = number + 1, position + len(line)
                if number > self._known[0]:
                    self._known = (number, position)
                if number > start:
                    yield record

    def _write(self, lines: list[str], *, durable: bool) -> int:
        data = "".join(lines).encode()
        with self._path.open("ab") as file:
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
            self._lock.release()


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"


def parse_record(line: bytes) -> dict[str, Any]:
    """The record in a line of a journal. Raises ValueError, saying why, where there is none."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg} at column {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(record, dict) or "op_code" not in record:
        raise ValueError("not a record")
    return record


def batch(study: Study, *, durable: bool = True) -> contextlib.AbstractContextManager[None]:
    """A batch of the study's journal; nothing where the study is kept elsewhere. Batches must not be nested."""
    backend = backend_of(study)
    return backend.batch(durable=durable) if isinstance(backend, BatchingJournal) else contextlib.nullcontext()
