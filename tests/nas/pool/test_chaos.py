"""Searches whose driver and workers are killed at random moments.

SCALENAS_CHAOS=full runs them at full size: 200 trials with 50 kills, and 10 trainings on real images with 5.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.helpers.chaos import Chaos
from tests.helpers.driven import Driven, driven_search
from tests.helpers.shared_data import cifar10_folder

pytestmark = [pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc"), pytest.mark.slow]
FULL = os.environ.get("SCALENAS_CHAOS") == "full"


def test_kills_lose_nothing_and_train_nothing_twice(tmp_path: Path) -> None:
    trials, kills = (200, 50) if FULL else (30, 8)
    chaos = Chaos(driven_search(tmp_path, trials, delay=0.03), trials, kills, bytes_per_trial=2000)
    chaos.run()
    assert sum(chaos.killed.values()) == kills


def test_kills_of_a_search_on_real_images(tmp_path: Path) -> None:
    trials, kills = (10, 5) if FULL else (4, 2)
    run = tmp_path / "run"
    arguments = (
        "discover", cifar10_folder(tmp_path, 60), "--run", run, "--trials", trials, "--epochs", 2, "--workers", 2,
        "--devices", "cpu", "--target-macs", "1M", "--sampler", "random", "--confirm", 0, "--seed", 3,
        "--evaluator", "tests.helpers.evaluators:noted_proxy",
    )  # fmt: skip
    driven = Driven(run, [sys.executable, "-m", "experiments", *map(str, arguments)])
    chaos = Chaos(driven, trials, kills, bytes_per_trial=13_000)
    chaos.run()
    assert sum(chaos.killed.values()) == kills
