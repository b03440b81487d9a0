"""Which drivers of a database share a study."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from experiments.options.settings import Settings
from experiments.plans.search import Search
from experiments.steps.discover import shared_name
from nas.evaluation import Fidelity
from nas.figures import MultiplyAdds, Parameters
from nas.score import Score
from nas.study.plan import Bound


def name(**asked: Any) -> str:
    """The name with some of what a driver asks changed."""
    given: dict[str, Any] = {"how": "multiply-adds", "space": "mnasnet", "fitted_to": 9, "max_macs": None, "seed": 0}
    given |= {"score": Score(9), "bounds": ()}
    settings = Settings().with_given({key: value for key, value in asked.items() if key not in given})
    given |= asked
    proxy = Fidelity(settings.training.epochs or 5, settings.training.train_fraction)
    run: Any = SimpleNamespace(identity={"seed": given["seed"]}, settings=settings, macs=MultiplyAdds(10), proxy=proxy)
    space: Any = SimpleNamespace(name=given["space"])
    pricing: Any = SimpleNamespace(how=given["how"])
    search = Search(given["score"], space, given["fitted_to"], 9, given["max_macs"])
    return shared_name(run, search, pricing, given["bounds"])


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
        name(bounds=(Bound(Parameters(10), 9),)),
        name(bounds=(Bound(Parameters(10), 10),)),
    ]
    assert len(set(others)) == len(others)
    assert name(trials=7, pruner="halving", devices="cpu", executor="inline", confirm=0) == name()


def test_earlier_studies_keep_their_names() -> None:
    assert name() == "discover 34fcb493"
    assert name(max_macs=10, max_cost=10.0, bounds=(Bound(MultiplyAdds(10), 10),)) == "discover fc93f3a3"
