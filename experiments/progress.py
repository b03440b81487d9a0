"""What the command says while it works: a bar with an ETA on a terminal, plain lines otherwise."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

PLAIN_INTERVAL = 2.0


@dataclass
class Task:
    """Counts finished steps of one piece of work and says where it stands."""

    label: str
    total: int
    bar: Progress | None
    console: Console
    done: int = 0
    began: float = field(default_factory=time.monotonic)
    began_at: int = 0
    said: float = 0.0

    def start_at(self, done: int) -> None:
        """Steps that were finished before: they count for the bar but not for the ETA."""
        self.done = self.began_at = done
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done)

    def advance(self, note: str = "", steps: int = 1) -> None:
        """One more step is done; `note` is a few words about it."""
        self.done += steps
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=self.done, note=note)
            return
        now = time.monotonic()
        if now - self.said >= PLAIN_INTERVAL or self.done >= self.total:
            self.said = now
            left = _clock((now - self.began) / max(1, self.done - self.began_at) * (self.total - self.done))
            self.console.print(
                f"[{self.label}] {self.done}/{self.total}, {left} left  {note}", highlight=False, markup=False
            )


@dataclass
class Narrator:
    """Speaks to the user on standard error; standard output is for answers."""

    console: Console = field(default_factory=lambda: Console(stderr=True))

    def say(self, text: str) -> None:
        """One plain line (or a few)."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:
        """A piece of work of `total` steps."""
        if not self.console.is_terminal:
            yield Task(label, total, None, self.console)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA"), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=self.console) as bar:
            bar.add_task(label, total=total, note="")
            yield Task(label, total, bar, self.console)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
