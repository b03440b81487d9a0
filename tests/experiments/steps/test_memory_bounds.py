"""Bounds on RAM and flash: nothing above them is trained, the sampler knows them, and none that is too tight begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from optuna.trial import TrialState

from nas.study.store import read_study
from search_spaces import ArchSpec, count_flash, count_ram
from tests.helpers.command import Run, expect_mistake

SEARCH = ("discover", "digits", "--train-images", "64", "--resolution", "8", "--evaluator",
          "tests.helpers.evaluators:formula_for", "--executor", "inline", "--confirm", "0", "--epochs", "1",
          "--target-macs", "200k")  # fmt: skip


def test_no_network_above_a_bound_is_trained(scalenas: Run, tmp_path: Path) -> None:
    most = {"ram": 10_000, "flash": 55_000}
    status, _, err = scalenas(
        *SEARCH, "--run", str(tmp_path / "run"), "--trials", "10", "--max-ram", "10000", "--max-flash", "55000"
    )
    assert status == 0, err
    assert "bound: no network of more than 10,000 bytes of RAM (float32) is trained" in err
    assert "bound: no network of more than 55,000 bytes of flash (float32) is trained" in err
    trials = read_study(tmp_path / "run" / "discover.journal", "discover").get_trials()
    trained = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    for trial in trained:
        arch = ArchSpec.from_dict(trial.user_attrs["arch"])
        assert count_ram(arch, None, 10, "float32") <= most["ram"]
        assert count_flash(arch, 10, "float32") <= most["flash"]
    assert len(trained) >= 7  # the sampler knows the bounds, which one network in seven or so keeps


def test_a_bound_that_no_network_keeps_is_told_before_the_search(scalenas: Run, tmp_path: Path) -> None:
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), "--max-ram", "1k")
    expect_mistake(said, "--max-ram: 1,024 bytes of RAM (float32) are too few: of 500 networks drawn")


@pytest.mark.parametrize("text", ["12kb", "0", "-1", "1e3", "k"])
def test_what_is_no_number_of_bytes(scalenas: Run, tmp_path: Path, text: str) -> None:
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), f"--max-flash={text}")
    expect_mistake(said, "--max-flash takes bytes such as 262144, 256k or 1M")


def test_a_forecast_is_refused_like_the_search(scalenas: Run, tmp_path: Path) -> None:
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), "--max-ram", "1k", "--dry-run")
    expect_mistake(said, "--max-ram: 1,024 bytes of RAM (float32) are too few")


def test_bounds_that_none_keeps_together_are_told_before_the_search(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The smaller a network's RAM the larger its flash: each of the bounds is kept by some, both by none.
    monkeypatch.setattr("nas.figures.memory.PeakRam.of_rows", lambda *_: np.arange(500.0))
    monkeypatch.setattr("nas.figures.memory.Flash.of_rows", lambda *_: np.arange(500.0)[::-1])
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), "--max-ram", "200", "--max-flash", "200", "--dry-run")
    expect_mistake(said, "--max-ram and --max-flash: of 500 networks drawn from the space none keeps both; raise one")
