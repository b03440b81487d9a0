"""The default sampler's model: its covariance by the formula, its likelihood and posterior by the textbook's, its
units, its acquisition, and the rows that all of these see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats

from nas.samplers import make_sampler
from nas.samplers.grid import INACTIVE, Axis, Grid, Rows, make_grid
from nas.samplers.model.acquisition import candidates, expected_improvement, log_expected_improvement, maximise
from nas.samplers.model.covariance import ALIKE, MISMATCH, NOISE, PAIRS, SHARED, Floats, Inputs, Kernel
from nas.samplers.model.gp import fit_hyperparameters, negative_log_likelihood, posterior, prior
from nas.samplers.model.objective import Objective, floor_of
from nas.samplers.model.surrogate import Data, Surrogates
from nas.score import Score
from tests.nas.samplers.space import SPACE


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
    for far, error in ((60, 1e-2), (9_000, 1e-4), (11_000, 1e-4), (1e6, 1e-3)):
        found = log_expected_improvement(np.array([-2.0 * far]), np.array([2.0]), 0.0)[0]
        assert found == pytest.approx(np.log(2) - 0.5 * far**2 - 0.5 * np.log(2 * np.pi) - 2 * np.log(far), abs=error)


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
    for inactive in ([], [0], [1, 4], range(6)):
        row[inactive] = INACTIVE
        near = grid.neighbours(row)
        assert ((near != row).sum(1) == 1).all()
        assert (near[:, inactive] == INACTIVE).all()
        assert len(np.unique(near, axis=0)) == len(near) == (grid.sizes - 1)[row >= 0].sum()


# --- The covariance, by its formula ------------------------------------------------------------------------------

MIXED = make_grid({
    "s10.width": CategoricalDistribution((16, 32, 128)),
    "s2.width": CategoricalDistribution((8, 16, 24)),  # like s10's: as many values, in rising order
    "s1.width": CategoricalDistribution((8, 16)),  # unlike: fewer
    "b1.op": CategoricalDistribution(("x", "y", "z")),
    "b2.op": CategoricalDistribution(("x", "y", "z")),
    "b3.op": CategoricalDistribution(("x", "y", "w")),  # unlike: other values
    "act": CategoricalDistribution(("relu", "gelu")),
    "fixed": CategoricalDistribution((3,)),
    "named": CategoricalDistribution(("only",)),
})  # fmt: skip
LIKE = (("s2.width", "s10.width"), ("b1.op", "b2.op"))


def effects(grid: Grid) -> dict[str, Floats]:
    """Of each parameter's levels, those of inactive last, as covariance.py has them, before scaling."""
    found = {}
    for axis in grid.axes:
        count = len(axis.levels)
        slope = np.zeros((count, 1))
        if axis.ordered and count > 1:
            slope[:, 0] = 2 * (axis.places - axis.places.mean())
        hots = np.eye(count) * (0.5 * (count > 2) if axis.ordered else count > 1)
        found[axis.name] = np.vstack([np.hstack([slope, hots]), np.zeros(count + 1)])
    return found


def inner(grid: Grid, a: Rows, b: Rows) -> tuple[float, float]:
    """<e(a), e(b)> and <a(a), a(b)> of two rows."""
    of, at = effects(grid), {axis.name: i for i, axis in enumerate(grid.axes)}
    power = {name: float((table**2).sum()) / (len(table) - 1) for name, table in of.items()}
    own = sum(float(of[name][a[i]] @ of[name][b[i]]) for name, i in at.items()) / sum(power.values())
    alike = size = 0.0
    for group in LIKE:
        for weights in (np.ones(2), np.array([-1.0, 1.0])):
            left, right = (sum(w * of[n][row[at[n]]] for w, n in zip(weights, group, strict=True)) for row in (a, b))
            alike += float(left @ right)
            size += sum(w**2 * power[n] for w, n in zip(weights, group, strict=True))
    return own, alike / size


