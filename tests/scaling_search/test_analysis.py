from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import norm

from scaling_search.analysis import Analysis, Trainings, analyse
from scaling_search.design import block_sizes, most_telling, spread_order
from scaling_search.surface.hills import REACH, Hills, prior_hills
from scaling_search.surface.noise import noise_components
from scaling_search.surface.posterior import draw_surfaces, evidence
from scaling_search.surface.region import highest_density_region
from scaling_search.surface.triangle import (
    AREA,
    CORNERS,
    Floats,
    inside,
    lattice,
    nearest_inside,
    to_plane,
    to_shares,
    uniform_points,
)
from scaling_search.verdict import ALTERNATIVES, compare, sentence

LATTICE = lattice(5)


def accuracies(surface: Floats, seeds: int, own: float, shared: float, seed: int = 1) -> Floats:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, own, (len(surface), seeds)) + generator.normal(0, shared, seeds)
    return 0.6 + surface[:, None] + noise


def hill(optimum: tuple[float, float, float], curvature: float = 0.0125) -> Floats:
    surface: Floats = -curvature * ((LATTICE - np.array(optimum)) ** 2).sum(axis=1)
    return surface


def analysed(surface: Floats, seeds: int = 3, own: float = 0.002, shared: float = 0.002) -> Analysis:
    accuracy = accuracies(surface, seeds, own, shared)
    return analyse(Trainings(LATTICE, accuracy, np.full(len(LATTICE), 2.0)))


@given(st.lists(st.floats(0, 1), min_size=2, max_size=2))
def test_the_plane_keeps_shares_and_distances(cut: list[float]) -> None:
    low, high = sorted(cut)
    shares = np.array([low, high - low, 1 - high])
    assert to_shares(to_plane(shares)) == pytest.approx(shares)
    assert np.linalg.norm(to_plane(shares) - to_plane([1, 0, 0])) == pytest.approx(np.linalg.norm(shares - [1, 0, 0]))
    assert inside(to_plane(shares))


def test_the_triangle_has_the_area_of_its_corners() -> None:
    (ax, ay), (bx, by), (cx, cy) = CORNERS
    assert abs((bx - ax) * (cy - ay) - (cx - ax) * (by - ay)) / 2 == pytest.approx(AREA)
    assert len(lattice(5)) == 21


def test_the_nearest_point_of_the_triangle_is_found_in_any_metric() -> None:
    generator = np.random.default_rng(0)
    points = uniform_points(generator, 50, 2.5)
    hills = Hills(np.hstack([points, generator.normal(0, 0.5, (50, 2)), np.zeros((50, 1))]))
    nearest = nearest_inside(points, hills.metrics)
    nodes = to_plane(lattice(60))
    for point, metric, found in zip(points, hills.metrics, nearest, strict=True):
        off = nodes - point
        best = np.einsum("mi,ij,mj->m", off, metric, off).min()
        assert (found - point) @ metric @ (found - point) <= best + 1e-9
        assert inside(found * (1 - 1e-9))


def test_hills_fall_by_the_quadratic_form_and_saturate() -> None:
    values = np.array([[0.1, -0.1, 0.3, -0.2, 0.0], [0.1, -0.1, 0.3, -0.2, 2.0]])
    hills = Hills(values)
    assert np.linalg.det(hills.metrics) == pytest.approx(1)
    points = to_plane(LATTICE)
    off = points - values[0, :2]
    squared = np.einsum("mi,ij,mj->m", off, hills.metrics[0], off)
    quadratic, bent = hills.drops(points)
    assert quadratic == pytest.approx(squared, rel=1e-4, abs=1e-9)
    assert bent == pytest.approx((1 - np.exp(-4 * squared)) / 4, abs=1e-9)


def test_the_prior_density_integrates_to_one() -> None:
    generator = np.random.default_rng(0)
    peak = uniform_points(generator, 100_000, REACH)
    rest = generator.normal(0, 0.6, (100_000, 3))
    log_proposal = -np.log(AREA * REACH**2) + norm.logpdf(rest, scale=0.6).sum(axis=1)
    hills = Hills(np.hstack([peak, rest]))
    assert np.exp(hills.log_prior() - log_proposal).mean() == pytest.approx(1, abs=0.03)
    drawn = prior_hills(generator, 20_000)
    assert np.isfinite(drawn.log_prior()).all()


def test_evidence_is_blind_to_the_level_of_a_seed() -> None:
    accuracy = accuracies(hill((0.3, 0.3, 0.4)), 3, 0.002, 0.0)
    accuracy[[2, 5], 2] = np.nan
    shifted = accuracy + np.array([0.1, -0.2, 0.3])
    one, other = evidence(accuracy), evidence(shifted)
    assert one.scores == pytest.approx(other.scores, abs=1e-12)
    assert one.total == pytest.approx(other.total)
    assert one.dof == 21 * 3 - 2 - 3


