"""The command that judges a GPU, as far as it can be tried without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.gpu.__main__ import STAGES
from tests.helpers.driven import ROOT


def run(output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.gpu", "-o", str(output), *options]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_rehearsal_ends_well(tmp_path: Path) -> None:
    ended = run(tmp_path / "out", "--rehearse", "--budget", "600")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    records = {name: json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in STAGES}
    assert {name for name, record in records.items() if record["status"] == "skipped"} == {"memory"}
    assert {name for name, record in records.items() if record["status"] == "ok"} == set(STAGES) - {"memory"}
    summary = (tmp_path / "out" / "summary.txt").read_text()
    assert all(line in summary for record in records.values() for line in record["lines"])


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_stage_without_a_gpu_says_so(tmp_path: Path) -> None:
    assert run(tmp_path, "--stage", "parity", "--seconds", "5").returncode == 0
    record = json.loads((tmp_path / "parity.json").read_text())
    assert (record["status"], record["lines"]) == ("skipped", ["no GPU was found here"])


def test_a_stage_that_takes_too_long_is_ended_and_leaves_the_others(tmp_path: Path) -> None:
    ended = run(tmp_path / "out", "--rehearse", "--budget", "1")
    assert ended.returncode == 1
    records = [json.loads((tmp_path / "out" / f"{name}.json").read_text()) for name in STAGES]
    assert {record["status"] for record in records} == {"ran out of its time"}