def mismatch(axis: Axis, a: int, b: int) -> float:
    if a == b:
        return 0.0
    if INACTIVE in (a, b) or not axis.ordered:
        return 1.0
    return (1 + abs(float(axis.places[a] - axis.places[b]))) / 2


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_the_covariance_is_the_sum_of_its_five_parts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, cost = MIXED.random(rng, 5), rng.normal(size=5)
    rows[rng.random(rows.shape) < 0.2] = INACTIVE
    kernel = Kernel(MIXED)
    theta = rng.normal(size=SHARED + len(MIXED.axes))
    v, weights = np.exp(theta), np.exp(theta[SHARED:])
    expected = np.empty((5, 5))
    for i, j in np.ndindex(5, 5):
        own, alike = inner(MIXED, rows[i], rows[j])
        apart = [mismatch(axis, *pair) for axis, *pair in zip(MIXED.axes, rows[i], rows[j], strict=True)]
        expected[i, j] = (
            1 + v[0] * own + v[1] * alike + v[2] * alike**2 + v[3] * cost[i] * cost[j] + v[4] * np.exp(-weights @ apart)
        )
    x = kernel.inputs(rows, cost)
    np.testing.assert_allclose(kernel(theta, x, x), expected)
    np.testing.assert_allclose(kernel.diagonal(theta, x), np.diag(expected))


def test_a_space_without_a_choice_has_no_effects() -> None:
    grid = make_grid({"one": CategoricalDistribution((1,)), "other": IntDistribution(4, 4)})
    kernel, cost = Kernel(grid), np.array([-1.0, 2.0])
    x = kernel.inputs(np.zeros((2, 2), np.int64), cost)
    np.testing.assert_allclose(kernel(np.zeros(SHARED + 2), x, x), 2 + np.multiply.outer(cost, cost))


# --- Hyperparameters ---------------------------------------------------------------------------------------------


def test_the_prior_is_what_its_comments_say() -> None:
    kernel = Kernel(MIXED)
    means, spreads = prior(kernel)
    assert np.exp(means[NOISE] / 2) == pytest.approx(0.1)  # of the values' standard deviation
    effects, others = means[ALIKE], np.delete(means[:SHARED], [ALIKE, NOISE])
    assert effects > others.max()
    assert others.min() == means[PAIRS]
    assert np.exp(means[:SHARED].max()) == pytest.approx(1)  # that of the values
    assert spreads[NOISE] > np.delete(spreads, NOISE).max() == np.delete(spreads, NOISE).min() == 1
    # Two random rows of parameters that have many values each are about one decay length apart.
    wide = make_grid({f"p{letter}": CategoricalDistribution(tuple("abcdefghijklmnop")) for letter in "wxyz"})
    weights = np.exp(prior(Kernel(wide))[0][SHARED:])
    rng = np.random.default_rng(0)
    apart = (wide.random(rng, 500) != wide.random(rng, 500)).mean(0)
    assert weights @ apart == pytest.approx(2 * 15 / 16, rel=0.02)


def test_hyperparameters_are_the_mode_of_the_posterior_inside_of_their_bounds() -> None:
    _, kernel, x, _, y, blur = _model(30)
    means, spreads = prior(kernel)
    found = fit_hyperparameters(kernel, x, y, blur, iterations=500)

    def loss(theta: Floats) -> float:
        prior_density = float(stats.norm(means, spreads).logpdf(theta).sum())
        return negative_log_likelihood(kernel, theta, x, y, blur)[0] - prior_density

    low, high = np.log([1e-3] * 5 + [1e-5]), np.log([20.0] * 5 + [2.0])
    low, high = np.append(low, means[SHARED:] - 4), np.append(high, means[SHARED:] + 4)
    assert (low - 1e-9 <= found).all()
    assert (found <= high + 1e-9).all()
    for i, step in enumerate(np.eye(len(found)) * 1e-4):
        slope = (loss(found + step) - loss(found - step)) / 2e-4
        assert (
            abs(slope) < 2e-2 or (slope > 0 and found[i] < low[i] + 1e-6) or (slope < 0 and found[i] > high[i] - 1e-6)
        )
    assert loss(found) < loss(means) - 1


