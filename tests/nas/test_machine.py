"""What a process may use of its machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nas import machine

ROOT = Path(__file__).parents[2]


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


def test_onnx_runtime_sends_nothing_and_writes_nothing_at_home(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    program = "from nas.machine import quiet_onnxruntime; quiet_onnxruntime().SessionOptions()"
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "CI"))}
    subprocess.run(
        [sys.executable, "-c", program],
        env=surroundings | {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)},
        check=True,
        timeout=120,
    )
    assert list(tmp_path.iterdir()) == []


def test_only_there_onnx_runtime_is_loaded() -> None:
    sources = [path for package in ("nas", "experiments") for path in (ROOT / package).rglob("*.py")]
    loading = [path.name for path in sources if re.search(r"^\s*(import|from) onnxruntime", path.read_text(), re.M)]
    assert len(sources) > 100
    assert loading == []
