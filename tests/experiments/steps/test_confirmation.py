"""What a search leads to is chosen by longer trainings, among which is a plain network that it began with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nas.study.store import read_study
from tests.helpers.command import Run

SEARCH = ("discover", "digits", "--train-images", "64", "--resolution", "8", "--evaluator",
          "tests.helpers.evaluators:irregular_for", "--executor", "inline", "--target-macs", "200k", "--trials", "12",
          "--epochs", "3")  # fmt: skip


def confirmed(folder: Path) -> dict[str, list[tuple[int, int]]]:
    """Epochs and seed of each training of the confirmation, by the network's id."""
    found: dict[str, list[tuple[int, int]]] = {}
    for trial in read_study(folder / "confirm.journal", "confirm").trials:
        facts = trial.user_attrs
        found.setdefault(facts["arch_id"], []).append((facts["fidelity"]["epochs"], facts["seed"]))
    return found


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_best_are_trained_twice_as_long_and_one_is_a_start(scalenas: Run, tmp_path: Path, most: int) -> None:
    run = tmp_path / "run"
    status, _, err = scalenas(*SEARCH, "--run", run, "--confirm", most, "--confirm-seeds", 2)
    assert status == 0, err
    found = confirmed(run)
    assert [sorted(each) for each in found.values()] == [[(6, 1), (6, 2)]] * most
    baseline = json.loads((run / "baseline.json").read_text())
    assert baseline["id"] in found
    assert baseline["fidelity"]["epochs"] == 6
    started = {trial.user_attrs["arch_id"] for trial in read_study(run / "discover.journal", "discover").trials[:2]}
    assert most == 1 or started & set(found)  # the space has two starts at one resolution
    assert err.count(" after 6 epochs at 2 fresh seed(s)") == most


def test_what_is_not_confirmed_has_the_search_s_own_length(scalenas: Run, tmp_path: Path) -> None:
    status, _, err = scalenas(*SEARCH, "--run", tmp_path / "run", "--confirm", 0)
    assert status == 0, err
    assert json.loads((tmp_path / "run" / "baseline.json").read_text())["fidelity"]["epochs"] == 3
