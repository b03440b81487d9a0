"""The journal that writes in batches: Optuna's format and behaviour, fewer writes."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import TrialState

from nas.study.journal import BatchingJournal, batch, parse_record


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def plain(path: Path) -> Study:
    """The same study through Optuna's own backend."""
    storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


def batching(path: Path) -> Study:
    storage = JournalStorage(BatchingJournal(path))
    return optuna.create_study(study_name="s", storage=storage, load_if_exists=True)


def use(study: Study) -> None:
    trial = study.ask({"x": FloatDistribution(0.5, 0.5), "y": FloatDistribution(1, 1)})
    trial.set_user_attr("pair", (1, {2: "b"}))
    trial.report(0.25, 1)
    assert study.trials[trial.number].params == {"x": 0.5, "y": 1}
    assert study.trials[trial.number].user_attrs["pair"] == [1, {"2": "b"}]
    study.tell(trial, 0.75)
    assert study.trials[trial.number].value == 0.75


def records(path: Path) -> list[dict[str, Any]]:
    """The journal's records without what differs from run to run."""
    changing = {"worker_id", "datetime_start", "datetime_complete", "line"}
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in line.items() if name not in changing} for line in lines]


def test_a_batch_leaves_the_same_records_as_single_writes(tmp_path: Path) -> None:
    ours, theirs = batching(tmp_path / "ours"), plain(tmp_path / "theirs")
    for _ in range(2):
        with batch(ours):
            use(ours)
        use(ours)
        for _ in range(2):
            use(theirs)
    assert records(tmp_path / "ours") == records(tmp_path / "theirs")
    assert [trial.params for trial in plain(tmp_path / "ours").trials] == [trial.params for trial in ours.trials]


def test_nothing_reaches_the_file_before_the_end(path: Path) -> None:
    study = batching(path)
    before = path.read_bytes()
    with batch(study):
        use(study)
        assert path.read_bytes() == before
    assert path.read_bytes().startswith(before)
    assert len(path.read_bytes().splitlines()) == 7


def test_an_exception_ends_a_batch_without_loss(path: Path) -> None:
    study = batching(path)
    with pytest.raises(KeyError), batch(study):
        study.tell(study.ask(), dict[str, float]()["no value"])
    assert [trial.state for trial in plain(path).trials] == [TrialState.RUNNING]
    use(study)


def test_records_of_another_writer_keep_their_place(path: Path) -> None:
    ours, other = batching(path), plain(path)
    for number in range(3):
        other.ask()  # not seen by ours before the batch begins
        with batch(ours):
            use(ours)
        other.tell(2 * number, 0.5)
    assert [trial.value for trial in ours.trials] == [0.5, 0.75] * 3
    assert [trial.value for trial in plain(path).trials] == [0.5, 0.75] * 3


def test_the_file_is_locked_during_a_batch(path: Path) -> None:
    study = batching(path)
    lock = path.with_name("journal.lock")
    with batch(study):
        assert lock.is_symlink()
        study.ask()
    assert not lock.is_symlink()
    study.ask()
    assert not lock.is_symlink()


def test_a_study_kept_elsewhere_has_no_batches() -> None:
    study = optuna.create_study()
    with batch(study):
        study.tell(study.ask(), 0.5)
    assert study.best_value == 0.5


def test_nothing_is_read_twice(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[int] = []
    load = json.loads

    def count(line: bytes | str) -> Any:
        if isinstance(line, bytes):  # a line of the file
            decoded.append(1)
        return load(line)

    study = batching(path)
    monkeypatch.setattr("nas.study.journal.json.loads", count)
    for _ in range(20):
        with batch(study, durable=False):
            use(study)
        assert len(study.trials) > 0
    assert len(decoded) == 0  # all of it is our own writing
    before = len(path.read_bytes().splitlines())
    other = plain(path)
    other.ask()
    new = len(path.read_bytes().splitlines()) - before
    decoded.clear()  # the other reads all of it, of course
    assert len(study.trials) == 21
    assert len(decoded) == new > 0


def test_a_line_that_is_being_written_is_read_when_it_is_whole(path: Path) -> None:
    study = batching(path)
    study.ask()
    whole = path.read_bytes()
    line = whole.splitlines(keepends=True)[-1].replace(b',"line":2', b"")  # as other writers have it
    with path.open("ab") as file:
        file.write(line[:10])
        file.flush()
        assert len(study.trials) == 1
        file.write(line[10:])
    assert len(study.trials) == 2


def test_damage_before_the_end_is_an_error(path: Path) -> None:
    study = batching(path)
    study.ask()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"{no json\n")
    assert len(list(BatchingJournal(path).read_logs(0))) == 1
    path.write_bytes(lines[0] + b"{no json\n" + lines[1])
    with pytest.raises(ValueError, match="Expecting property name"):
        list(BatchingJournal(path).read_logs(0))


@pytest.mark.parametrize("depth", [300, 900, 100_000])
def test_a_deep_record_is_refused(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_record(b'{"op_code":2,"worker_id":"w","study_id":0,"user_attr":{"note":' + deep + b"}}\n")


@pytest.mark.parametrize("asked", [{}, {"durable": True}, {"durable": False}])
def test_a_durable_batch_is_on_the_disk_at_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch, asked: dict[str, bool]
) -> None:
    study, synced, fsync = batching(path), list[int](), os.fsync

    def watched(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    with batch(study, **asked):
        use(study)
    assert synced == [path.stat().st_size] * asked.get("durable", True)
    journal = BatchingJournal(path)
    synced.clear()
    with journal.batch(**asked):
        journal.append_logs([{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"n": 1}}])
    assert synced == [path.stat().st_size] * asked.get("durable", True)
    study.ask()
    assert synced[-1:] == [path.stat().st_size]


@pytest.mark.parametrize("gone", ["lock", "folder"])
def test_a_lock_or_folder_that_is_removed_meanwhile_is_told(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    path = folder / "journal"
    opened = batch(batching(path))
    opened.__enter__()
    if gone == "lock":
        (folder / "journal.lock").unlink()
    else:
        shutil.rmtree(folder)
    with pytest.raises(OSError, match="its folder or its lock was removed") as error:
        opened.__exit__(None, None, None)
    assert (error.value.errno, error.value.filename) == (errno.ENOENT, str(path))


def test_a_journal_that_is_there_is_not_touched_by_opening_it(path: Path) -> None:
    batching(path)
    before = path.stat()
    BatchingJournal(path)
    assert path.stat() == before


def test_reading_from_a_record_on_gives_the_rest_of_file_and_batch(path: Path) -> None:
    study = batching(path)
    use(study)
    journal = BatchingJournal(path)
    every = list(journal.read_logs(0))
    for start in range(len(every) + 2):
        assert list(BatchingJournal(path).read_logs(start)) == every[start:]  # before and after it has read all
        assert list(journal.read_logs(start)) == every[start:]
    more = [{"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"n": number}} for number in range(3)]
    with journal.batch():
        journal.append_logs(more[:1])
        journal.append_logs(more[1:])
        whole = [*every, *({**each, "line": len(every) + i} for i, each in enumerate(more, 1))]
        for start in range(len(whole) + 1):
            assert list(journal.read_logs(start)) == whole[start:]
    assert list(BatchingJournal(path).read_logs(0)) == whole
    assert list(journal.read_logs(len(every))) == whole[len(every) :]
