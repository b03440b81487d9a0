"""Bounds on RAM and flash: nothing above them is trained, the sampler knows them, and none that is too tight begins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nas.study.store import read_study
from search_spaces import ArchSpec, count_flash, count_ram
from tests.helpers.command import Run, expect_mistake

SEARCH = ("discover", "digits", "--train-images", "64", "--resolution", "8", "--evaluator",
          "tests.helpers.evaluators:formula_for", "--executor", "inline", "--confirm", "0", "--epochs", "1",
          "--target-macs", "200k")  # fmt: skip


@pytest.mark.parametrize(("option", "most", "count"), [("ram", 9000, count_ram), ("flash", 25_000, count_flash)])
def test_no_network_above_a_bound_is_trained(
    scalenas: Run, tmp_path: Path, option: str, most: int, count: Callable[..., int]
) -> None:
    status, _, err = scalenas(*SEARCH, "--run", str(tmp_path / "run"), "--trials", "12", f"--max-{option}", str(most))
    assert status == 0, err
    assert f"bound: no network of more than {most:,} bytes of {'RAM' if option == 'ram' else 'flash'} (float32)" in err
    trials = read_study(tmp_path / "run" / "discover.journal", "discover").get_trials()
    trained = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    archs = [ArchSpec.from_dict(trial.user_attrs["arch"]) for trial in trained]
    assert max(count(arch, num_classes=10, precision="float32") for arch in archs) <= most
    assert len(trained) >= 8  # the sampler knows the bound, which one network in four keeps


def test_a_bound_that_no_network_keeps_is_told_before_the_search(scalenas: Run, tmp_path: Path) -> None:
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), "--max-ram", "1k")
    expect_mistake(said, "--max-ram: 1,024 bytes of RAM (float32) are too few: of 500 networks drawn")


@pytest.mark.parametrize("text", ["12kb", "0", "-1", "1e3", "k"])
def test_what_is_no_number_of_bytes(scalenas: Run, tmp_path: Path, text: str) -> None:
    said = scalenas(*SEARCH, "--run", str(tmp_path / "run"), f"--max-flash={text}")
    expect_mistake(said, "--max-flash takes bytes such as 262144, 256k or 1M")
