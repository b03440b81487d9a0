"""What is said while a long piece of work goes on."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from experiments.run.progress import Narrator


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds since the test began by the monotonic clock, to be set."""
    begun, now = float(int(time.monotonic())), [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: begun + now[0])
    return now


def test_a_step_that_lasts_is_told_of_soon_and_then_every_half_minute(clock: list[float]) -> None:
    said = StringIO()
    with Narrator(Console(file=said, width=100)).task("train", 4) as task:
        task.began = time.monotonic()
        for _ in range(128):  # seconds that an epoch takes
            clock[0] += 1
            task.within(clock[0] / 128, "epoch 1")
        task.reach(1, "val 50 %")
        clock[0] += 40
        task.within(clock[0] / 128, "epoch 2")
    assert said.getvalue().splitlines() == [
        "[train] 0/4, 8:30 left  epoch 1",
        "[train] 0/4, 8:00 left  epoch 1",
        "[train] 0/4, 7:30 left  epoch 1",
        "[train] 0/4, 7:00 left  epoch 1",
        "[train] 0/4, 6:30 left  epoch 1",
        "[train] 1/4, 6:24 left  val 50 %",
        "[train] 1/4, 5:44 left  epoch 2",
    ]


def test_what_was_done_before_a_kill_counts_for_nothing_in_the_forecast(clock: list[float]) -> None:
    said = StringIO()
    with Narrator(Console(file=said, width=100)).task("train", 10) as task:
        task.began = time.monotonic()
        clock[0] += 50
        task.within(8.5, "epoch 9")
    assert said.getvalue() == "[train] 8/10, 2:30 left  epoch 9\n"


def test_on_a_terminal_the_bar_moves_within_a_step() -> None:
    said = StringIO()
    with Narrator(Console(file=said, width=120, force_terminal=True)).task("train", 4) as task:
        task.within(1.5, "epoch 2, 50%")
        assert task.bar is not None
        assert task.bar.tasks[0].completed == 1.5
    assert "1/4" in said.getvalue()
    assert "epoch 2, 50%" in said.getvalue()
