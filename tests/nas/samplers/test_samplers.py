"""Our samplers: seeds, resumption, the model's mathematics, hard bounds, noise, several workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna._hypervolume import compute_hypervolume
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from scipy import stats

from nas.figures import InSpace, MultiplyAdds, keeps
from nas.samplers import SAMPLERS, make_sampler, recommend
from nas.samplers.costs import RowCosts
from nas.samplers.grid import INACTIVE, Grid, make_grid
from nas.samplers.history import HistoryReader
from nas.samplers.local import RESTART_KEY
from nas.samplers.model.acquisition import expected_improvement, log_expected_improvement
from nas.samplers.model.covariance import MISMATCH, NOISE, SHARED, Floats, Inputs, Kernel
from nas.samplers.model.gp import negative_log_likelihood, posterior, prior
from nas.samplers.model.surrogate import Data, Surrogates
from nas.score import Score
from search_spaces import mbconv_space

KEEP_BOUNDS = ("default", "random", "hill_climbing", "evolution", "ppo")
"""Samplers that suggest nothing above a bound, but for a study's first trial."""
SPACE = {
    "s1.kernel": IntDistribution(3, 5, step=2),
    "s1.expand": CategoricalDistribution((1, 4, 6)),
    "s2.kernel": IntDistribution(3, 5, step=2),
    "s2.expand": CategoricalDistribution((1, 4, 6)),
    "op": CategoricalDistribution(("conv", "mbconv", "pool")),
    "layers": IntDistribution(1, 4),
}
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


# --- The model ---------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(mean=st.floats(-3, 3), std=st.floats(0.05, 2), best=st.floats(-3, 3))
def test_expected_improvement_is_the_integral(mean: float, std: float, best: float) -> None:
    # 200 Gauss-Legendre nodes on the part of the line that matters.
    nodes, weights = np.polynomial.legendre.leggauss(200)
    low, high = max(best, mean - 9 * std), max(best, mean + 9 * std)
    f = low + (high - low) * (nodes + 1) / 2
    expected = float(((f - best) * stats.norm(mean, std).pdf(f) * weights).sum() * (high - low) / 2)
    found = expected_improvement(np.array([mean]), np.array([std]), np.array([best]))[0]
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-9)
    if expected > 1e-7:
        logged = log_expected_improvement(np.array([mean]), np.array([std]), best)[0]
        assert np.exp(logged) == pytest.approx(expected, rel=1e-3)


def test_log_expected_improvement_falls_steadily_into_the_tail() -> None:
    mean = -np.linspace(0, 60, 400)
    logged = log_expected_improvement(mean, np.ones(400), 0.0)
    assert np.isfinite(logged).all()
    assert (np.diff(logged) < 0).all()
    # phi(z) / z^2 for z -> -inf
    assert logged[-1] == pytest.approx(-0.5 * 60**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(60), abs=1e-2)


def _model(n: int = 25) -> tuple[Grid, Kernel, Inputs, Floats, Floats, Floats]:
    rng = np.random.default_rng(0)
    grid = make_grid(SPACE)
    rows = grid.random(rng, n)
    rows[3, 4] = -1
    kernel = Kernel(grid)
    theta = prior(kernel)[0] + 0.3 * rng.normal(size=SHARED + len(grid.axes))
    return grid, kernel, kernel.inputs(rows, rng.normal(size=n)), theta, rng.normal(size=n), rng.exponential(0.1, n)


def test_likelihood_and_gradient() -> None:
    _, kernel, x, theta, y, blur = _model()
    found, gradient = negative_log_likelihood(kernel, theta, x, y, blur)
    covariance = kernel(theta, x, x) + np.exp(theta[NOISE]) * np.eye(len(y)) + np.diag(blur)
    exact = -stats.multivariate_normal(np.zeros(len(y)), covariance).logpdf(y)
    assert found + 0.5 * len(y) * np.log(2 * np.pi) == pytest.approx(exact)
    step = 1e-5
    for i, each in enumerate(np.eye(len(theta)) * step):
        up, down = (negative_log_likelihood(kernel, theta + change, x, y, blur)[0] for change in (each, -each))
        slope = (up - down) / (2 * step)
        assert gradient[i] == pytest.approx(slope, rel=1e-4, abs=1e-5)


def test_posterior_is_the_normal_conditional_and_pending_points_move_no_mean() -> None:
    grid, kernel, x, theta, y, blur = _model()
    rng = np.random.default_rng(1)
    new = kernel.inputs(grid.random(rng, 7), rng.normal(size=7))
    gram = kernel(theta, x, x) + (np.exp(theta[NOISE]) + 1e-8) * np.eye(len(y)) + np.diag(blur)
    cross = kernel(theta, new, x)
    mean, std = posterior(kernel, theta, x, y, blur).predict(new)
    np.testing.assert_allclose(mean, cross @ np.linalg.solve(gram, y), atol=1e-8)
    covariance = kernel(theta, new, new) - cross @ np.linalg.solve(gram, cross.T)
    np.testing.assert_allclose(std**2, np.diag(covariance), atol=1e-8)
    waiting = posterior(kernel, theta, x, y, blur, pending=new)
    np.testing.assert_allclose(waiting.mean(new), mean, atol=1e-8)
    assert (waiting.predict(new)[1] < std).all()