def test_a_free_slope_takes_out_the_covariate() -> None:
    generator = np.random.default_rng(0)
    accuracy, covariate = accuracies(hill((0.3, 0.3, 0.4)), 2, 0.002, 0.002), generator.normal(size=21)
    one, other = evidence(accuracy, covariate), evidence(accuracy + 0.7 * covariate[:, None], covariate)
    assert one.scores == pytest.approx(other.scores, abs=1e-10)
    assert one.total == pytest.approx(other.total)


def test_too_few_trainings_are_refused() -> None:
    with pytest.raises(ValueError, match="too few trainings"):
        evidence(np.array([[0.5], [0.6], [0.7]]))


def test_the_posterior_agrees_with_least_squares_where_noise_is_small() -> None:
    surface = hill((0.25, 0.35, 0.4), curvature=0.1)
    accuracy = accuracies(surface, 3, 0.002, 0.0)
    points = to_plane(LATTICE)
    surfaces = draw_surfaces(points, evidence(accuracy))
    x, y = points.T
    design = np.column_stack([np.ones(21), x, y, x * x, x * y, y * y])
    _, bx, by, xx, xy, yy = np.linalg.lstsq(design, accuracy.mean(axis=1), rcond=None)[0]
    peak = np.linalg.solve(-np.array([[2 * xx, xy], [xy, 2 * yy]]), [bx, by])
    assert surfaces.best_points().mean(axis=0) == pytest.approx(peak, abs=0.01)
    assert surfaces.heights.mean() == pytest.approx(0.1, rel=0.1)
    assert surfaces.noise.mean() == pytest.approx(0.002, rel=0.25)


@pytest.mark.parametrize("optimum", [(0.3, 0.3, 0.4), (0.0, 0.5, 0.5), (0.1, 0.1, 0.8)])
def test_an_optimum_is_found_and_covered(optimum: tuple[float, float, float]) -> None:
    found = analysed(hill(optimum, curvature=0.03))
    assert np.linalg.norm(np.array(found.shares) - optimum) < 0.1
    assert optimum in found.region
    assert found.model == "hill"
    assert 0 < found.region.area < 0.2
    assert found.flatness < 0.01
    assert found.coefficients.nominal_cost == pytest.approx(2)
    for name, coefficient in zip(("alpha", "beta", "gamma"), (1, 0.5, 0.5), strict=True):
        index = ("alpha", "beta", "gamma").index(name)
        assert found.intervals[name].low <= 2 ** (coefficient * optimum[index]) + 0.03
        assert found.intervals[name].high >= 2 ** (coefficient * optimum[index]) - 0.03
    assert ("depth" in found.on_edge) == (optimum[0] == 0)


def test_distant_alternatives_are_clearly_worse_and_the_neighbour_is_not() -> None:
    found = analysed(hill(ALTERNATIVES["(1.2, 1.1, 1.15)"]))
    by_name = {comparison.name: comparison for comparison in found.comparisons}
    assert {name for name, c in by_name.items() if c.clear} == {"dWr", "depth only", "width only", "resolution only"}
    assert by_name["depth only"].gain == pytest.approx(0.0125 * ((1 - 0.2795) ** 2 + 0.2922**2 + 0.4283**2), rel=0.35)
    assert any(line.startswith("not distinguishable from (1.2, 1.1, 1.15) with 63 trainings") for line in found.verdict)
    assert any(line.startswith("clearly better than depth only") for line in found.verdict)


def test_nothing_is_claimed_where_nothing_differs() -> None:
    found = analysed(np.zeros(21))
    assert not any(comparison.clear for comparison in found.comparisons)
    assert found.region.area > 0.3


def test_equal_accuracies_everywhere_say_nothing() -> None:
    found = analyse(Trainings(LATTICE, np.full((21, 2), 0.1), np.full(21, 2.0)))
    assert found.shares == pytest.approx((1 / 3, 1 / 3, 1 / 3), abs=0.05)
    assert found.region.area > 0.6
    assert not any(comparison.clear for comparison in found.comparisons)
    assert len(most_telling(to_plane(LATTICE), found.draws, 0.0, 0.0, 5)) == 5


def test_a_surface_that_is_no_hill_is_noticed() -> None:
    def waves(shares: Floats) -> Floats:
        return 0.02 * np.sin(9 * shares[..., 0]) * np.cos(8 * shares[..., 1])

    found = analysed(waves(LATTICE))
    assert found.lack_of_fit is not None
    assert found.lack_of_fit < 0.01
    assert found.model == "gaussian process"
    assert waves(np.array(found.shares)) > 0.8 * waves(LATTICE).max()


def test_noise_is_divided_into_shared_and_own() -> None:
    noise = noise_components(accuracies(hill((0.3, 0.3, 0.4)), 40, 0.003, 0.004))
    assert noise is not None
    assert noise.own == pytest.approx(0.003, rel=0.1)
    assert noise.shared == pytest.approx(0.004, rel=0.4)
    assert noise.dof == 20 * 39
    assert noise_components(accuracies(np.zeros(21), 1, 0.003, 0.004)) is None


