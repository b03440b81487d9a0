"""What `status` shows of a run."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from experiments.run.folder import RunFolder
from experiments.views.status import run_status, status_table
from tests.helpers.run_folders import made_up_run


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
