"""What a process may use of its machine."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nas import machine


def stat(*idle: int) -> str:
    """/proc/stat where the cores have been idle for so many ticks."""
    cores = "".join(f"cpu{core} 5 0 5 {ticks} 3 0 0 0 0 0\n" for core, ticks in enumerate(idle))
    return f"cpu  9 0 9 {sum(idle)} 6 0 0 0 0 0\n{cores}intr 12\n"


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system does not tell which cores are usable")
@pytest.mark.parametrize(
    ("usable", "idle", "free"),
    [
        ({0, 1, 2, 3}, (1.0, 1.0, 1.0, 1.0), 4),
        ({0, 1, 2, 3}, (1.0, 0.1, 0.9, 0.0), 2),
        ({0, 1}, (0.0, 0.1, 1.0, 1.0), 1),  # what other cores do is nothing to this process
        ({2, 3}, (0.0, 0.0, 1.0, 1.0), 2),
    ],
)
def test_busy_cores_are_not_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, usable: set[int], idle: tuple[float, ...], free: int
) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    file = tmp_path / "stat"
    file.write_text(stat(*[1000] * 4))
    monkeypatch.setattr(machine, "STAT", file)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)

    def sleep(seconds: float) -> None:
        file.write_text(stat(*(1000 + round(share * seconds * ticks) for share in idle)))

    monkeypatch.setattr(time, "sleep", sleep)
    assert machine.free_cores(2.0) == free


def test_where_the_system_does_not_tell_all_cores_are_free(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(machine, "STAT", tmp_path / "none")
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    assert machine.free_cores() == 4
