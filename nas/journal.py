"""Optuna's journal file with batches: what belongs together is written together, and a trial costs a few writes."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

from optuna.storages.journal import BaseJournalBackend, JournalFileBackend, JournalFileSymlinkLock
from optuna.study import Study


class BatchingJournal(BaseJournalBackend):
    """A journal in the format, and behind the lock, of Optuna's own file backend.

    Optuna writes and syncs each parameter and attribute of a trial by itself. Inside of `batch` records are kept in
    memory and reach the file in one write at its end. The file's lock is held meanwhile, so that the records keep
    their place among those of other writers, such as a dashboard.
    """

    def __init__(self, path: Path) -> None:
        self._lock = JournalFileSymlinkLock(str(path))
        self._file = JournalFileBackend(str(path), lock_obj=_NoLock(str(path)))
        self._batching = False
        self._pending: list[dict[str, Any]] = []
        self._in_file: int | None = None  # records, while nobody else can write

    def read_logs(self, log_number_from: int) -> Generator[dict[str, Any], None, None]:
        if not self._batching:
            yield from self._file.read_logs(log_number_from)
            return
        if self._in_file is None:
            records = list(self._file.read_logs(log_number_from))
            self._in_file = log_number_from + len(records)
            yield from records
        yield from self._pending[max(0, log_number_from - self._in_file) :]

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        if self._batching:
            # What comes back must be what a reader of the file will see, down to tuples that turn into lists.
            self._pending += json.loads(json.dumps(logs))
        else:
            with self._locked():
                self._file.append_logs(logs)

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        """Keep records in memory until the end; they are written also when an exception ends the batch."""
        with self._locked():
            self._batching = True
            try:
                yield
            finally:
                pending, self._pending = self._pending, []
                self._batching, self._in_file = False, None
                if pending:
                    self._file.append_logs(pending)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()


class _NoLock(JournalFileSymlinkLock):
    """For the backend inside, whose lock is held outside."""

    def acquire(self) -> bool:
        return True

    def release(self) -> None:
        pass


def batch(study: Study) -> contextlib.AbstractContextManager[None]:
    """A batch of the study's journal; nothing where the study is kept elsewhere. Batches must not be nested."""
    backend = getattr(study._storage, "_backend", None)
    return backend.batch() if isinstance(backend, BatchingJournal) else contextlib.nullcontext()
