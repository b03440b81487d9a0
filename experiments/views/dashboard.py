"""optuna-dashboard over a run's journals, on this machine alone."""

from __future__ import annotations

from pathlib import Path

from optuna.storages import JournalStorage

from experiments.errors import UserError
from experiments.run.folder import STUDIES, RunFolder
from nas.study.journal import BatchingJournal

HOST = "127.0.0.1"
NEEDS = "the dashboard needs the package optuna-dashboard: pip install '.[dashboard]' in the project's folder"


def journal_of(folder: RunFolder, study: str) -> Path:
    """The journal of one of a run's studies. Raises UserError, naming those there are."""
    there = [name for name in STUDIES if folder.journal(name).exists()]
    if study not in there:
        raise UserError(f"{folder.path}: has no study {study!r}; it has {', '.join(there) or 'none yet'}")
    return folder.journal(study)


def serve(folder: RunFolder, study: str, port: int) -> None:
    """Serve a study until interrupted, on the loopback interface. Raises UserError where the package is missing, the
    port is taken or the study is not there."""
    journal = journal_of(folder, study)
    try:
        from optuna_dashboard import run_server  # noqa: PLC0415  optional
    except ImportError:
        raise UserError(NEEDS) from None
    try:
        run_server(JournalStorage(BatchingJournal(journal)), host=HOST, port=port)
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror}; choose another") from None
