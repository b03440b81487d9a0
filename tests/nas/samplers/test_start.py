"""Known good points come first; from then on the sampler suggests as if the study had begun with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from nas.samplers import make_sampler
from nas.samplers.start import StartWith
from search_spaces import macro_space

SPACE = {"kind": CategoricalDistribution(("plain", "deep")), "size": IntDistribution(1, 9)}
SEVERAL = (".se", ".kernel")
STARTS = ({"kind": "deep", "size": 7}, {"kind": "plain"})


def suggestions(sampler: optuna.samplers.BaseSampler, count: int, done: Sequence[dict[str, Any]] = ()) -> list[Any]:
    """The parameters of `count` trials; a size is worth itself."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for params in done:
        study.add_trial(optuna.trial.create_trial(params=params, distributions=SPACE, value=float(params["size"])))
    for _ in range(count):
        trial = study.ask(SPACE)
        study.tell(trial, float(trial.params["size"]))
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", ["default", "random", "evolution", "tpe"])
def test_starts_come_first_and_what_they_leave_open_is_drawn(name: str) -> None:
    found = suggestions(StartWith(make_sampler(name, seed=3), STARTS), 5)
    assert found[0] == STARTS[0]
    assert found[1]["kind"] == "plain"
    assert 1 <= found[1]["size"] <= 9


@pytest.mark.parametrize("name", ["default", "evolution", "tpe"])
def test_the_sampler_goes_on_from_the_starts(name: str) -> None:
    whole = suggestions(StartWith(make_sampler(name, seed=3), STARTS), 14)
    for known in (1, 2, 9):  # a killed search goes on
        assert suggestions(StartWith(make_sampler(name, seed=3), STARTS), 14 - known, whole[:known]) == whole


def test_choices_that_make_no_difference_are_not_suggested() -> None:
    """Of a space whose members mostly lack the last stages: the sampler names the choices of the plan that it takes."""
    space = macro_space(1.8e6, (32, 24, 16), num_classes=10)
    study = optuna.create_study(direction="maximize", sampler=make_sampler("default", seed=0, active=space.active))
    for _ in range(12):
        trial = study.ask(space.distributions())
        study.tell(trial, float(trial.params["resolution"]) + len(space.active(trial.params)) / 100)
    named = [trial.system_attrs["scalenas:suggested"] for trial in study.trials if trial.system_attrs]
    assert len(named) == 11  # of the first trial nobody has shown the space yet
    for params in named:
        rest = {choice.name: choice.values[0] for choice in space.choices}
        active = space.active({**rest, **params})
        # Whether a stage may have squeeze-excite or another kernel depends on several choices at once.
        assert {name for name in params if not name.endswith(SEVERAL)} == {n for n in active if not n.endswith(SEVERAL)}


def test_no_network_is_asked_for_twice() -> None:
    """Of 81 encodings that make 27 networks; uniform trials, the first eight, may repeat one."""

    def network(params: Mapping[str, Any]) -> str | None:
        return f"{params['a']} {params['b'] // 3}" if len(params) == 2 else None

    space: dict[str, BaseDistribution] = {"a": IntDistribution(0, 8), "b": IntDistribution(0, 8)}
    study = optuna.create_study(sampler=make_sampler("default", seed=0, network=network), direction="maximize")
    seen: list[str | None] = []
    for _ in range(20):
        trial = study.ask(space)
        study.tell(trial, float(trial.params["a"]) + trial.params["b"] // 3)
        seen.append(network(trial.params))
    assert not set(seen[9:]) & set(seen[:9])
    assert len(set(seen[9:])) == 11
