"""What is said of a latency before a search charges for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from experiments.run.pricing import resolve_figure
from experiments.run.progress import Narrator
from tests.helpers.run_folders import SPACE


@pytest.mark.parametrize(
    ("command", "warned"),
    [
        ("cksum < {json}", True),  # a number that has nothing to do with the network's size
        ("grep -o '\"layers\": *[0-9]' {json} | tr -dc '0-9\\n' | awk '{ n += $1 } END { print n }'", False),
    ],
)
def test_a_latency_that_cannot_be_predicted_is_warned_of(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, warned: bool
) -> None:
    figures = SimpleNamespace(cost="latency", latency_command=command, latency_batch=1, latency_samples=30)
    run: Any = SimpleNamespace(
        settings=SimpleNamespace(figures=figures, general=SimpleNamespace(seed=0)),
        problem=SimpleNamespace(evaluator=None), folder=SimpleNamespace(path=tmp_path), num_classes=10,
        narrator=Narrator(),
    )  # fmt: skip
    figure: Any = resolve_figure(run, SPACE)
    lines = capsys.readouterr().err.splitlines()
    assert f"rank correlation {figure.model.rank:.3f}" in lines[-2 if warned else -1]
    assert (figure.model.rank < 0.5) == warned
    warnings = [line for line in lines if line.startswith("warning: ")]
    assert warnings == (lines[-1:] if warned else [])
    assert all("--latency-samples" in line and "noise" in line for line in warnings)