@pytest.mark.parametrize(("scale", "part", "bound"), [(1e3, ALIKE, 20.0), (1e-4, MISMATCH, 1e-3)])
def test_variances_end_at_their_bounds(scale: float, part: int, bound: float) -> None:
    grid = make_grid({f"s{i}.on": CategoricalDistribution((0, 1)) for i in range(1, 9)})
    rows = grid.random(np.random.default_rng(0), 40)
    kernel = Kernel(grid)
    y = scale * (rows.sum(1) - 4.0) if part == ALIKE else scale * np.ones(40)
    theta = fit_hyperparameters(kernel, kernel.inputs(rows, np.zeros(40)), y, np.zeros(40), iterations=300)
    assert np.exp(theta[part]) <= 20 + 1e-9
    if part == ALIKE:
        assert np.exp(theta[part]) == pytest.approx(bound)


def test_a_covariance_that_is_not_positive_is_as_bad_as_can_be() -> None:
    _, kernel, x, theta, y, blur = _model()
    loss, gradient = negative_log_likelihood(kernel, theta, x, y, blur - 1e3)
    assert loss > 1e9
    assert not gradient.any()


# --- Units, and what the model is made of ------------------------------------------------------------------------


def test_the_floor_is_three_gaps_to_the_upper_tenth_below_the_median() -> None:
    assert floor_of(np.arange(101.0)) == 50 - 3 * (90 - 50)
    assert floor_of(np.array([2.0, 1.0, 2.0, 2.0])) == 1  # the upper tenth begins at the median
    assert floor_of(np.array([])) == -np.inf


@pytest.mark.parametrize("form", ["power", "absolute"])
def test_an_objective_is_its_target_and_what_the_cost_decides(form: str) -> None:
    score = Score(1e6, -0.07, -0.2, form=form)
    objective = Objective(score)
    costs, accuracies = np.array([0.3e6, 1e6, 2.5e6]), np.array([0.4, 0.5, 0.9])
    values = np.array([score(a, c) for a, c in zip(accuracies, costs, strict=True)])
    bare = tuple(optuna.trial.create_trial(value=value) for value in values)
    told = tuple(optuna.trial.create_trial(value=0.0, user_attrs={"accuracy": a}) for a in accuracies)
    for trials in (bare, told):
        targets = objective.targets(trials, values, costs)
        np.testing.assert_allclose(targets, np.log(accuracies) if form == "power" else accuracies)
        whole = targets + objective.known(costs)
        np.testing.assert_allclose([objective.value(each) for each in whole], values)
    nothing = objective.targets(bare[:1], np.zeros(1), costs[1:2])
    assert nothing[0] == pytest.approx(np.log(1e-4) if form == "power" else 0.0)


def test_without_a_score_the_objective_is_the_value() -> None:
    objective, values = Objective(), np.array([0.1, 7.0])
    trials = tuple(optuna.trial.create_trial(value=1.0, user_attrs={"accuracy": 0.5}) for _ in values)
    assert objective.targets(trials, values, np.ones(2)).tolist() == values.tolist()
    assert objective.known(np.ones(2)).tolist() == [0, 0]
    assert objective.value(7.0) == 7.0


