"""Conditional spaces: which parameters are asked for when is read off the trials, and no network is asked for twice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from nas.samplers import make_sampler
from nas.samplers.conditions import learn_conditions
from nas.samplers.grid import INACTIVE, Rows, make_grid
from nas.samplers.history import SUGGESTED_KEY
from nas.samplers.local import RESTART_KEY
from nas.score import Score

GRID = make_grid({
    "kind": CategoricalDistribution(("plain", "deep", "wide")),
    "size": IntDistribution(1, 4),
    "se": CategoricalDistribution((False, True)),  # deep only
    "ratio": IntDistribution(1, 3),  # deep with se only
    "width": IntDistribution(1, 5),  # wide only
})  # fmt: skip


def asked(rows: Rows) -> Rows:
    """Rows as the objective takes them."""
    kind, _, se, _, _ = rows.T
    out = rows.copy()
    out[kind != 1, 2] = INACTIVE
    out[(kind != 1) | (se != 1), 3] = INACTIVE
    out[kind != 2, 4] = INACTIVE
    return out


@given(st.integers(0, 2**32 - 1))
def test_nested_conditions_are_learnt_and_kept(seed: int) -> None:
    rng = np.random.default_rng(seed)
    conditions = learn_conditions(GRID, asked(GRID.random(rng, 200)))
    found = [(rule.axis, rule.by) for rule in conditions.rules]
    assert sorted(found) == [(2, 0), (3, 2), (4, 0)]
    assert found.index((2, 0)) < found.index((3, 2))  # each after the one it builds on
    rows = GRID.random(rng, 50)
    np.testing.assert_array_equal(conditions.settle(rows, rng), asked(rows))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_rules_of_any_few_trials_change_none_of_them(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = asked(GRID.random(rng, n))
    np.testing.assert_array_equal(learn_conditions(GRID, rows).settle(rows, rng), rows)


def test_a_level_that_no_trial_has_had_is_taken_to_ask_for_everything() -> None:
    rng = np.random.default_rng(0)
    rows = asked(GRID.random(rng, 200))
    conditions = learn_conditions(GRID, rows[rows[:, 0] != 2])  # no wide network yet
    wide = np.tile([2, 0, 1, 2, 3], (5, 1))
    np.testing.assert_array_equal(conditions.settle(wide, rng), wide)


def test_of_several_that_could_decide_the_one_with_fewer_levels_does() -> None:
    grid = make_grid({"many": IntDistribution(0, 5), "few": IntDistribution(0, 1), "then": IntDistribution(1, 3)})
    many = np.repeat(np.arange(6), 3)
    few = (many > 2).astype(np.int64)
    rows = np.column_stack([many, few, np.where(few == 1, many % 3, INACTIVE)])
    assert [(rule.axis, rule.by) for rule in learn_conditions(grid, rows).rules] == [(2, 1)]


def test_what_a_change_calls_for_gets_a_level() -> None:
    rng = np.random.default_rng(0)
    conditions = learn_conditions(GRID, asked(GRID.random(rng, 200)))
    rows = np.tile([2, 0, INACTIVE, INACTIVE, 3], (100, 1))
    rows[:, 0] = 1
    settled = conditions.settle(rows, rng)
    assert set(settled[:, 2]) == {0, 1}
    assert set(settled[:, 4]) == {INACTIVE}
    assert ((settled[:, 3] >= 0) == (settled[:, 2] == 1)).all()


def test_a_space_without_conditions_is_left_alone() -> None:
    rows = GRID.random(np.random.default_rng(0), 30)
    state = np.random.default_rng(1)
    assert learn_conditions(GRID, rows).settle(rows, state) is rows
    assert state.random() == np.random.default_rng(1).random()  # no draw was made


def _objective(trial: optuna.Trial) -> float:
    """27 networks; the best is deep with nine layers and the operation worth 0.3."""
    if trial.suggest_categorical("deep", [True, False]):
        return trial.suggest_int("layers", 1, 9) / 10 + float(trial.suggest_categorical("op", [0.0, 0.3]))
    return trial.suggest_int("width", 1, 9) / 20


@pytest.mark.parametrize("name", ["default", "hill_climbing"])
@pytest.mark.parametrize("seed", range(4))
def test_every_network_is_asked_for_once_before_any_comes_again(name: str, seed: int) -> None:
    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, seed=seed))
    study.optimize(_objective, n_trials=31)
    found = [tuple(sorted(trial.params.items())) for trial in study.trials]
    # Before both kinds of network are known, a draw may come twice.
    assert len(set(found)) >= 25
    assert study.best_value == pytest.approx(1.2)


@pytest.mark.parametrize("name", ["default", "hill_climbing", "evolution"])
def test_costs_and_bounds_may_want_parameters_that_no_trial_has_had(name: str) -> None:
    def objective(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        size = trial.suggest_int("size", 1, 5)
        return size / 10 + trial.suggest_int("deep" if kind == "b" else "wide", 1, 4) / 10

    def macs(params: Mapping[str, Any]) -> float:
        return 1e6 * float(params["size"] + params["deep" if params["kind"] == "b" else "wide"])

    sampler = make_sampler(name, seed=0, macs=macs, score=Score(4e6), feasible=lambda params: macs(params) < 9e6)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(objective, n_trials=40)
    assert study.best_value == pytest.approx(0.8)  # 0.9 breaks the bound


@pytest.mark.parametrize("name", ["default", "hill_climbing", "evolution"])
def test_a_name_that_no_trial_can_have_is_an_error(name: str) -> None:
    wrong: list[dict[str, Any]] = [{"feasible": lambda params: params["widht"] < 3}]
    if name == "default":
        wrong.append({"macs": lambda params: 1e6 * params["widht"], "score": Score(1e6)})
    for options in wrong:
        study = optuna.create_study(direction="maximize", sampler=make_sampler(name, seed=0, **options))
        with pytest.raises(KeyError, match="widht"):
            study.optimize(lambda trial: float(trial.suggest_int("width", 1, 9)), n_trials=20)


def test_a_running_trial_that_has_some_of_its_parameters_only() -> None:
    sampler = make_sampler("default", seed=0, macs=lambda params: 1e6 * params["w"] * params["x"], score=Score(1e6))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, trial.suggest_int("w", 1, 9) + 10 * trial.suggest_int("x", 1, 9))
    half = study.ask()
    half.suggest_int("w", 1, 9)
    other = study.ask()
    assert other.suggest_int("w", 1, 9) * other.suggest_int("x", 1, 9) >= 1


@pytest.mark.parametrize("seed", range(3))
def test_where_two_decide_together_a_suggestion_does_not_come_again(seed: int) -> None:
    def objective(trial: optuna.Trial) -> float:
        kind, size = trial.suggest_categorical("kind", ["a", "b"]), trial.suggest_int("size", 1, 6)
        more = trial.suggest_int("more", 1, 9) if kind == "b" and size > 3 else 0
        return size / 10 + more / 10

    study = optuna.create_study(direction="maximize", sampler=make_sampler("default", seed=seed))
    study.optimize(objective, n_trials=60)
    assert study.best_value == pytest.approx(1.5)
    suggested = [trial.system_attrs.get(SUGGESTED_KEY) for trial in study.trials]
    rows = [tuple(sorted(params.items())) for params in suggested if params is not None]
    assert len(rows) > 50
    assert len(set(rows)) == len(rows)


def test_hill_climbing_restarts_where_a_change_calls_for_more() -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("kind", ["a", "b"]) == "a":
            return 10.0 + trial.suggest_int("p", 1, 4)
        return -float(sum(trial.suggest_int(f"q{i}", 1, 9) for i in range(5)))

    study = optuna.create_study(direction="maximize", sampler=make_sampler("hill_climbing", seed=3))
    study.optimize(objective, n_trials=60)
    assert any(RESTART_KEY in trial.system_attrs for trial in study.trials)


@pytest.mark.parametrize("name", ["default", "hill_climbing", "evolution"])
def test_a_new_process_goes_on_whatever_the_order_in_which_trials_ended(name: str) -> None:
    """Trials of two branches end in another order than they began; a reader that saw them end, and one that did not."""

    def suggest(trial: optuna.Trial) -> float:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        names = ("width", "groups") if kind == "a" else ("layers", "heads")
        return float(sum(trial.suggest_int(name, 1, 9) for name in names))

    study = optuna.create_study(direction="maximize", sampler=make_sampler(name, seed=4))
    waiting: list[tuple[optuna.Trial, float]] = []
    for i in range(70):
        trial = study.ask()
        waiting.append((trial, suggest(trial)))
        if i % 3 == 2:
            study.tell(*waiting.pop())
            study.tell(*waiting.pop(0))
    storage, study_name = study._storage, study.study_name
    fresh = optuna.load_study(study_name=study_name, storage=storage, sampler=make_sampler(name, seed=4))
    old = study.ask()
    suggest(old)
    frozen = study.trials[old.number]
    space = fresh.sampler.infer_relative_search_space(fresh, frozen)
    again = fresh.sampler.sample_relative(fresh, frozen, space)
    assert frozen.params.items() <= again.items()


def test_several_objectives_too() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler("default", seed=1))
    study.optimize(lambda trial: (_objective(trial), float(len(trial.params))), n_trials=31)
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) >= 25
