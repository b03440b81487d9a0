"""What `status` shows of a run."""

from __future__ import annotations

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from experiments.report import collect
from experiments.run.folder import RunFolder
from experiments.views.status import run_status, status_table
from nas.study.store import open_study, run_lock
from tests.helpers.run_folders import made_up_run

DRIVER = """
import sys
from pathlib import Path
from nas.study.store import open_study, run_lock
folder = Path(sys.argv[1])
with run_lock(folder):
    for name in ("discover", "scale"):
        open_study(folder / f"{name}.journal", name).ask()
    print("running", flush=True)
    sys.stdin.read()
"""
"""A driver with a trial of two studies that runs, until it is killed."""


def shown(folder: Path) -> str:
    out = StringIO()
    Console(file=out, width=300).print(status_table(run_status(RunFolder(folder))))
    return out.getvalue()


@pytest.mark.parametrize("name", ["a[b]c", "[red]", "[b", ":smile:"])
def test_a_name_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    assert f"/{name} (" in shown(made_up_run(tmp_path / name, 1))


def test_a_name_that_would_close_a_style(tmp_path: Path) -> None:
    assert "data[/b]," in shown(made_up_run(tmp_path / "run", 1, name="data[/b]"))


def test_a_full_training_is_in_the_table(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 1)
    result = {"accuracy": {"val": 0.437, "test": None}, "epochs": 7, "recipe": "fast", "macs": 10**6, "params": 12345}
    (folder / "train.json").write_text(json.dumps(result))
    assert "accuracy val 43.70 %, 1 M MACs (7 epochs, recipe fast)" in shown(folder)


def states(folder: Path, study: str) -> tuple[int, int]:
    """How many trials run, and how many were left."""
    found = run_status(RunFolder(folder))["studies"][study]["states"]
    return found["running"], found["left"]


def test_what_a_killed_driver_ran_runs_no_more(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 2)
    command = [sys.executable, "-c", DRIVER, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        assert driver.stdout.readline() == "running\n"
        for name in ("discover", "scale"):
            assert states(folder, name) == (1, 0)
        assert "left" not in shown(folder)
        assert collect(RunFolder(folder))["search"]["running"] == 1
        driver.kill()
        driver.wait()
    for name in ("discover", "scale"):
        assert states(folder, name) == (0, 1)
    assert "left: begun by a driver that has ended" in shown(folder)
    assert collect(RunFolder(folder))["search"]["running"] == 0
    assert run_status(RunFolder(folder))["studies"]["discover"]["states"]["complete"] == 2


def test_of_a_shared_search_it_is_not_known_who_runs_a_trial(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 1)
    record = json.loads((folder / "run.json").read_text())
    record["steps"]["discover"]["settings"]["storage"] = "postgresql://me@host/searches"
    (folder / "run.json").write_text(json.dumps(record))
    open_study(folder / "discover.journal", "discover").ask()
    assert states(folder, "discover") == (1, 0)


def test_a_look_leaves_the_lock_as_it_is(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 1)
    assert not (folder / ".lock").exists()
    states(folder, "discover")
    assert not (folder / ".lock").exists()
    with run_lock(folder):
        before = (folder / ".lock").read_bytes()
        states(folder, "discover")
        assert (folder / ".lock").read_bytes() == before
    with run_lock(folder):  # a look has not taken it
        pass


def test_the_value_is_called_by_its_metric(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "run", 1)
    record = json.loads((folder / "run.json").read_text())
    record["identity"]["recipe"] = "fast, metric=balanced_accuracy"
    (folder / "run.json").write_text(json.dumps(record))
    assert "balanced accuracy 4" in shown(folder)
