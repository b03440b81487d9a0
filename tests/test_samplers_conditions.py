"""Conditional spaces: which parameters are asked for when is read off the trials, and no network is asked for twice."""

from __future__ import annotations

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from nas.samplers import make_sampler
from nas.samplers.conditions import learn_conditions
from nas.samplers.grid import INACTIVE, Rows, make_grid

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
    assert [(rule.axis, rule.by) for rule in conditions.rules] == [(4, 0), (2, 0), (3, 2)] or [
        (rule.axis, rule.by) for rule in conditions.rules
    ] == [(2, 0), (4, 0), (3, 2)]
    rows = GRID.random(rng, 50)
    np.testing.assert_array_equal(conditions.settle(rows, rng), asked(rows))


@given(st.integers(0, 2**32 - 1), st.integers(1, 12))
def test_rules_of_any_few_trials_change_none_of_them(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    rows = asked(GRID.random(rng, n))
    np.testing.assert_array_equal(learn_conditions(GRID, rows).settle(rows, rng), rows)


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


def test_several_objectives_too() -> None:
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler("default", seed=1))
    study.optimize(lambda trial: (_objective(trial), float(len(trial.params))), n_trials=31)
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) >= 25