def test_a_point_without_an_accuracy_is_left_out() -> None:
    accuracy = accuracies(hill((0.3, 0.3, 0.4)), 2, 0.001, 0.001)
    accuracy[7] = np.nan
    found = analyse(Trainings(LATTICE, accuracy, np.full(21, 2.0)))
    assert found.trainings == 40


def test_costs_that_spread_do_not_pass_for_good_shares() -> None:
    dear = 0.3 * LATTICE[:, 0] + np.random.default_rng(0).normal(0, 0.2, 21)
    surface = hill((0.2, 0.4, 0.4), 0.05) + 0.05 * dear
    found = analyse(Trainings(LATTICE, accuracies(surface, 3, 0.001, 0.001), 2 ** (1 + dear)))
    plain = analyse(Trainings(LATTICE, accuracies(surface, 3, 0.001, 0.001), np.full(21, 2.0)))
    assert np.linalg.norm(np.array(found.shares) - (0.2, 0.4, 0.4)) < 0.05
    assert np.linalg.norm(np.array(plain.shares) - (0.2, 0.4, 0.4)) > 0.1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_a_region_holds_its_level(seed: int) -> None:
    generator = np.random.default_rng(seed)
    best = to_plane(generator.dirichlet(generator.uniform(0.3, 9, 3), 1000))
    region = highest_density_region(best)
    held = np.mean([shares in region for shares in to_shares(best[::10])])
    assert held >= 0.8
    assert 0 < region.area <= 1


def test_any_start_of_the_order_covers_the_triangle() -> None:
    points = to_plane(LATTICE)
    order = spread_order(points)
    assert sorted(order) == list(range(21))
    first = LATTICE[order[:4]]
    assert (first.max(axis=0) == 1).all()


@given(st.integers(0, 200), st.integers(5, 40))
def test_blocks_spend_all_that_is_left(left: int, points: int) -> None:
    sizes = block_sizes(left, points)
    assert sum(sizes) == left
    more = block_sizes(left + 7, points)
    assert all(0 < size <= points for size in sizes)
    if sizes:  # the last one may have been cut short
        assert more[: len(sizes) - 1] == sizes[:-1]
        assert more[len(sizes) - 1] >= sizes[-1]


def test_the_most_telling_points_reduce_the_uncertainty_most() -> None:
    points = to_plane(LATTICE)
    draws = draw_surfaces(points, evidence(accuracies(hill((0.3, 0.3, 0.4)), 2, 0.003, 0.003)))
    chosen = most_telling(points, draws, 0.003, 0.003, 8)
    assert len(set(chosen)) == 8
    assert most_telling(points, draws, 0.003, 0.003, 5) == chosen[:5]


def test_a_comparison_says_what_it_would_take() -> None:
    gains = 0.002 + 0.002 * ndtri((np.arange(4000) + 0.5) / 4000)
    open_one = compare("width only", ALTERNATIVES["width only"], gains, 0.001, 60)
    assert not open_one.clear
    assert open_one.more == pytest.approx(180, rel=0.15)
    assert sentence(open_one, 60).endswith(f"about {open_one.more} more of this length would decide")
    clear = compare("width only", ALTERNATIVES["width only"], gains + 0.01, 0.001, 60)
    assert clear.clear
    assert sentence(clear, 60).startswith("clearly better than width only: it gives up 1.2")
    assert not compare("width only", ALTERNATIVES["width only"], gains + 0.01, 0.2, 60).clear
    hopeless = compare("width only", ALTERNATIVES["width only"], gains - 0.0018, 0.001, 60)
    assert hopeless.more is None
    assert "more than 1200 trainings" in sentence(hopeless, 60)
    as_good = compare("width only", ALTERNATIVES["width only"], gains - 0.003, 0.001, 60)
    assert as_good.more is None
    assert sentence(as_good, 60).endswith("by the estimate it is as good")
    wild = compare("width only", ALTERNATIVES["width only"], np.append(gains, [-5e4, 1e6]), 0.001, 60)
    assert wild.gain == pytest.approx(open_one.gain, rel=0.01)
    assert wild.more == pytest.approx(open_one.more, rel=0.01)


def test_the_noise_that_seeds_share_is_estimated_without_bias_where_they_are_unequally_filled() -> None:
    generator = np.random.default_rng(0)
    found = []
    for _ in range(400):
        accuracy = 2 * generator.normal(size=(1, 2)) + generator.normal(size=(21, 2))
        accuracy[3:, 1] = np.nan
        noise = noise_components(accuracy)
        assert noise is not None
        found.append((noise.own**2, noise.shared**2))
    # Clipping at zero lifts the mean a little; dividing by the mean number of points a seed would lift it to 4.6.
    assert np.mean(found, axis=0) == pytest.approx((1, 4.1), rel=0.1)
