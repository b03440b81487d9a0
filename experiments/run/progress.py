"""What the command says while it works: a bar with an ETA on a terminal, plain lines otherwise."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from experiments.terminal import SafeConsole
from experiments.wording import countdown

PLAIN_INTERVAL = 2.0
PLAIN_PARTS = 30.0
"""Seconds between plain lines about a step that lasts."""


@dataclass
class Task:
    """Says where one piece of work of `total` steps stands. Steps done before it began do not count for the ETA."""

    label: str
    total: int
    bar: Progress | None
    console: Console
    began: float = field(default_factory=time.monotonic)
    began_at: int | None = None
    done: int = 0
    said: float = 0.0

    def reach(self, done: int, note: str = "", left: float | None = None) -> None:
        """So many steps are done; `note` is a few words about the last, `left` the seconds still expected (None: as
        many as the steps done took, in proportion).
        """
        if self.began_at is None:
            self.began_at = done - 1 if note else done
        if done == self.done:
            return
        self.done, self.total = done, max(self.total, done)
        now = time.monotonic()
        if left is None:
            left = (now - self.began) / max(1, done - self.began_at) * (self.total - done)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, total=self.total, note=note, left=countdown(left))
            return
        if now - self.said >= PLAIN_INTERVAL or done >= self.total:
            self._say_plainly(done, left, note, now)

    def within(self, done: float, note: str) -> None:
        """A step is on its way: `done` (above 0) counts the part of it that is done, too. note: a few words."""
        if self.began_at is None:
            self.began_at = math.ceil(done) - 1
        now = time.monotonic()
        left = (now - self.began) / (done - self.began_at) * (self.total - done)
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=done, note=note, left=countdown(left))
        elif now - max(self.said, self.began) >= (PLAIN_PARTS if self.said else PLAIN_INTERVAL):
            self._say_plainly(int(done), left, note, now)

    def _say_plainly(self, done: int, left: float, note: str, now: float) -> None:
        self.said = now
        text = f"[{self.label}] {done}/{self.total}, {countdown(left)} left  {note}"
        self.console.print(text, highlight=False, markup=False)


@dataclass
class Narrator:
    """Speaks to the user on standard error; standard output is for answers."""

    console: Console = field(default_factory=lambda: SafeConsole(stderr=True))

    def say(self, text: str) -> None:
        """One plain line (or a few)."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    @contextmanager
    def counting(self, label: str) -> Iterator[Callable[[int, int], None]]:
        """A function of (done, total) for work whose size is known once it has begun."""
        with ExitStack() as stack:
            tasks: list[Task] = []

            def progress(done: int, total: int) -> None:
                if not tasks:
                    tasks.append(stack.enter_context(self.task(label, total)))
                tasks[0].reach(done)

            yield progress

    @contextmanager
    def task(self, label: str, total: int) -> Iterator[Task]:
        """A piece of work of `total` steps."""
        if not self.console.is_terminal:
            yield Task(label, total, None, self.console)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("ETA {task.fields[left]}"), TextColumn("{task.fields[note]}", markup=False),
        )  # fmt: skip
        with Progress(*columns, console=self.console) as bar:
            bar.add_task(label, total=total, note="", left="")
            yield Task(label, total, bar, self.console)
