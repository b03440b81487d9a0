"""What is live: a status that follows the run, and optuna-dashboard on this machine alone."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from rich.console import Console

from experiments.run.folder import RunFolder
from experiments.views.dashboard import serve
from experiments.views.status import watch_status
from tests.helpers.run_folders import made_up_run

Run = Callable[..., tuple[int, str, str]]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_dashboard_opens_a_runs_journal(tmp_path: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    folder = RunFolder(made_up_run(tmp_path / "run", 5))
    port = free_port()
    threading.Thread(target=serve, args=(folder, "discover", port), daemon=True).start()
    for _ in range(300):
        try:
            answer = json.loads(urlopen(f"http://127.0.0.1:{port}/api/studies", timeout=10).read())
            break
        except URLError:
            time.sleep(0.1)
    assert [study["study_name"] for study in answer["study_summaries"]] == ["discover"]


def test_a_study_that_is_not_there(tmp_path: Path, scalenas: Run) -> None:
    made_up_run(tmp_path / "run", 2)
    status, _, err = scalenas("dashboard", tmp_path / "run", "--study", "scale")
    assert (status, "discover" in err) == (2, True)


def test_watching_shows_the_run_until_interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(made_up_run(tmp_path / "run", 3))

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.views.status.time.sleep", interrupt)
    console = Console(record=True, width=140, force_terminal=True)
    watch_status(folder, console)
    assert "3 of 3" in console.export_text()