def some_data(n: int, *, peaked: bool = True, costs: Floats | None = None) -> tuple[Grid, Data]:
    rng = np.random.default_rng(n)
    grid = make_grid(SPACE)
    known = rng.normal(size=n)
    targets = rng.normal(3, 2, n)
    targets[: n // 10] -= 30  # went wrong
    rows, costs = grid.random(rng, n), rng.normal(16, 2, n) if costs is None else costs
    return grid, Data(rows, costs, targets, known, **({} if peaked else {"peaked": False}))


@pytest.mark.parametrize("peaked", [True, False])
def test_the_model_is_the_normal_conditional_in_the_targets_own_unit(peaked: bool) -> None:
    grid, data = some_data(30, peaked=peaked)
    pending, pending_costs = grid.random(np.random.default_rng(1), 2), np.array([15.0, 18.0])
    model = Surrogates().build(grid, data, pending, pending_costs)
    objective = data.targets + data.known
    middle, upper = np.quantile(objective, [0.5, 0.9])
    floored = np.maximum(objective, middle - 3 * (upper - middle)) if peaked else objective
    targets = floored - data.known
    blur = 0.02 * (np.maximum(upper - floored, 0) / targets.std()) ** 2 if peaked else np.zeros(30)
    kernel, theta = Kernel(grid), model.posterior.theta

    def inputs(rows: Rows, costs: Floats) -> Inputs:
        return kernel.inputs(rows, (costs - data.costs.mean()) / data.costs.std())

    x = inputs(data.rows, data.costs)
    new = grid.random(np.random.default_rng(2), 6), np.linspace(12, 20, 6)
    cross = kernel(theta, inputs(*new), x)
    gram = kernel(theta, x, x) + (np.exp(theta[NOISE]) + 1e-8) * np.eye(30) + np.diag(blur)
    expected = targets.mean() + cross @ np.linalg.solve(gram, targets - targets.mean())
    mean, std = model.predict(*new)
    np.testing.assert_allclose(mean, expected)
    np.testing.assert_allclose(model.mean(*new), expected)
    alone, wider = Surrogates().build(grid, data, pending[:0], pending_costs[:0]).predict(*new)
    variance = kernel.diagonal(theta, inputs(*new)) - np.einsum("ij,ji->i", cross, np.linalg.solve(gram, cross.T))
    np.testing.assert_allclose(alone, expected)
    np.testing.assert_allclose(wider, targets.std() * np.sqrt(variance))
    assert (std < wider).all()
    assert model.noise == pytest.approx(targets.std() * np.exp(theta[NOISE] / 2))


def test_equal_costs_and_equal_targets_have_the_unit_one() -> None:
    grid, data = some_data(12, costs=np.full(12, 16.1))
    same = Data(data.rows, data.costs, np.full(12, 0.1), np.zeros(12))
    model = Surrogates().build(grid, same, data.rows[:0], data.costs[:0])
    np.testing.assert_allclose(model.mean(data.rows, data.costs), 0.1)
    assert model.noise == pytest.approx(np.exp(model.posterior.theta[NOISE] / 2))


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Floats]:
    """The costs of the points that hyperparameters are fitted to, each time; they are the prior's."""
    costs: list[Floats] = []

    def fit(kernel: Kernel, x: Inputs, y: Floats, blur: Floats) -> Floats:
        assert len(x) == len(y) == len(blur)
        costs.append(x.cost)
        return prior(kernel)[0]

    monkeypatch.setattr("nas.samplers.model.surrogate.fit_hyperparameters", fit)
    return costs


def test_hyperparameters_are_fitted_anew_when_there_are_three_tenths_more_points(fitted: list[Floats]) -> None:
    grid, data = some_data(40)
    surrogates = Surrogates()
    for n in range(5, 41):
        for _ in range(2):
            surrogates.build(grid, data[:n], data.rows[:0], data.costs[:0])
    assert [*map(len, fitted)] == [5, 6, 7, 8, 10, 13, 16, 20, 26, 33]
    other = Data(data.rows, data.costs, data.targets, data.known + 1)
    surrogates.build(grid, other, data.rows[:0], data.costs[:0])
    surrogates.build(
        make_grid({**SPACE, "more": IntDistribution(1, 2)}), _wider(data), _wider(data).rows[:0], data.costs[:0]
    )
    assert [*map(len, fitted[-2:])] == [33, 33]


def _wider(data: Data) -> Data:
    rows = np.column_stack([data.rows, np.zeros(len(data), np.int64)])
    return Data(rows, data.costs, data.targets, data.known)


