"""What the accuracies say, against regression; the likelihood of hills, against the integrals that it stands for; draws
of surfaces, against hills of the prior weighted by that likelihood."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from scaling_search.cautions import DISTINCT
from scaling_search.surface.hills import Hills, prior_hills
from scaling_search.surface.posterior import (
    SIGNALS,
    Evidence,
    Surfaces,
    draw_surfaces,
    evidence,
    least_squares,
    log_likelihood,
    log_mean_exp,
)
from scaling_search.surface.triangle import Floats, lattice, to_plane


def test_degrees_of_freedom_are_trainings_less_levels_and_slope() -> None:
    accuracy = np.random.default_rng(0).normal(0.6, 0.01, (6, 3))
    assert evidence(accuracy).dof == 6 * 3 - 3
    assert evidence(accuracy, np.arange(6.0)).dof == 6 * 3 - 3 - 1
    accuracy[0, 1] = accuracy[4, 2] = np.nan
    assert evidence(accuracy).dof == 6 * 3 - 2 - 3
    accuracy[:, 0] = np.nan  # a seed that nothing was trained from has no level
    assert evidence(accuracy).dof == 6 * 2 - 2 - 2


@pytest.mark.parametrize("slope", [False, True])
def test_evidence_is_that_of_a_regression_on_levels_and_slope(slope: bool) -> None:
    rng = np.random.default_rng(3)
    accuracy, covariate = rng.normal(0.6, 0.05, (7, 4)), rng.normal(size=7)
    accuracy[:, 2] = accuracy[1, 0] = accuracy[5, 3] = accuracy[6, 3] = np.nan
    point, seed = np.nonzero(~np.isnan(accuracy))
    y, points = accuracy[point, seed], np.eye(7)[point]
    design = np.eye(4)[seed][:, [0, 1, 3]]
    if slope:
        design = np.column_stack([design, covariate[point]])
    left = np.eye(len(y)) - design @ np.linalg.pinv(design)  # what the regression leaves of something
    found = evidence(accuracy, covariate if slope else None)
    np.testing.assert_allclose(found.scores, points.T @ left @ y, atol=1e-12)
    np.testing.assert_allclose(found.information, points.T @ left @ points, atol=1e-12)
    assert found.total == pytest.approx(y @ left @ y)
    assert found.dof == len(y) - design.shape[1]
    assert found.replicates == pytest.approx(len(y) / 7)


def test_three_degrees_of_freedom_are_enough_and_two_are_not() -> None:
    assert evidence(np.array([[0.5], [0.6], [0.7], [0.7]])).dof == 3
    with pytest.raises(ValueError, match=r"^too few trainings to fit a surface"):
        evidence(np.array([[0.5], [0.6], [0.7], [0.7]]), np.arange(4.0))
    assert evidence(np.full((4, 1), 0.1)).total == 1e-12


def integrated(drops: Floats, data: Evidence) -> float:
    """The logarithm of the likelihood with height and noise summed out over a fine grid, over that of no hill."""
    fall, strength = -float(drops @ data.scores), float(drops @ data.information @ drops)
    scale = np.sqrt(float(data.total) / data.dof)
    noise = np.geomspace(scale / 20, scale * 8, 600)[:, None]
    heights = np.linspace(0, max(0.0, fall / strength) + 12 * scale / np.sqrt(strength), 3000)

    def density(squares: Floats) -> Floats:  # Jeffreys' prior is flat in the logarithm of the noise
        return np.asarray((noise / scale) ** -data.dof * np.exp(-(squares / noise**2 - data.dof) / 2))

    squares = data.total - 2 * heights * fall + heights**2 * strength
    spreads = [noise * np.sqrt(g * data.replicates / strength) for g in SIGNALS]
    found = [(2 * norm.pdf(heights, 0, spread) * density(squares)).sum() * heights[1] for spread in spreads]
    return float(np.log(np.mean(found) / density(np.full(1, data.total)).sum()))


@pytest.mark.parametrize(
    ("height", "seeds", "error"),  # the height's t is taken for a normal, which it is with many trainings
    [(0.03, 2, 0.08), (0.006, 2, 0.08), (-0.003, 2, 0.08), (0.03, 20, 0.02), (0.003, 20, 0.02), (-0.001, 20, 0.02)],
)
def test_the_likelihood_is_the_integral_over_height_and_noise(height: float, seeds: int, error: float) -> None:
    points = to_plane(lattice(3))
    drops = ((points - points.mean(axis=0)) ** 2).sum(axis=1)
    drops /= drops.max()
    noise = np.random.default_rng(1).normal(0, 0.005, (len(points), seeds))
    data = evidence(0.6 - height * drops[:, None] + noise)
    assert data.dof == 9 * seeds
    found = float(log_likelihood(drops[None], data)[0])
    assert found == pytest.approx(integrated(drops, data), abs=error)
    fewer = Evidence(data.scores, data.information, data.total, data.dof - 1, data.replicates)
    if height == 0.03 and seeds == 2:
        assert abs(log_likelihood(drops[None], fewer) - found) > 0.3  # so that one degree more or less would show


def test_drawn_noise_is_as_uncertain_as_its_degrees_of_freedom_say() -> None:
    points = lattice(3)
    surface = -0.2 * ((points - np.array([0.3, 0.3, 0.4])) ** 2).sum(axis=1)
    accuracy = 0.6 + surface[:, None] + np.random.default_rng(2).normal(0, 0.002, (len(points), 2))
    data = evidence(accuracy)
    precision = draw_surfaces(to_plane(points), data).noise ** -2.0
    assert precision.std() / precision.mean() == pytest.approx((2 / data.dof) ** 0.5, rel=0.08)


def test_draws_that_have_not_settled_are_seen_to_be_few() -> None:
    """The same data as above: with one seed of the draws the rounds end before they settle."""
    points = lattice(3)
    surface = -0.2 * ((points - np.array([0.3, 0.3, 0.4])) ** 2).sum(axis=1)
    accuracy = 0.6 + surface[:, None] + np.random.default_rng(2).normal(0, 0.002, (len(points), 2))
    found = [draw_surfaces(to_plane(points), evidence(accuracy), seed=seed).distinct for seed in (0, 1)]
    assert found[0] < DISTINCT < found[1]


def test_sets_of_accuracies_that_are_held_at_once_have_the_likelihoods_of_each() -> None:
    rng = np.random.default_rng(4)
    points = to_plane(lattice(4))
    drops = prior_hills(rng, 50).drops(points)
    each = [evidence(0.6 - 0.02 * drops[i][:, None] + rng.normal(0, 0.005, (len(points), 2))) for i in range(3)]
    scores, totals = np.column_stack([one.scores for one in each]), np.array([float(one.total) for one in each])
    together = Evidence(scores, each[0].information, totals, each[0].dof, each[0].replicates)
    expected = np.column_stack([log_likelihood(drops, one) for one in each])
    np.testing.assert_allclose(log_likelihood(drops, together), expected)


def test_the_mean_of_exponentials_does_not_overflow() -> None:
    values = np.array([[0.0, 1.0, -2.0], [0.5, 3.0, 0.0]])
    for axis in (0, 1):
        expected = np.log(np.exp(values).mean(axis=axis))
        np.testing.assert_allclose(log_mean_exp(values, axis), expected)
        np.testing.assert_allclose(log_mean_exp(values + 2000, axis), expected + 2000)
        np.testing.assert_allclose(log_mean_exp(values - 2000, axis), expected - 2000)


def conditional(drops: Floats, data: Evidence) -> tuple[float, float, float]:
    """The mean and variance of a hill's height times the root of its information, and the mean noise, summed over a
    fine grid."""
    fall, strength = -float(drops @ data.scores), float(drops @ data.information @ drops)
    scale = np.sqrt(float(data.total) / data.dof)
    noise = np.geomspace(scale / 4, scale * 4, 80)[:, None]
    heights = np.linspace(0, max(0.0, fall / strength) + 8 * scale / np.sqrt(strength), 200)
    squares = float(data.total) - 2 * heights * fall + heights**2 * strength
    spreads = [noise * np.sqrt(g * data.replicates / strength) for g in SIGNALS]
    likely = (noise / scale) ** -data.dof * np.exp(-(squares / noise**2 - data.dof) / 2)
    weights = np.sum([norm.pdf(heights, 0, spread) for spread in spreads], axis=0) * likely
    weights /= weights.sum()
    heights *= np.sqrt(strength)
    mean = float((weights * heights).sum())
    return mean, float((weights * (heights - mean) ** 2).sum()), float((weights * noise).sum())


@pytest.mark.parametrize("height", [0.01, 0.0])
def test_draws_are_hills_of_the_prior_by_their_likelihood(height: float) -> None:
    rng = np.random.default_rng(5)
    points = to_plane(lattice(4))
    truth = Hills(np.array([[0.1, -0.05, 0.2, 0.0, 0.5]]))
    accuracy = 0.6 - height * truth.drops(points)[0][:, None] + rng.normal(0, 0.002, (len(points), 2))
    data = evidence(accuracy)
    hills = prior_hills(rng, 40_000)
    likelihood = log_likelihood(hills.drops(points), data)
    weights = np.exp(likelihood - likelihood.max())
    weights /= weights.sum()
    assert 1 / (weights**2).sum() > 300
    drawn = draw_surfaces(points, data, draws=4000)
    best = hills.best_points()
    mean = weights @ best
    spread = np.sqrt(weights @ (best - mean) ** 2)
    assert drawn.best_points().mean(axis=0) == pytest.approx(mean, abs=0.12 * spread.max())
    assert drawn.best_points().std(axis=0) == pytest.approx(spread, rel=0.1)
    bends = hills.values[:, 4] ** 2
    assert (drawn.hills.values[:, 4] ** 2).mean() == pytest.approx(weights @ bends, rel=0.2)
    # Heights of hills that are flat where they were trained have no mean; in deviations of their estimate they have.
    some = hills.values[rng.choice(len(hills), 400, p=weights)]
    expected = np.array([conditional(drops, data) for drops in Hills(some).drops(points)])
    drops = drawn.hills.drops(points)
    heights = drawn.heights * np.sqrt(np.einsum("nm,ml,nl->n", drops, data.information, drops))
    assert heights.min() >= 0
    assert heights.mean() == pytest.approx(expected[:, 0].mean(), rel=0.06)
    assert heights.std() == pytest.approx(np.sqrt(expected[:, 1].mean() + expected[:, 0].var()), rel=0.1)
    assert drawn.noise.mean() == pytest.approx(expected[:, 2].mean(), rel=0.03)


def test_the_median_below_the_peak_is_that_of_every_fourth_surface() -> None:
    rng = np.random.default_rng(6)
    surfaces = Surfaces(prior_hills(rng, 400), rng.exponential(0.01, 400), np.full(400, 0.002))
    points = to_plane(lattice(3))
    below = surfaces.heights[:, None] * surfaces.hills.drops(points)
    np.testing.assert_allclose(surfaces.below_peak(points), below)
    np.testing.assert_allclose(surfaces.median_below_peak(points), np.median(below[::4], axis=0))


def test_the_least_squares_are_those_of_the_best_hill_at_its_best_height() -> None:
    rng = np.random.default_rng(7)
    points = 0.3 * to_plane(lattice(5))  # where hills are so flat that their information is below 1
    hills = prior_hills(rng, 200)
    accuracy = 0.6 - 0.2 * hills.drops(points)[17] + rng.normal(0, 0.001, len(points))
    data = evidence(accuracy[:, None])

    def left(drops: Floats) -> float:
        centred, y = drops - drops.mean(), accuracy - accuracy.mean()
        height = max(0.0, -float(centred @ y) / float(centred @ centred))
        return float(((y + height * centred) ** 2).sum())

    best = min(map(left, hills.drops(points)))
    assert least_squares(hills, points, data, refine=False) == pytest.approx(best)
    refined = least_squares(hills, points, data, refine=True)
    assert refined < best
    from_truth = least_squares(Hills(hills.values[[17]]), points, data, refine=True)
    assert refined == pytest.approx(from_truth, rel=0.05)
    upside_down = evidence(1 - accuracy[:, None])
    assert least_squares(Hills(hills.values[[17]]), points, upside_down, refine=False) == upside_down.total


def test_the_unit_of_accuracies_does_not_matter_even_where_a_hill_leaves_nothing_over() -> None:
    points = to_plane(lattice(3))
    hills = prior_hills(np.random.default_rng(8), 20)
    accuracy = np.tile(-hills.drops(points)[4][:, None], 2)
    expected = log_likelihood(hills.drops(points), evidence(accuracy))
    assert expected.argmax() == 4
    for unit in (0.001, 5.0):
        np.testing.assert_allclose(log_likelihood(hills.drops(points), evidence(unit * accuracy)), expected, atol=1e-6)


def test_what_is_known_well_is_drawn_as_it_is_and_not_all_alike() -> None:
    points = to_plane(lattice(4))
    truth = Hills(np.array([[0.1, -0.05, 0.2, 0.1, 0.5]]))
    noise = np.random.default_rng(9).normal(0, 0.0005, (len(points), 3))
    data = evidence(0.6 - 0.05 * truth.drops(points)[0][:, None] + noise)
    surfaces = draw_surfaces(points, data)
    drops = surfaces.hills.drops(points)
    estimated = -drops @ data.scores / np.einsum("nm,ml,nl->n", drops, data.information, drops)
    assert (surfaces.heights / estimated).mean() == pytest.approx(1, abs=0.006)
    assert len(np.unique(surfaces.hills.values, axis=0)) > 500
    best = surfaces.best_points()
    assert (np.abs(best.mean(axis=0) - truth.values[0, :2]) < 3 * best.std(axis=0)).all()
    assert (best.std(axis=0) < 0.02).all()
