"""The record of a search: an Optuna study in a journal file, written by one driver, that survives any kill."""

from __future__ import annotations

import contextlib
import fcntl
import io
import logging
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TextIO

import optuna
from optuna.storages import JournalStorage
from optuna.study import Study, StudyDirection
from optuna.trial import TrialState

from nas.files import own_file, replacing
from nas.score import Score
from nas.study.attributes import check_attrs, lacking_attrs, measured, stored_cost
from nas.study.journal import BatchingJournal, batch, check_record, parse_record
from nas.study.pruning import EXPECTED, EXPECTED_SCORE, RUNG

Direction = Literal["minimize", "maximize"] | StudyDirection
_log = logging.getLogger(__name__)
_REMEDY = "put a copy from before in its place, or delete it to begin anew"
_LOCK = ".lock"
_A_LOOK = 0.2  # seconds: far longer than the lock is held to see whether a driver has it
_SCORE = "score"  # study attribute: the score that the values are of
_FIRST = b'{"op_code":'  # what each journal begins with


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Hold `folder` as its only driver. The system frees the lock of a process that died, however it died.

    Raises ValueError, naming the holder's process id, when another process has it, or when the lock cannot be written.
    """
    path = folder / _LOCK
    try:
        file = open(path, "a+", encoding="utf-8", opener=own_file)  # noqa: SIM115  closed below
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from None
    with file:
        try:
            _hold(file)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise ValueError(f"{folder}: in use by process {holder}; wait for it or stop it") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _hold(file: TextIO) -> None:
    """Raises BlockingIOError where another process has the lock, and not only to look, as `driver_lives` does."""
    until = time.monotonic() + _A_LOOK
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                raise
            time.sleep(_A_LOOK / 20)


def driver_lives(folder: Path) -> bool:
    """Whether a process holds `folder` as its driver, see `run_lock`; true also where that cannot be told. Writes
    nothing."""
    try:
        lock = os.open(folder / _LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False


class JournalError(ValueError):
    """A journal that cannot be read to its end, or written; the message is one line for people."""


def open_study(
    path: Path,
    name: str,
    directions: Sequence[Direction] = ("maximize",),
    sampler: optuna.samplers.BaseSampler | None = None,
    score: Score | None = None,
) -> Study:
    """The study `name` in the journal at `path`, for its one writer; made when it is not there.

    What a kill left half written is mended first, and told in one line. Where a score is given and the values in the
    journal are another score's, they are computed again from the stored accuracy and MACs. Raises JournalError when the
    file cannot be written, is damaged before its end, or holds something that is not even the begin of a record.
    """
    try:
        _mend(path)
        # A driver killed while it wrote leaves Optuna's own lock behind, which would hold the next one up.
        path.with_name(path.name + ".lock").unlink(missing_ok=True)
        study = _create(path, name, directions, sampler)
        if score is not None and study.user_attrs.get(_SCORE) != asdict(score):
            if study.get_trials(deepcopy=False):
                rescore(path, name, score)
                study = _create(path, name, directions, sampler)
            else:
                study.set_user_attr(_SCORE, asdict(score))
        _check_trials(path, study)
    except OSError as error:
        raise JournalError(f"{path}: cannot be written: {error.strerror}") from None
    return study


def read_study(path: Path, name: str) -> Study:
    """The study for reading, also while a driver writes it; one without trials where nothing is written yet.

    Raises JournalError when there is none.
    """
    if not path.is_file():
        raise JournalError(f"{path}: {'is no regular file' if path.exists() else 'no such file'}")
    with path.open("rb") as file:
        if _is_cut(file.readline()):
            return optuna.create_study(study_name=name, direction="maximize")
    try:
        study = optuna.load_study(study_name=name, storage=_storage(path))
    except KeyError:
        raise JournalError(f"{path}: holds no study {name!r}; {_REMEDY}") from None
    _check_trials(path, study)
    return study


def rescore(path: Path, name: str, score: Score) -> None:
    """Rewrite the journal so that every trial with a value has the value `score` gives it.

    The new file takes the old one's place in one step. Trials keep their numbers, parameters, attributes and times;
    what samplers noted about the whole study is left out, for it was drawn from the old values.
    """
    old = read_study(path, name)
    with _telling_damage(path):
        copy_study(old, path, name, score)


def copy_study(old: Study, path: Path, name: str, score: Score) -> None:
    """Write a journal whose study `name` holds what `old` does, with the values that `score` gives; see `rescore`."""
    with replacing(path, durable=True) as beside:
        _copy_to(beside, old, name, score)


def _copy_to(path: Path, old: Study, name: str, score: Score) -> None:
    new = _create(path, name, old.directions, None)
    for key, value in old.user_attrs.items():
        new.set_user_attr(key, value)
    new.set_user_attr(_SCORE, asdict(score))
    with batch(new):
        for trial in old.get_trials(deepcopy=True):
            value, cost = measured(trial.user_attrs), stored_cost(trial)
            if trial.state == TrialState.COMPLETE and value is not None and cost is not None:
                trial.values = [score(value, cost)]
            if EXPECTED in trial.user_attrs and cost is not None:
                attrs = trial.user_attrs
                trial.user_attrs = attrs | {EXPECTED_SCORE: score(attrs[EXPECTED], cost)}
            if old.user_attrs.get(_SCORE) != asdict(score):  # what pruners noted was of the old score
                trial.system_attrs = {k: v for k, v in trial.system_attrs.items() if not k.startswith(RUNG)}
            new.add_trial(trial)


# --- The file ----------------------------------------------------------------------------------------------------


def _storage(path: Path) -> JournalStorage:
    with _telling_damage(path):
        return JournalStorage(BatchingJournal(path))


@contextlib.contextmanager
def _telling_damage(path: Path) -> Iterator[None]:
    """Turn whatever is raised of a journal's content into a JournalError: Optuna takes for granted that each record has
    what it writes there."""
    try:
        yield
    except (OSError, JournalError):
        raise
    except ValueError as error:
        raise _damaged(path, error) from None
    except Exception as error:
        raise _damaged(path, f"a record lacks something or has it wrong ({type(error).__name__}: {error})") from None


def _create(
    path: Path, name: str, directions: Sequence[Direction], sampler: optuna.samplers.BaseSampler | None
) -> Study:
    storage = _storage(path)
    if name in optuna.get_all_study_names(storage):
        return optuna.load_study(study_name=name, storage=storage, sampler=sampler)
    return optuna.create_study(study_name=name, storage=storage, sampler=sampler, directions=list(directions))


def _check_trials(path: Path, study: Study) -> None:
    """Raise JournalError where a trial has something else than is stored of it, or a finished one lacks a part of that,
    as when a line is missing."""
    with _telling_damage(path):
        trials = study.get_trials(deepcopy=False)
        figures = {name for trial in trials for name in ("macs", "params") if name in trial.user_attrs}
        for trial in trials:
            lacking = lacking_attrs(trial, figures)
            if lacking:
                raise ValueError(f"trial {trial.number} lacks {', '.join(sorted(lacking))}")
            try:
                check_attrs(trial.user_attrs)
            except ValueError as error:
                raise ValueError(f"trial {trial.number}: {error}") from None


def _mend(path: Path) -> None:
    """Drop what follows the last whole record: half a line, or zeros that a crash of the machine left.

    Each change is one system call, so that a kill in between loses nothing. Raises JournalError, and changes nothing,
    where a line before the last whole record is none, or where there is no whole record, nor the begin of the first.
    """
    if not path.exists():
        return
    with open(path, "r+b", opener=own_file) as file:
        data = file.read()
        end = len(data)
        while end:
            start = data.rfind(b"\n", 0, end - 1) + 1
            if _is_record(data[start:end]):
                break
            end = start
        if not end and not _is_cut(data):
            raise JournalError(f"{path}: damaged journal: not one record is whole; {_REMEDY}")
        for number, line in enumerate(io.BytesIO(data[:end]), 1):
            try:
                record = parse_record(line)
            except ValueError as error:
                raise _damaged(path, f"line {number}: {error}") from None
            try:
                if number == 1 and record["op_code"] != 0:
                    raise ValueError("line 1: not the begin of a study")
                check_record(record, number)
            except ValueError as error:
                raise _damaged(path, error) from None
        if end < len(data):
            file.truncate(end)
            _log.warning("%s: dropped its last %d bytes, which a kill left half written", path, len(data) - end)
        if end and not data[:end].endswith(b"\n"):
            file.seek(end)
            file.write(b"\n")


def _is_record(line: bytes) -> bool:
    try:
        parse_record(line)
    except ValueError:
        return False
    return True


def _is_cut(data: bytes) -> bool:
    """Whether this is nothing, or the begin of a first record, which a kill cut or somebody is writing."""
    return data[: len(_FIRST)] == _FIRST[: len(data)] and b"\n" not in data


def _damaged(path: Path, cause: object) -> JournalError:
    line = " ".join(str(cause).split())
    return JournalError(
        f"{path}: damaged journal: {line}; a copy from before, or the lines before the damaged one, will do"
    )
