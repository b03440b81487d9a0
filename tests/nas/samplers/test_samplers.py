"""Our samplers: seeds, resumption, the model's mathematics, hard bounds, noise, several workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from nas.figures import InSpace, MultiplyAdds, keeps
from nas.samplers import SAMPLERS, make_sampler, recommend
from nas.samplers.costs import RowCosts
from nas.samplers.grid import INACTIVE, Grid, make_grid
from nas.samplers.history import HistoryReader
from nas.samplers.local import RESTART_KEY
from nas.samplers.model.acquisition import log_expected_improvement
from nas.score import Score
from search_spaces import mbconv_space
from tests.nas.samplers.space import SPACE

KEEP_BOUNDS = ("default", "random", "hill_climbing", "evolution", "ppo")
"""Samplers that suggest nothing above a bound, but for a study's first trial."""
OPS = {"conv": 0.2, "mbconv": 1.0, "pool": -0.5}


def macs(params: Mapping[str, Any]) -> float:
    return float(1e6 * params["layers"] * (1 + params["s1.expand"] + 2 * params["s2.expand"]) * params["s1.kernel"])


def accuracy(params: Mapping[str, Any]) -> float:
    signal = params["s1.expand"] + 1.5 * params["s2.expand"] + params["layers"] + 3 * OPS[params["op"]]
    return float(0.5 + 0.02 * signal - 0.01 * (params["s2.kernel"] == 5) * params["layers"])


SCORE = Score(40e6)


def value(params: Mapping[str, Any]) -> float:
    return SCORE(accuracy(params), macs(params))


def make(name: str, seed: int = 5, **options: Any) -> optuna.samplers.BaseSampler:
    return make_sampler(name, seed=seed, macs=macs, score=SCORE, **options)


def run(study: optuna.Study, n: int) -> list[dict[str, Any]]:
    for _ in range(n):
        trial = study.ask(SPACE)
        study.tell(trial, value(trial.params))
    return [trial.params for trial in study.trials]


