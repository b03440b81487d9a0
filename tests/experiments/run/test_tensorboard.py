"""Logs for TensorBoard: off unless asked for, and what they hold."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.run.folder import TENSORBOARD
from experiments.run.tensorboard import open_writer
from nas.study.store import read_study

Run = Callable[..., tuple[int, str, str]]
SEARCH = (
    "--executor", "inline", "--devices", "cpu", "--target-macs", "1M", "--epochs", "1", "--confirm", "1",
    "--confirm-seeds", "1", "--train-images", "48", "--trials", "2",
    "--evaluator", "tests.helpers.evaluators:formula_for",
)  # fmt: skip


class Recorder:
    def __init__(self) -> None:
        self.scalars: list[tuple[str, float, int]] = []
        self.closed = False

    def add_scalar(self, tag: str, value: float, step: int, /) -> None:
        self.scalars.append((tag, value, step))

    def flush(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True


def test_trials_and_epochs_are_logged(tmp_path: Path, scalenas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = Recorder()
    monkeypatch.setattr("experiments.run.context.open_writer", lambda _: recorder)
    run = tmp_path / "r"
    status, _, err = scalenas("discover", "digits", "--run", run, *SEARCH, "--tensorboard")
    assert status == 0, err
    assert recorder.closed
    found = {(tag, step): value for tag, value, step in recorder.scalars}
    for trial in read_study(run / "discover.journal", "discover").trials:
        for name in ("accuracy", "macs", "params", "seconds"):
            assert found["search/" + name, trial.number] == trial.user_attrs[name]
    scalars = ("--epochs", "2", "--train-images", "48", "--devices", "cpu", "--tensorboard")
    assert scalenas("train", run, "digits", "--run", tmp_path / "t", *scalars)[0] == 0
    assert [step for tag, _, step in recorder.scalars if tag == "train/accuracy"] == [1, 2]


def test_it_is_off_unless_asked_for(tmp_path: Path, scalenas: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    status, _, err = scalenas("discover", "digits", "--run", tmp_path / "r", *SEARCH)
    assert status == 0, err
    assert not (tmp_path / "r" / TENSORBOARD).exists()
    status, _, err = scalenas("discover", "digits", "--run", tmp_path / "r", *SEARCH, "--tensorboard")
    assert (status, ".[tensorboard]" in err, "Traceback" in err) == (2, True, False)


def test_event_files_read_back(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: PLC0415

    writer = open_writer(tmp_path)
    writer.add_scalar("search/accuracy", 0.5, 3)
    writer.close()
    events = EventAccumulator(str(tmp_path)).Reload()
    assert [(event.step, event.value) for event in events.Scalars("search/accuracy")] == [(3, 0.5)]