def test_near_values_of_an_ordered_parameter_mismatch_less() -> None:
    grid = make_grid({"n": IntDistribution(1, 4), "op": CategoricalDistribution(("a", "b", "c"))})
    kernel = Kernel(grid)
    theta = prior(kernel)[0]
    theta[:SHARED] = -50.0
    theta[MISMATCH] = 0.0
    rows = np.array([[0, 0], [1, 0], [3, 0], [0, 1], [0, 2]])
    x = kernel.inputs(rows, np.zeros(5))
    found = -np.log(kernel(theta, x, x)[0] - 1.0) / np.exp(theta[SHARED:])[[0, 0, 0, 1, 1]]  # both weights are equal
    np.testing.assert_allclose(found, [0, 0.75, 1, 1, 1], atol=1e-9)


def test_diagonal_is_that_of_the_covariance() -> None:
    _, kernel, x, theta, _, _ = _model()
    np.testing.assert_allclose(kernel.diagonal(theta, x), np.diag(kernel(theta, x, x)))


@pytest.mark.parametrize(
    ("levels", "places"),
    [
        ((1, 2, 4), (0, 0.5, 1)),
        ((1, 4, 6), (0, np.log(4) / np.log(6), 1)),
        ((0, 1, 4), (0, 0.25, 1)),
        ((-1.0, 0.0, 3.0), (0, 0.25, 1)),
        ((4, 1, 2), (0, 0.5, 1)),
        (("a", "b", "c", "d", "e"), (0, 0.25, 0.5, 0.75, 1)),
        ((7,), (0,)),
        ((0.1, 1.0, 10.0, float("inf")), (0, 1 / 3, 2 / 3, 1)),
        ((2**62, 2**62 + 1, 2**62 + 2), (0, 0.5, 1)),
    ],
)
def test_levels_lie_by_their_ratio_where_they_have_one(levels: tuple[Any, ...], places: tuple[float, ...]) -> None:
    grid = make_grid({"x": CategoricalDistribution(levels)})
    np.testing.assert_allclose(grid.axes[0].places, places)


def test_real_numbers_lie_evenly_on_the_scale_of_their_range() -> None:
    grid = make_grid({"x": FloatDistribution(1e-6, 1), "y": FloatDistribution(1e-6, 1, log=True)})
    for axis in grid.axes:
        np.testing.assert_allclose(axis.places, np.linspace(0, 1, len(axis.levels)))


def _learnt(names: list[str], effects: list[float]) -> float:
    """What the model expects the last of some on/off parameters to do once it has seen the others change singly."""
    grid = make_grid({name: CategoricalDistribution((0, 1)) for name in names})
    singles = np.eye(len(names), dtype=np.int64)[:-1]
    rows = np.concatenate([np.zeros((1, len(names)), np.int64), singles])
    y = np.concatenate([[0.0], effects])
    zero = np.zeros(len(rows))
    model = Surrogates().build(grid, Data(rows, zero, y, zero, peaked=False), rows[:0], zero[:0])
    probe = np.zeros((2, len(names)), np.int64)
    probe[1, -1] = 1
    low, high = model.mean(probe, np.zeros(2))
    return float(high - low)


def test_what_a_choice_does_in_the_other_stages_is_expected_of_the_next() -> None:
    stages = [f"s{i}.se" for i in range(1, 9)]
    strangers = [f"{letter}.se" for letter in "abcdefgh"]
    steady, rising = [1.0] * 7, [0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4]
    assert _learnt(stages, steady) > 0.6
    assert _learnt(stages, steady) > 2 * _learnt(strangers, steady)
    # Stages come in the order of their numbers, whatever the order of the parameters.
    assert _learnt(stages, rising) > _learnt(stages, rising[::-1]) + 0.2
    shuffled = [f"s{i}.se" for i in (3, 1, 7, 5, 2, 6, 4, 8)]
    assert _learnt(shuffled, [rising[int(name[1]) - 1] for name in shuffled[:-1]]) == pytest.approx(
        _learnt(stages, rising), abs=0.02
    )


def test_bad_points_are_learnt_less_exactly_than_good_ones() -> None:
    grid = make_grid(SPACE)
    rows = np.unique(grid.random(np.random.default_rng(0), 60), axis=0)
    y = np.random.default_rng(1).normal(size=len(rows))  # nothing to learn: the model can but remember
    zero = np.zeros(len(rows))
    errors = {}
    for peaked in (True, False):
        data = Data(rows, zero, y, zero, peaked=peaked)
        model = Surrogates().build(grid, data, rows[:0], zero[:0])
        gap = np.abs(model.mean(rows, zero) - data.cut(data.floor))
        top = y >= np.quantile(y, 0.9)
        errors[peaked] = gap[~top].mean() / gap[top].mean()
    assert errors[True] > 1.5 * errors[False]


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 7), st.booleans(), st.integers(0, 10**6))
def test_rows_and_params_are_inverse(high: int, step: int, log: bool, seed: int) -> None:
    whole = IntDistribution(1, high, log=True) if log else IntDistribution(1, 1 + high // step * step, step=step)
    grid = make_grid(
        {"n": whole, "x": FloatDistribution(1e-3, 2.0, log=log), "c": CategoricalDistribution(("a", None, 2))}
    )
    for row in grid.random(np.random.default_rng(seed), 5):
        params = grid.params(row)
        np.testing.assert_array_equal(grid.row(params), row)
        assert whole._contains(whole.to_internal_repr(params["n"]))
        assert 1e-3 <= params["x"] <= 2.0


def test_neighbours_are_all_single_changes() -> None:
    grid = make_grid(SPACE)
    row = grid.random(np.random.default_rng(0), 1)[0]
    near = grid.neighbours(row)
    assert ((near != row).sum(1) == 1).all()
    assert len(np.unique(near, axis=0)) == len(near) == (grid.sizes - 1).sum()


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