def test_of_many_points_the_best_and_the_latest_are_kept(fitted: list[Floats]) -> None:
    grid, data = some_data(700)
    model = Surrogates().build(grid, data, data.rows[:0], data.costs[:0])
    order = np.argsort(-(data.targets + data.known), kind="stable")
    best = set(order[:250].tolist())
    latest = [i for i in range(700) if i not in best][-250:]
    kept = np.array(sorted({*best, *latest}))
    assert len(kept) == 500
    costs = (data.costs - data.costs.mean()) / data.costs.std()
    np.testing.assert_allclose(model.posterior.x.cost, costs[kept])
    # 564 is the highest of the ladder; of these 250 from the first to the last.
    early = (data.costs[:564] - data.costs[:564].mean()) / data.costs[:564].std()
    (found,) = fitted
    at = [int(np.flatnonzero(np.isclose(early, cost))[0]) for cost in found]
    assert (len(at), at[0], at[-1]) == (250, 0, 563)
    assert set(np.diff(at)) == {2, 3}


def test_500_points_are_all_kept(fitted: list[Floats]) -> None:
    grid, data = some_data(500)
    assert len(Surrogates().build(grid, data, data.rows[:0], data.costs[:0]).posterior.alpha) == 500
    assert len(fitted) == 1


# --- Where it is worth asking ------------------------------------------------------------------------------------


def test_candidates_are_neighbours_mutants_crossovers_and_uniform_rows() -> None:
    grid = make_grid({f"p{i}": IntDistribution(0, 29) for i in range(6)})
    parents = np.repeat(np.arange(12)[:, None], 6, axis=1)  # parent i has i everywhere
    parents[1, 2] = INACTIVE
    rows = candidates(grid, parents, np.random.default_rng(0), n=400)
    near = grid.neighbours(parents[0])
    assert len(rows) == len(near) + 4 * 400
    np.testing.assert_array_equal(rows[: len(near)], near)
    mutants, crossed, uniform = np.split(rows[len(near) :], [800, 1200])
    changed = np.array([min((row != parent).sum() for parent in parents[:10]) for row in mutants])
    assert changed.max() == 3
    # A change may draw the value that was there, or hit what is inactive, so that a few are fewer.
    assert [np.mean(changed == count) for count in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.06)
    origin = np.array([np.argmin([(row != parent).sum() for parent in parents[:10]]) for row in mutants])
    assert np.bincount(origin, minlength=10).min() > 40
    assert (mutants[origin == 1][:, 2] == INACTIVE).all()
    for row in crossed:
        known = row[row != INACTIVE]
        assert len(np.unique(known)) <= 2
        assert known.max() < 10
    assert np.mean([len(np.unique(row)) == 2 for row in crossed]) > 0.7
    assert (uniform >= 0).all()
    assert uniform.mean() == pytest.approx(14.5, abs=1)
    assert len(candidates(grid, parents[:0], np.random.default_rng(0))) == 150


def climbed(grid: Grid, score: Any, starts: Rows, accept: Any) -> tuple[int, ...] | None:
    """The same search row by row: from the four best starts two steps, each to the best neighbour if that is better."""
    rows = sorted(sorted({tuple(row) for row in starts.tolist()}), key=lambda row: -score(row))
    ends = []
    for row in rows[:4]:
        end = row
        for _ in range(2):
            near = [tuple(each) for each in grid.neighbours(np.array(end)).tolist()]
            end = max([end, *near], key=score)
        ends.append(end)
    found = [
        row for row in [*sorted(ends, key=lambda row: -score(row)), *rows] if np.isfinite(score(row)) and accept(row)
    ]
    return found[0] if found else None


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.5, 0.2, 0.0]), st.sampled_from([1.0, 0.3]))
def test_the_best_row_is_the_one_that_climbs_of_two_steps_reach(seed: int, accepted: float, finite: float) -> None:
    rng = np.random.default_rng(seed)
    grid = make_grid({"a": IntDistribution(0, 4), "b": IntDistribution(0, 3), "c": IntDistribution(0, 2)})
    table = rng.permutation(60).reshape(5, 4, 3).astype(float)
    table[rng.random(table.shape) > finite] = -np.inf
    allowed = rng.random(table.shape) < accepted
    starts = grid.random(rng, int(rng.integers(1, 40)))
    found = maximise(
        grid, lambda rows: table[tuple(rows.T)], starts, lambda rows: rows, lambda row: bool(allowed[tuple(row)])
    )
    expected = climbed(grid, lambda row: table[row], starts, lambda row: bool(allowed[row]))
    assert (None if found is None else tuple(found.tolist())) == expected


