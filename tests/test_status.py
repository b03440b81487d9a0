"""What `status` shows of a run."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from run_folders import made_up_run

from experiments.run_folder import RunFolder
from experiments.status import run_status, status_table


def shown(folder: Path) -> str:
    out = StringIO()
    Console(file=out, width=300).print(status_table(run_status(RunFolder(folder))))
    return out.getvalue()


@pytest.mark.parametrize("name", ["a[b]c", "[red]", "[b", ":smile:"])
def test_a_name_is_shown_as_it_is(tmp_path: Path, name: str) -> None:
    assert f"/{name} (" in shown(made_up_run(tmp_path / name, 1))


def test_a_name_that_would_close_a_style(tmp_path: Path) -> None:
    assert "data[/b]," in shown(made_up_run(tmp_path / "run", 1, name="data[/b]"))