def copy_of(study: optuna.Study, trials: list[FrozenTrial], sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    other = optuna.create_study(directions=study.directions, sampler=sampler)
    other.add_trials(trials)
    return other


def test_unknown_name_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"annealing.*default, random, hill_climbing"):
        make_sampler("annealing", seed=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_new_process_goes_on_as_the_old_one_would(name: str) -> None:
    trials = 13 if name == "gp" else 22  # Optuna's GP is slow and begins at ten.
    steady = optuna.create_study(direction="maximize", sampler=make(name))
    expected = run(steady, trials)
    halting = optuna.create_study(direction="maximize", sampler=make(name))
    for _ in range(trials):
        halting.sampler = make(name)
        run(halting, 1)
    assert [trial.params for trial in halting.trials] == expected


@pytest.mark.parametrize("name", SAMPLERS)
def test_seeds_differ(name: str) -> None:
    drawn = [run(optuna.create_study(direction="maximize", sampler=make(name, seed)), 6) for seed in (1, 2)]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_trial_killed_between_two_parameters_gets_the_rest_of_the_same_suggestion(name: str) -> None:
    study = optuna.create_study(direction="maximize", sampler=make(name))
    run(study, 14)
    trial = study.ask()
    names = list(SPACE)
    whole = {each: trial._suggest(each, SPACE[each]) for each in names}
    for kept in (0, 1, 3):
        again = optuna.create_study(direction="maximize", sampler=make(name))
        again.add_trials(study.get_trials(states=(TrialState.COMPLETE,)))
        for key, attr in study._storage.get_study_system_attrs(study._study_id).items():
            again._storage.set_study_system_attr(again._study_id, key, attr)
        begun = again.ask()
        for each in names[:kept]:
            distribution = SPACE[each]
            internal = distribution.to_internal_repr(whole[each])
            again._storage.set_trial_param(begun._trial_id, each, internal, distribution)
        again.sampler = make(name)
        resumed = optuna.trial.Trial(again, begun._trial_id)
        assert {each: resumed._suggest(each, SPACE[each]) for each in names} == whole


@pytest.mark.parametrize("name", KEEP_BOUNDS)
def test_hard_bounds_are_kept_once_the_space_is_known(name: str) -> None:
    def feasible(params: Mapping[str, Any]) -> bool:
        return macs(params) <= 60e6

    study = optuna.create_study(direction="maximize", sampler=make(name, feasible=feasible))
    params = run(study, 30)
    assert all(feasible(each) for each in params[1:])


@pytest.mark.parametrize("name", KEEP_BOUNDS)
def test_bounds_that_are_asked_for_many_at_once_lead_to_the_same_suggestions(name: str) -> None:
    space = mbconv_space(1e6, 16, num_classes=10)
    kept = keeps([(InSpace(MultiplyAdds(10), space), 1e6)])
    assert kept is not None

    def plain(params: Mapping[str, Any]) -> bool:
        return kept(params)

    one_by_one, at_once = (
        optuna.create_study(sampler=make_sampler(name, seed=2, feasible=each)) for each in (plain, kept)
    )
    for study in (one_by_one, at_once):
        for number in range(16):
            study.tell(study.ask(space.distributions()), float(number % 5))
    assert [trial.params for trial in at_once.trials] == [trial.params for trial in one_by_one.trials]
    assert all(kept(trial.params) for trial in at_once.trials[1:])


@pytest.mark.parametrize("name", KEEP_BOUNDS)
def test_where_hardly_anything_keeps_the_bounds_nothing_else_is_suggested(name: str) -> None:
    space: dict[str, BaseDistribution] = {f"p{i}": IntDistribution(0, 4) for i in range(6)}

    def feasible(params: Mapping[str, Any]) -> bool:
        return [*params.values()].count(2) >= 5  # 25 of 15,625

    sampler = make_sampler(name, seed=1, feasible=feasible)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.enqueue_trial(dict.fromkeys(space, 2))
    for _ in range(60):
        trial = study.ask(space)
        assert feasible(trial.params)
        study.tell(trial, float(sum(trial.params.values())))
    # All are found before any comes again; a policy may repeat what it believes in.
    assert len({tuple(trial.params.items()) for trial in study.trials[:25]}) == 25 or name == "ppo"


def test_evolution_of_a_parent_that_cannot_change() -> None:
    study = optuna.create_study(direction="maximize", sampler=make_sampler("evolution", seed=0))
    for _ in range(55):
        study.tell(study.ask({"one": CategoricalDistribution((1,))}), 1.0)
    study.tell(study.ask({"two": IntDistribution(1, 2)}), 0.0)
    for _ in range(5):
        study.tell(study.ask({"two": IntDistribution(1, 2)}), 0.0)


def test_equal_costs_so_far_and_another_running() -> None:
    sampler = make_sampler("default", seed=0, macs=lambda params: 1e6 * params["w"], score=Score(1e6))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    space: dict[str, BaseDistribution] = {"w": IntDistribution(1, 4), "x": IntDistribution(1, 9)}
    for x in range(1, 10):
        study.enqueue_trial({"w": 1, "x": x})
        study.tell(study.ask(space), x / 10)
    for w in (2, 4):
        study.enqueue_trial({"w": w, "x": 1})
        study.ask(space)
    assert study.ask(space).params["w"] > 1


def test_default_finds_the_best_of_a_small_space() -> None:
    grid = make_grid(SPACE)
    every = [grid.params(np.array(index)) for index in np.ndindex(*grid.sizes)]
    best = max(map(value, every))
    for seed in range(3):
        study = optuna.create_study(direction="maximize", sampler=make("default", seed))
        run(study, 60)
        assert study.best_value == pytest.approx(best)


def test_default_repeats_no_point_while_others_run() -> None:
    study = optuna.create_study(direction="maximize", sampler=make("default"))
    pending = []
    for i in range(60):
        pending.append(study.ask(SPACE))
        if len(pending) == 16:
            done = pending.pop(i % 16)
            study.tell(done, value(done.params))
    rows = [tuple(trial.params.items()) for trial in study.trials]
    assert len(set(rows[1:])) == len(rows) - 1


def test_a_promising_running_trial_is_to_be_improved_upon(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def spy(mean: Any, std: Any, best: float) -> Any:
        asked.append(best)
        return log_expected_improvement(mean, std, best)

    monkeypatch.setattr("nas.samplers.model_based.log_expected_improvement", spy)
    grid = make_grid(SPACE)
    every = sorted((grid.params(np.array(index)) for index in np.ndindex(*grid.sizes)), key=value)
    bests = []
    for running in (False, True):
        study = optuna.create_study(direction="maximize", sampler=make("default"))
        for params in every[: len(every) // 2 : 20]:
            study.enqueue_trial(params)
            study.tell(study.ask(SPACE), value(params))
        if running:
            study.enqueue_trial(every[-1])
            study.ask(SPACE)
        asked.clear()
        study.ask(SPACE)
        bests.append(max(asked))
    assert bests[1] > bests[0] + 1e-3


def test_value_alone_is_as_good_as_value_with_accuracy() -> None:
    plain = optuna.create_study(direction="maximize", sampler=make("default"))
    told = optuna.create_study(direction="maximize", sampler=make("default"))
    for _ in range(20):
        trial = plain.ask(SPACE)
        plain.tell(trial, value(trial.params))
        trial = told.ask(SPACE)
        trial.set_user_attr("accuracy", accuracy(trial.params))
        told.tell(trial, value(trial.params))
    assert [t.params for t in plain.trials] == [t.params for t in told.trials]


def test_minimising_is_maximising_the_negative() -> None:
    up = optuna.create_study(direction="maximize", sampler=make_sampler("default", seed=1))
    down = optuna.create_study(direction="minimize", sampler=make_sampler("default", seed=1))
    for _ in range(20):
        for study, sign in ((up, 1), (down, -1)):
            trial = study.ask(SPACE)
            study.tell(trial, sign * value(trial.params))
    assert [t.params for t in up.trials] == [t.params for t in down.trials]


def test_failed_and_pruned_points_are_not_asked_again_and_crashed_ones_may_be() -> None:
    study = optuna.create_study(direction="maximize", sampler=make("default"))
    run(study, 3)
    failed, crashed = study.ask(SPACE), study.ask(SPACE)
    failed.set_user_attr("failure_kind", "oom")
    crashed.set_user_attr("failure_kind", "crashed")
    for trial in (failed, crashed):
        study.tell(trial, state=TrialState.FAIL)
    reader = HistoryReader()
    history = reader.read(study, -1, reader.space(study, -1))
    assert history.grid.row(failed.params).tobytes() in history.seen
    assert history.grid.row(crashed.params).tobytes() not in history.seen


def test_conditional_parameters() -> None:
    def objective(trial: optuna.Trial) -> float:
        if trial.suggest_categorical("deep", [True, False]):
            return trial.suggest_int("layers", 1, 9) / 10 + trial.suggest_categorical("op", [0.0, 0.3])
        return trial.suggest_int("width", 1, 9) / 20

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize", sampler=make_sampler("default", seed=2))
    study.optimize(objective, n_trials=45)
    assert study.best_value == pytest.approx(1.2)


def test_hill_climbing_tries_neighbours_of_the_best_and_restarts_when_they_are_spent() -> None:
    space: dict[str, BaseDistribution] = {"a": IntDistribution(0, 2), "b": IntDistribution(0, 1)}
    study = optuna.create_study(direction="maximize", sampler=make_sampler("hill_climbing", seed=0))
    best, where = -1.0, {"a": 0, "b": 0}
    for i in range(6):
        trial = study.ask(space)
        if i and RESTART_KEY not in study.trials[-1].system_attrs:
            assert sum(trial.params[name] != where[name] for name in space) == 1
        found = float(trial.params["a"] + trial.params["b"])
        study.tell(trial, found)
        if found > best:
            best, where = found, dict(trial.params)
    assert len({tuple(t.params.items()) for t in study.trials}) == 6


# --- Recommendation and several objectives -----------------------------------------------------------------------


def test_costs_of_rows_are_those_of_their_parameters() -> None:
    space = mbconv_space(20e6, 32, num_classes=10)
    macs = InSpace(MultiplyAdds(10), space)
    own = space.distributions()
    for names in (list(own), sorted(own, reverse=True)):
        grid = make_grid({name: own[name] for name in names})
        rows = grid.random(np.random.default_rng(0), 20)
        counted = RowCosts(macs)(grid, rows)
        np.testing.assert_array_equal(counted, [macs(grid.params(row)) for row in rows])
    rows[0, 3] = INACTIVE  # a trial that is still being told its own
    assert np.isnan(RowCosts(macs)(grid, rows)).tolist() == [True] + 19 * [False]
    fewer = make_grid({name: own[name] for name in list(own)[:-1]})
    assert np.isnan(RowCosts(macs)(fewer, fewer.random(np.random.default_rng(0), 2))).all()


def test_recommendation_prefers_many_good_trainings_to_one_lucky_one() -> None:
    rng = np.random.default_rng(0)
    study = optuna.create_study(direction="maximize", sampler=make("random"))
    grid = make_grid(SPACE)
    steady, lucky = grid.random(rng, 2)
    for row in grid.random(rng, 20):
        _add(study, grid, row, 0.60 + 0.01 * float(rng.normal()))
    for noise in (-0.01, 0.01, 0.0, 0.005, -0.005):
        _add(study, grid, steady, 0.70 + noise)
    _add(study, grid, lucky, 0.702)
    first = recommend(study)[0]
    assert first.params == grid.params(steady)
    assert len(first.trials) == 5
    assert first.low < first.value < first.high


def test_recommendation_under_noise_beats_the_luckiest_value() -> None:
    gained = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        study = optuna.create_study(direction="maximize", sampler=make("random", seed))
        for _ in range(60):
            trial = study.ask(SPACE)
            study.tell(trial, SCORE(accuracy(trial.params) + 0.05 * float(rng.normal()), macs(trial.params)))
        gained.append(value(recommend(study, macs=macs, score=SCORE)[0].params) - value(study.best_params))
    assert np.mean(gained) > 0


def test_recommendation_of_few_and_no_trials() -> None:
    study = optuna.create_study(direction="minimize", sampler=make_sampler("random", seed=0))
    assert recommend(study) == []
    run(study, 3)
    assert recommend(study)[0].params == study.best_params
    assert recommend(study)[0].value == pytest.approx(study.best_value)
    with pytest.raises(ValueError, match="one objective"):
        recommend(optuna.create_study(directions=["maximize", "minimize"]))


def _add(study: optuna.Study, grid: Grid, row: np.ndarray, told: float) -> None:
    study.add_trial(optuna.create_trial(params=grid.params(row), distributions=SPACE, value=told))


@pytest.mark.parametrize("cost", [lambda c: c, np.log])
def test_pareto_search_covers_more_than_random_search(cost: Any) -> None:
    covered = {}
    for name in ("default", "random"):
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=make_sampler(name, seed=4, macs=macs))
        for _ in range(45):
            trial = study.ask(SPACE)
            study.tell(trial, (accuracy(trial.params), float(cost(macs(trial.params)))))
        points = np.array([[t.values[1], -t.values[0]] for t in study.trials])
        covered[name] = compute_hypervolume(points, np.array([cost(400e6), -0.5]))
    assert covered["default"] > covered["random"]


def test_pareto_search_without_known_cost() -> None:
    study = optuna.create_study(directions=["maximize", "maximize"], sampler=make_sampler("default", seed=4))
    for _ in range(20):
        trial = study.ask(SPACE)
        study.tell(trial, (accuracy(trial.params), trial.params["s1.kernel"] - trial.params["layers"]))
    assert len({tuple(t.params.items()) for t in study.trials[1:]}) == 19
