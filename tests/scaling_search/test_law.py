"""The model of accuracy over size, shape and length: against exact oracles, and on planted networks."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scaling_search import scaling_points
from scaling_search.analysis import Analysis, Trainings, analyse
from scaling_search.law import Forecast, Law, TrainedSet, fit_law, saturating
from scaling_search.surface.linear import LinearFit
from scaling_search.surface.noise import seed_adjusted
from scaling_search.surface.triangle import Floats, to_plane
from search_spaces import reference_arch

Lattice = tuple[Floats, Floats]
COLUMNS = ("doublings", "shares", "accuracy", "n")
OPTIMUM = np.array([0.2, 0.3, 0.5])
LENGTHS = (5, 10)
GAIN, RATIO, GAIN_OF_TIME = 0.03, 0.7, 0.05


def truth(phi: Floats, shares: Floats, epochs: float, gain: float = GAIN) -> Floats:
    """A network's accuracy without noise: (m,) of m networks."""
    time = np.log2(epochs / LENGTHS[-1])
    below = 0.0125 * ((to_plane(shares) - to_plane(OPTIMUM)) ** 2).sum(axis=-1)
    found: Floats = 0.6 + gain * (1 - RATIO**phi) / (1 - RATIO) + GAIN_OF_TIME * time - np.abs(phi) ** 1.5 * below
    return found


@pytest.fixture(scope="module")
def lattice() -> Lattice:
    points = scaling_points(reference_arch("efficientnet_b0"))
    return np.array([p.shares for p in points]), np.array([p.cost for p in points])


def trained(
    lattice: Lattice, noise: float = 0.002, gain: float = GAIN, *, others: bool = True, shifts: tuple[float, ...] = ()
) -> tuple[list[TrainedSet], dict[int, Analysis]]:
    """Two lengths of the lattice at two seeds; with others the baseline and three networks between, at the same seeds.
    shifts: of the accuracies of each length."""
    shares, costs = lattice
    generator = np.random.default_rng(0)
    phi = np.log2(costs)
    analyses, sets = {}, []
    for epochs, shift in zip(LENGTHS, shifts or (0.0, 0.0), strict=True):
        seen = shift + truth(phi, shares, epochs, gain)[:, None] + generator.normal(0, noise, (len(phi), 2))
        analyses[epochs] = analyse(Trainings(shares, seen, costs))
        each_set = TrainedSet(epochs, phi, shares, seen.mean(axis=1), np.full(len(phi), 2.0), 2)
        if others:
            sizes, ways = np.array([0.0, 0.5, 0.5, 0.5]), np.vstack([np.full(3, 1 / 3), np.eye(3)])
            seen = shift + truth(sizes, ways, epochs, gain) + generator.normal(0, noise / 2**0.5, 4)
            each_set = each_set.joined(TrainedSet(epochs, sizes, ways, seen, np.full(4, 2.0), 2))
        sets.append(each_set)
    return sets, analyses


@pytest.fixture(scope="module")
def law(lattice: Lattice) -> Law:
    return fit_law(*trained(lattice))


def at(phi: float, *shares: Floats, epochs: float = 10.0) -> tuple[Floats, Floats, Floats]:
    given = np.array(shares or [OPTIMUM])
    return np.full(len(given), float(phi)), given, np.full(len(given), epochs)


def test_slice_at_one_doubling_is_the_analysis(lattice: Lattice) -> None:
    sets, analyses = trained(lattice)
    found = fit_law(sets, analyses)
    shares = np.array([*np.eye(3), OPTIMUM, [0.5, 0.25, 0.25]])
    for epochs in LENGTHS:
        fallen = analyses[epochs].draws.below_peak(to_plane(shares))[found.rows[epochs]]
        told = found.accuracy(*at(1, *shares, epochs=float(epochs)))
        np.testing.assert_allclose(told[:, :1] - told, fallen - fallen[:, :1], atol=1e-12)


def test_all_shares_are_one_network_at_the_baseline(law: Law) -> None:
    told = law.accuracy(*at(0, *np.eye(3)))
    np.testing.assert_allclose(told, told[:, :1].repeat(3, axis=1), atol=1e-12)


@pytest.mark.parametrize("phi", [-1, 0, 0.5, 1, 2])
def test_forecasts_planted_networks(law: Law, phi: float) -> None:
    told = law.forecast(*at(phi), n=1000)[0]
    real = truth(np.array([float(phi)]), OPTIMUM[None], 10.0)[0]
    assert real in told
    assert abs(told.expected - real) < (0.004 if abs(phi) <= 1 else 0.012)


def test_longer_training_and_smaller_cost_are_told_apart(lattice: Lattice) -> None:
    flat, steep = (fit_law(*trained(lattice, gain=gain)) for gain in (0.0, 0.05))
    for found, gain in ((flat, 0.0), (steep, 0.05)):
        small, large = (found.forecast(*at(phi), n=1000)[0].expected for phi in (0, 1))
        short, long = (found.forecast(*at(0, epochs=epochs), n=1000)[0].expected for epochs in (5.0, 10.0))
        assert large - small == pytest.approx(gain, abs=0.004)
        assert long - short == pytest.approx(GAIN_OF_TIME, abs=0.004)


def test_intervals_widen_away_from_the_trainings_and_narrow_with_seeds(law: Law) -> None:
    width = [told.high - told.low for phi in (1, 2, 3, 4) for told in law.forecast(*at(phi), n=1000)]
    assert width == sorted(width)
    assert width[-1] > 3 * width[0]
    one, many = (law.forecast(*at(1), n=n)[0] for n in (1, 1000))
    assert one.high - one.low > many.high - many.low


