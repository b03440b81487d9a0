"""Samplers of other projects in Optuna's place: every point is suggested whole and told its value before the next."""

from __future__ import annotations

from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.peers.samplers import PEERS, Peer, values_of

DISTRIBUTIONS = {"op": CategoricalDistribution(("conv", "mbconv")), "layers": IntDistribution(2, 6, step=2)}


class Counting(Peer):
    """Goes through the values in order, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__(DISTRIBUTIONS, seed=0)
        self.asked, self.told = 0, list[float]()

    def suggest(self) -> dict[str, Any]:
        self.asked += 1
        return {name: values[(self.asked - 1) % len(values)] for name, values in self.values.items()}

    def observe(self, value: float) -> None:
        self.told.append(value)


def test_a_peer_suggests_whole_points_and_is_told_their_values() -> None:
    peer = Counting()
    study = optuna.create_study(sampler=peer, direction="maximize")
    found = []
    for i in range(4):
        trial = study.ask(DISTRIBUTIONS)
        found.append(trial.params)
        assert peer.told == list(range(i))
        study.tell(trial, float(i))
    assert [(params["op"], params["layers"]) for params in found] == [
        ("conv", 2), ("mbconv", 4), ("conv", 6), ("mbconv", 2),
    ]  # fmt: skip
    assert peer.ordered == {"op": False, "layers": True}


def test_a_peer_has_one_worker() -> None:
    study = optuna.create_study(sampler=Counting())
    study.ask(DISTRIBUTIONS)
    with pytest.raises(RuntimeError, match="one worker alone"):
        study.ask(DISTRIBUTIONS)


@pytest.mark.parametrize("name", PEERS)  # which are the names of the packages, too
def test_real_peers_suggest_members_and_learn(name: str) -> None:
    pytest.importorskip(name)
    wide = {"op": CategoricalDistribution(tuple("abcd")), "layers": IntDistribution(1, 16)}
    study = optuna.create_study(sampler=PEERS[name](wide, 0, 20), direction="maximize")
    for _ in range(20):
        trial = study.ask(wide)
        study.tell(trial, trial.params["layers"] + 3 * (trial.params["op"] == "c"))
    assert study.best_params == {"op": "c", "layers": 16}


def test_what_peers_are_not_run_on() -> None:
    with pytest.raises(ValueError, match="categories and integers"):
        values_of(FloatDistribution(0, 1))