# --- Levels ------------------------------------------------------------------------------------------------------


def levels(distribution: BaseDistribution) -> tuple[Any, ...]:
    return make_grid({"x": distribution}).axes[0].levels


def test_long_ranges_have_65_levels_from_end_to_end() -> None:
    assert levels(IntDistribution(1, 65)) == levels(IntDistribution(1, 65, log=True)) == tuple(range(1, 66))
    assert levels(IntDistribution(-3, 9, step=4)) == (-3, 1, 5, 9)
    assert levels(IntDistribution(0, 640)) == tuple(range(0, 641, 10))
    assert levels(IntDistribution(2, 2 + 128 * 3, step=3)) == tuple(range(2, 387, 6))
    powers = levels(IntDistribution(1, 2**16, log=True))
    assert (powers[0], powers[-1]) == (1, 2**16)
    assert set(powers) == {round(2 ** (i / 4)) for i in range(65)}
    np.testing.assert_allclose(levels(FloatDistribution(-1, 3)), np.linspace(-1, 3, 65))
    np.testing.assert_allclose(levels(FloatDistribution(1e-4, 1, log=True)), 10 ** np.linspace(-4, 0, 65))
    assert levels(FloatDistribution(0.5, 0.5)) == (0.5,)
    assert levels(FloatDistribution(0.5, 0.5, step=0.1)) == (0.5,)
    np.testing.assert_allclose(levels(FloatDistribution(0, 6.4, step=0.1)), np.arange(65) / 10)
    np.testing.assert_allclose(levels(FloatDistribution(1, 13.8, step=0.1)), 1 + np.arange(0, 129, 2) / 10)
    assert max(levels(FloatDistribution(0.1, 0.7, step=0.2))) <= 0.7


def test_a_value_between_levels_is_read_as_the_nearest() -> None:
    axis = make_grid({"x": IntDistribution(0, 640)}).axes[0]
    assert [axis.index(value) for value in (0, 4, 6, 640, 633)] == [0, 0, 1, 64, 63]
    assert make_grid({"x": CategoricalDistribution((1, 4, True))}).axes[0].index(True) == 0


def test_order_is_that_of_rising_numbers() -> None:
    ordered = {
        choices: make_grid({"x": CategoricalDistribution(choices)}).axes[0].ordered
        for choices in ((1, 2, 4), (1, 4, 2), (2, 2.5), ("a", "b"), (1, "b"), (1, 1), (4,))
    }
    assert ordered == {
        (1, 2, 4): True, (1, 4, 2): False, (2, 2.5): True, ("a", "b"): False, (1, "b"): False, (1, 1): False,
        (4,): True,
    }  # fmt: skip
    assert [make_grid({"x": each}).axes[0].ordered for each in (IntDistribution(1, 2), FloatDistribution(0, 1))] == [
        True, True,
    ]  # fmt: skip


# --- The suggestion ----------------------------------------------------------------------------------------------

SMALL: dict[str, BaseDistribution] = {
    "w": IntDistribution(1, 5), "k": IntDistribution(1, 4), "op": CategoricalDistribution(("a", "b", "c")),
}  # fmt: skip
TARGET = Score(6e6, -0.3)


def cost_of(params: Mapping[str, Any]) -> float:
    return float(1e6 * params["w"] * params["k"])


