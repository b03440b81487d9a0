"""The best shares by size, on planted networks whose optimum stays or moves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaling_search import Coefficients, Shares, family, scaling_points
from scaling_search.analysis import Trainings, analyse
from scaling_search.law import Law, TrainedSet, fit_law
from scaling_search.size_drift import BestShares, SizeDrift, coefficients_by_size, size_drift
from scaling_search.surface.triangle import Floats, to_plane
from search_spaces import reference_arch

POINTS = scaling_points(reference_arch("efficientnet_b0"))
FIRST, MOVED = np.array([0.2, 0.2, 0.6]), np.array([0.2, 0.6, 0.2])
WAYS = np.vstack([np.eye(3), [[0.1, 0.8, 0.1]], FIRST])


def level(phi: Floats) -> Floats:
    """What the best network of 2^phi times the cost reaches."""
    reached: Floats = 0.6 + 0.03 * (1 - 0.85**phi) / (1 - 0.85)
    return reached


def law(best_at_four_times: Floats, largest: float = 2.0) -> Law:
    """Fitted to the lattice, the baseline, and five networks each at 2 and 4 times the cost. The hill at 2^phi times
    the cost is 0.03 phi^2 high, and its top moves on a line from phi 1 on."""
    generator = np.random.default_rng(0)

    def seen(phi: Floats, shares: Floats) -> Floats:
        top = to_plane(FIRST + np.maximum(phi - 1, 0)[:, None] * (best_at_four_times - FIRST))
        below = 0.03 * phi**2 * ((to_plane(shares) - top) ** 2).sum(axis=1)
        accuracy: Floats = level(phi) - below + generator.normal(0, 0.002, len(phi))
        return accuracy

    shares, costs = np.array([p.shares for p in POINTS]), np.array([p.cost for p in POINTS])
    doublings = np.log2(costs)
    accuracy = np.column_stack([seen(doublings, shares), seen(doublings, shares)])
    analyses = {10: analyse(Trainings(shares, accuracy, costs))}
    grid = TrainedSet(10, doublings, shares, accuracy.mean(axis=1), np.full(len(costs), 2.0), 2)
    phi = np.array([0.0, *np.repeat([1.0, largest], len(WAYS))])
    ways = np.vstack([np.full(3, 1 / 3), WAYS, WAYS])
    plot = TrainedSet(10, phi, ways, seen(phi, ways), np.full(len(phi), 2.0), 2)
    fitted = fit_law([grid.joined(plot)], analyses)
    assert fitted.lack_of_fit > 0.1
    return fitted


def found(law: Law) -> SizeDrift:
    told = size_drift(law, 10, law.analyses[10].shares)
    assert told is not None
    return told


def test_shares_that_hold_are_said_to_hold() -> None:
    told = found(law(FIRST))
    assert not told.moves
    assert told.p_value > 0.2
    assert [best.phi for best in told.best] == [1, 2]
    for best in told.best:
        assert best.shares == pytest.approx(FIRST, abs=0.08)
        for low, share, high in zip(best.low, FIRST, best.high, strict=True):
            assert low - 0.03 <= share <= high + 0.03
    assert told.sentence.startswith("the best shares do not move measurably with the size (p = ")
    assert "for 4 times the cost they are depth 0." in told.sentence


def test_shares_that_move_are_said_to_move_and_where_to() -> None:
    told = found(law(MOVED))
    assert told.moves
    first, last = (np.array(best.shares) for best in told.best)
    assert first == pytest.approx(FIRST, abs=0.08)
    assert last[1] - first[1] > 0.2
    assert first[2] - last[2] > 0.2
    assert abs(last[0] - first[0]) < 0.15
    assert told.sentence.startswith("the best shares move with the size (p = 0.0")


@pytest.mark.parametrize("best", [FIRST, MOVED])
def test_larger_networks_are_forecast_as_if_the_top_stayed_where_it_is(best: Floats) -> None:
    """Beyond the largest that was trained, both for the best shares there and for those of the first doubling."""
    fitted = law(best)
    ways = np.array([best, FIRST, FIRST])
    phi = np.array([3.0, 3.0, 4.0])
    below = 0.03 * phi**2 * ((to_plane(ways) - to_plane(best)) ** 2).sum(axis=1)
    told = fitted.forecast(phi, ways, np.full(3, 10.0), n=1000)
    for each, real in zip(told, level(phi) - below, strict=True):
        assert each.low <= real <= each.high
        assert each.high - each.low < 0.09


def test_networks_of_twice_the_cost_tell_nothing_of_the_second_doubling() -> None:
    small = law(MOVED, largest=1.3)
    assert size_drift(small, 10, small.analyses[10].shares) is None


def test_the_top_is_that_of_the_analysis_at_one_doubling() -> None:
    fitted = law(MOVED)
    mean = fitted.best_points(1.0, 10).mean(axis=0)
    assert mean == pytest.approx(to_plane(np.array(fitted.analyses[10].shares)), abs=0.01)


@given(st.floats(-2, 8))
def test_a_family_follows_its_sizes_on_a_line(phi: float) -> None:
    none = Shares(0.0, 0.0, 0.0)
    best = [BestShares(1, Shares(0.0, 0.2, 0.8), none, none), BestShares(3, Shares(0.4, 0.6, 0.0), none, none)]
    part = min(max((phi - 1) / 2, 0), 1)
    assert coefficients_by_size(best, phi).shares == pytest.approx((0.4 * part, 0.2 + 0.4 * part, 0.8 - 0.8 * part))


def test_a_family_may_grow_by_other_coefficients_at_every_size() -> None:
    arch = reference_arch("efficientnet_b0")
    wide, deep = Coefficients.from_shares((0, 1, 0)), Coefficients.from_shares((1, 0, 0))
    followed = family(arch, lambda phi: wide if phi < 2 else deep, phis=(0, 1, 2))
    assert [m.arch.id for m in followed[:2]] == [m.arch.id for m in family(arch, wide, phis=(0, 1))]
    assert followed[2].arch.id == family(arch, deep, phis=(2,))[0].arch.id
    assert (followed[1].depth, followed[2].depth) == (1, 4)
