"""Which drivers of a database share a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from experiments.options.settings import Settings
from experiments.plans.search import Search
from experiments.steps.discover import shared_name
from nas.score import Score


def name(**asked: Any) -> str:
    """The name with some of what a driver asks changed."""
    given: dict[str, Any] = {"how": "multiply-adds", "space": "mnasnet", "fitted_to": 9, "max_macs": None, "seed": 0}
    given["score"] = Score(9)
    settings = Settings().with_given({key: value for key, value in asked.items() if key not in given})
    given |= asked
    run: Any = SimpleNamespace(identity={"seed": given["seed"]}, settings=settings)
    space: Any = SimpleNamespace(name=given["space"])
    pricing: Any = SimpleNamespace(how=given["how"])
    return shared_name(run, Search(given["score"], space, given["fitted_to"], 9, given["max_macs"]), pricing)


def test_drivers_share_a_study_where_what_its_trials_mean_is_the_same() -> None:
    others = [
        name(),
        name(seed=1),
        name(how="parameters"),
        name(space="tiny"),
        name(fitted_to=10),
        name(max_macs=10),
        name(max_cost=10.0),
        name(score=Score(10)),
        name(score=Score(9, -0.1)),
        name(epochs=6),
        name(train_fraction=0.5),
        name(sampler="random"),
    ]
    assert len(set(others)) == len(others)
    assert name(trials=7, pruner="halving", devices="cpu", executor="inline", confirm=0) == name()