def studied(n: int, seed: int = 3, **options: Any) -> tuple[optuna.Study, Grid, Rows, Rows]:
    """A study of n finished trials and one that runs, its grid, all rows in the order in which it has had them, and
    sorted."""
    grid = make_grid(SMALL)
    every = np.array(list(np.ndindex(*grid.sizes)))
    rng = np.random.default_rng(seed)
    rows = rng.permutation(every)
    sampler = make_sampler("default", seed=1, macs=cost_of, score=TARGET, **options)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for row in rows[:n]:
        params = grid.params(row)
        # Of chance as much as of the network, so that it matters how far the model is doubted.
        accuracy = 0.3 + 0.04 * params["w"] + 0.1 * (params["op"] == "b") + 0.2 * rng.random()
        value = TARGET(accuracy, cost_of(params))
        study.add_trial(optuna.create_trial(params=params, distributions=SMALL, value=value))
    study.enqueue_trial(grid.params(rows[n]))
    study.ask(SMALL)
    return study, grid, rows, every


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Floats, Floats, float]]:
    """What the expected improvement is asked of: means, standard deviations, and what is to be improved upon."""
    given: list[tuple[Floats, Floats, float]] = []

    def spy(mean: Floats, std: Floats, best: float) -> Floats:
        given.append((mean, std, best))
        return log_expected_improvement(mean, std, best)

    monkeypatch.setattr("nas.samplers.model_based.log_expected_improvement", spy)
    return given


@pytest.mark.parametrize(("n", "bound", "named"), [(8, 30e6, False), (20, 30e6, False), (8, 5e6, True)])
@pytest.mark.parametrize("seed", range(4))
def test_the_default_asks_where_most_improvement_is_expected(
    asked: list[tuple[Floats, Floats, float]], *, n: int, bound: float, named: bool, seed: int
) -> None:
    def name(params: Mapping[str, Any]) -> str | None:
        return f"{params['w']} {params['k']}" if params["op"] != "c" else None  # some have no name

    options: dict[str, Any] = {"network": name} if named else {}
    study, grid, rows, every = studied(n, seed, feasible=lambda params: cost_of(params) <= bound, **options)
    costs, all_costs = (np.array([cost_of(grid.params(row)) for row in some]) for some in (rows[: n + 1], every))
    known, all_known = (np.log([TARGET(1, cost) for cost in some]) for some in (costs, all_costs))
    values = np.array([trial.value for trial in study.trials[:n]], float)
    data = Data(rows[:n], np.log(costs[:n]), np.log(values) - known[:n], known[:n])
    model = Surrogates().build(grid, data, rows[n : n + 1], np.log(costs[n:]))
    best = (model.mean(rows[: n + 1], np.log(costs)) + known).max()
    mean, std = model.predict(every, np.log(all_costs))
    gain = expected_improvement(mean + all_known, 1.5 * std, np.full(len(every), best))
    had = {row.tobytes() for row in rows[: n + 1]}
    names = {name(grid.params(row)) for row in rows[: n + 1]} - {None} if named else set()
    for i, row in enumerate(every):
        if row.tobytes() in had or all_costs[i] > bound or name(grid.params(row)) in names:
            gain[i] = -1
    asked.clear()
    assert study.ask(SMALL).params == grid.params(every[gain.argmax()])
    # What is asked of rows is what the model says of some, with a doubt half as large again.
    said = np.column_stack([mean + all_known, 1.5 * std])
    for means, stds, to_improve in asked:
        assert to_improve == pytest.approx(best)
        for pair in np.column_stack([means, stds]):
            assert np.abs(said - pair).max(axis=1).min() < 1e-6
    assert asked


def test_the_default_draws_at_random_until_eight_are_known(asked: list[tuple[Floats, Floats, float]]) -> None:
    study = studied(7)[0]
    trial = study.ask(SMALL)
    assert asked == []
    study.tell(trial, 0.5)
    study.ask(SMALL)
    assert asked
