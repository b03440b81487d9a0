"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]

# More threads than free cores keep one another waiting, and which are free would decide the bits of trainings.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture
def scalenas(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process; gives exit status, standard output and standard error."""
    from experiments.cli import main  # noqa: PLC0415  tests that do not run the command need not load it

    def run(*args: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["scalenas", *map(str, args)])
        status = 0
        try:
            main()
        except SystemExit as stop:
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run