def test_without_the_baseline_the_gain_is_known_by_the_prior_alone(lattice: Lattice, law: Law) -> None:
    blind = fit_law(*trained(lattice, others=False))
    wide, narrow = (found.forecast(*at(2), n=1000)[0] for found in (blind, law))
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    # Where it was trained it knows as much.
    wide, narrow = (found.forecast(*at(1), n=1000)[0] for found in (blind, law))
    assert wide.high - wide.low < 1.5 * (narrow.high - narrow.low)


def test_what_does_not_fit_is_told(lattice: Lattice) -> None:
    (short, long), analyses = trained(lattice)
    assert fit_law([short, long], analyses).lack_of_fit > 0.1
    # No curve of the model has a step of 5 points within half a doubling, and back.
    bent = replace(long, accuracy=long.accuracy + 0.05 * (long.doublings == 0.5))
    assert fit_law([short, bent], analyses).lack_of_fit < 0.01


def test_seeds_of_their_own_tell_less_of_the_gain(lattice: Lattice) -> None:
    (short, long), analyses = trained(lattice, noise=0.006)
    others = long.doublings < 0.9
    here = replace(long, **{name: getattr(long, name)[~others] for name in COLUMNS})
    there = replace(long, **{name: getattr(long, name)[others] for name in COLUMNS})
    widths = [fit_law(sets, analyses).forecast(*at(2), n=1000)[0] for sets in ([short, long], [short, here, there])]
    alike, apart = (told.high - told.low for told in widths)
    assert apart > 1.05 * alike


def test_another_split_is_known_by_its_sampling(lattice: Lattice) -> None:
    sets, analyses = trained(lattice)
    away = [replace(each_set, elsewhere=True) for each_set in sets]
    sampled = (0.6 * 0.4 * (1 / 300 + 1 / 100)) ** 0.5
    told = fit_law(away, analyses, (300, 100)).forecast(*at(0), n=1000)[0]
    assert (told.high - told.low) / 3.29 == pytest.approx(sampled, rel=0.15)
    # One network that was measured there tells where all are.
    one = np.ones(1)
    there = TrainedSet(10, 0 * one, np.full((1, 3), 1 / 3), 0.7 * one, 3 * one, 3)
    told = fit_law([*away, there], analyses, (300, 100)).forecast(*at(0), n=1000)[0]
    assert told.expected == pytest.approx(0.7, abs=0.004)
    assert (told.high - told.low) / 3.29 < sampled / 5


def test_means_as_if_every_point_had_every_seed() -> None:
    points, seeds = np.array([0.5, 0.6, 0.7]), np.array([0.0, 0.03])
    accuracy = points[:, None] + seeds
    accuracy[1, 1] = np.nan
    np.testing.assert_allclose(seed_adjusted(accuracy), points + seeds.mean())
    np.testing.assert_allclose(seed_adjusted(accuracy[:, :1]), points)


def test_forecast_holds_what_lies_between_its_ends() -> None:
    told = Forecast(0.7, 0.65, 0.75)
    assert 0.65 in told
    assert 0.64 not in told
    assert 0.76 not in told


def test_is_never_above_one_or_below_nothing(law: Law) -> None:
    told = law.forecast(*at(200.0))[0]
    assert 0 <= told.low <= told.expected <= told.high <= 1


@given(st.floats(-3, 6), st.floats(0.3, 1.0))
def test_each_step_gives_its_part_of_the_one_before(z: float, ratio: float) -> None:
    at_z, after, later = (saturating(np.array(z + i), ratio) for i in (0, 1, 2))
    assert later - after == pytest.approx(ratio * (after - at_z), abs=1e-6)
    assert saturating(np.array(0.0), ratio) == 0
    assert saturating(np.array(1.0), ratio) == pytest.approx(1)


def test_linear_part_against_a_dense_normal() -> None:
    generator = np.random.default_rng(0)
    basis, values = generator.normal(size=(7, 4)), generator.normal(size=(3, 7))
    variances, noise = generator.uniform(0.5, 2, 7), np.array([0.5, 1.0, 2.0])
    every = generator.uniform(0.3, 2, (3, 4))
    fit = LinearFit.of(basis, values, variances, noise, every)
    for k, spreads in enumerate(every):
        covariance = np.diag(variances * noise[k] ** 2) + basis @ np.diag(spreads**2) @ basis.T
        dense = stats.multivariate_normal(np.zeros(7), covariance).logpdf(values[k])
        assert fit.log_likelihood[k] == pytest.approx(dense + 3.5 * np.log(2 * np.pi))
        gains = np.diag(spreads**2) @ basis.T @ np.linalg.inv(covariance)
        np.testing.assert_allclose(fit.centre[k], gains @ values[k], atol=1e-10)
        np.testing.assert_allclose(
            fit.covariance[k], np.diag(spreads**2) - gains @ basis @ np.diag(spreads**2), atol=1e-10
        )
        assert fit.squares[k] == pytest.approx(values[k] @ np.linalg.inv(covariance) @ values[k])


def test_nothing_to_fit_is_refused(lattice: Lattice) -> None:
    sets, analyses = trained(lattice)
    for each_set, known in ((sets, {}), ([], analyses)):
        with pytest.raises(ValueError, match="trained networks and an analysis"):
            fit_law(each_set, known)
    broken = replace(sets[0], doublings=np.full_like(sets[0].doublings, -np.inf))
    for bad in (broken, replace(sets[0], epochs=0.0), replace(sets[0], n=0 * sets[0].n)):
        with np.errstate(divide="ignore"), pytest.raises(ValueError, match="above 0"):
            fit_law([bad], analyses)
