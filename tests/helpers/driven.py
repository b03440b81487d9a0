"""A search as a process of its own, its descendants and what it began: for tests that kill."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

from optuna.trial import FrozenTrial

from nas.study.store import read_study

DRIVER = Path(__file__).with_name("search_driver.py")
ROOT = Path(__file__).parents[2]


class Driven:
    """One search in one folder, driven by one process after another, each started with the same command.

    Descendants of any of them are found by a mark in their environment. Its evaluator notes in trainings.log when it
    begins a training: `begin KEY PID`.
    """

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self.journal = folder / "discover.journal"
        self.log = folder / "trainings.log"
        self._command = list(command)
        self._mark = f"SEARCH_TEST={uuid.uuid4()}"

    def start(self) -> subprocess.Popen[str]:
        name, _, value = self._mark.partition("=")
        return subprocess.Popen(
            self._command,
            env=os.environ | {name: value, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stderr=subprocess.PIPE,
            text=True,
        )

    def finish(self) -> None:
        with self.start() as process:
            _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors

    def trials(self) -> list[FrozenTrial]:
        try:
            return read_study(self.journal, "discover").trials
        except ValueError:  # not begun yet
            return []

    def begun(self) -> list[str]:
        """The keys of all trainings begun so far, in order."""
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line.split()[1] for line in lines if line.startswith("begin")]

    def processes(self) -> list[int]:
        """Living processes that descend from any of the drivers, themselves included."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    if self._mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
                except OSError:
                    continue  # gone meanwhile, or another user's
        return found


def driven_search(folder: Path, trials: int, slots: int = 2, delay: float = 0.02) -> Driven:
    """A search with the cheap evaluator."""
    arguments = [str(folder), str(trials), str(slots), str(delay)]
    return Driven(folder, [sys.executable, str(DRIVER), *arguments])


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def finished_keys(trials: list[FrozenTrial]) -> set[str]:
    return {trial.user_attrs["request_key"] for trial in trials if "accuracy" in trial.user_attrs}


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
