"""One self-contained page about a run: what was asked, what came out, and every trial behind it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from experiments.report.collect import collect
from experiments.report.page import render
from experiments.run.folder import RunFolder
from nas.files import replace_text

__all__ = ["LiveReport", "collect", "render", "write_report"]

FILE = "report.html"


def write_report(folder: RunFolder, output: Path | None = None) -> Path:
    """Write the page of a run, finished or not, to `output` (None: report.html in the run folder).

    Raises UserError where run.json cannot be read; what else cannot be is left out and named on the page.
    """
    path = output or folder.path / FILE
    replace_text(path, render(collect(folder)), durable=False)  # it is soon made again
    return path


@dataclass
class LiveReport:
    """Keeps the page of a run that is going on up to date, as a listener of the run. Whatever goes wrong is said in one
    line: a page must not fail a run."""

    folder: RunFolder
    say: Callable[[str], None]
    written: float = field(default_factory=time.monotonic)
    took: float = 0.0

    def trial_finished(self) -> None:
        """Write the page if the last is a minute old, and old enough to cost 5 % of the time."""
        if time.monotonic() - self.written > max(60.0, 20 * self.took):
            self.results_written()

    def results_written(self) -> None:
        """Write the page now."""
        start = time.monotonic()
        try:
            write_report(self.folder)
        except Exception as error:
            line = " ".join(str(error).split())
            self.say(f"warning: the report could not be written: {type(error).__name__}: {line}")
        self.written = time.monotonic()
        self.took = self.written - start
