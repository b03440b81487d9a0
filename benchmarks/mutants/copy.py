"""A copy of the sources, in which one module at a time is changed and tested, in a fork that has torch loaded."""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_COPIED = ("scalenas", "search_spaces", "nas", "scaling_search", "experiments", "tests", "pyproject.toml")
_LIBRARIES = ("hypothesis", "optuna", "pandas", "scipy.optimize", "scipy.spatial", "scipy.stats", "torch", "fvcore.nn")
"""What tests load and no mutant changes: seconds for each process that begins without."""


class Copy:
    """The copy, in an empty folder. Nothing of the sources may have been imported by this process, or its forks would
    test that."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written = time.time()
        for name in _COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "results"))
            else:
                shutil.copy(ROOT / name, folder / name)
        for library in _LIBRARIES:
            importlib.import_module(library)

    def passes(self, module: str, text: str, tests: Sequence[str], seconds: float) -> bool:
        """Whether all tests pass in that time with this text for the module."""
        path = self._folder / module
        original = path.read_text()
        self._write(path, text)
        try:
            return _ends_well(os.fork() or self._run(tests), seconds)
        finally:
            self._write(path, original)

    def _write(self, path: Path, text: str) -> None:
        path.write_text(text)
        self._written += 2  # Python tells a compiled file's age by the second
        os.utime(path, (self._written, self._written))

    def _run(self, tests: Sequence[str]) -> int:
        """In the fork, which ends here."""
        status = 1
        try:
            os.setsid()
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            os.chdir(self._folder)
            sys.path.insert(0, str(self._folder))
            # Under CI Hypothesis draws the same examples each time, and remembers none of another mutant's.
            os.environ |= {"PYTHONPATH": str(self._folder), "CI": "1"}
            quick = ("-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "-p", "no:xdist")
            status = int(pytest.main([*quick, *tests]))
        finally:
            os._exit(status)


def _ends_well(child: int, seconds: float) -> bool:
    """Wait for a process, and end it and what it began after that time."""
    end, status = time.monotonic() + seconds, None
    while status is None and time.monotonic() < end:
        time.sleep(0.02)
        pid, told = os.waitpid(child, os.WNOHANG)
        status = told if pid else None
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if status is None:
        os.waitpid(child, 0)
    return status == 0
