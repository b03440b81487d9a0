"""Do the best shares hold beyond the first doubling of the cost? What the model of accuracy says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling_search.coefficients import Coefficients, Shares
from scaling_search.drift import MOVES, distance
from scaling_search.law import Law
from scaling_search.surface.triangle import Floats, nearest_inside, to_plane, to_shares

FIRST = 1.0
"""phi of the coefficient search."""
BEYOND = 1.5
"""phi from which on a trained network tells about the second doubling."""
NEAR = 0.1
"""Networks come in steps: one of phi 1.9 is one of four times the cost."""


@dataclass(frozen=True)
class BestShares:
    """How the whole growth to 2^phi times the cost is best divided: expected, with the ends of 90 % intervals."""

    phi: float
    shares: Shares
    low: Shares
    high: Shares


@dataclass(frozen=True)
class SizeDrift:
    """The best shares by size, the smallest first. p_value: of "they are the same at the largest as at the first"."""

    best: tuple[BestShares, ...]
    p_value: float

    @property
    def moves(self) -> bool:
        return self.p_value < MOVES

    @property
    def sentence(self) -> str:
        """The finding in plain words."""
        last = self.best[-1]
        there = ", ".join(
            f"{name} {share:.2f} ({low:.2f} to {high:.2f})"
            for name, share, low, high in zip(Shares._fields, last.shares, last.low, last.high, strict=True)
        )
        moved = (
            f"move with the size (p = {self.p_value:.3f})"
            if self.moves
            else f"do not move measurably with the size (p = {self.p_value:.2f})"
        )
        return f"the best shares {moved}: for {2**last.phi:.2g} times the cost they are {there}, 90 % intervals"


def size_drift(law: Law, epochs: float, found: Shares) -> SizeDrift | None:
    """For trainings of `epochs`, at every doubling up to the largest network that was trained, and at that. found: the
    best shares by the coefficient search.

    None where no network was trained that tells about the second doubling.
    """
    if law.largest < BEYOND:
        return None
    phis = [float(phi) for phi in range(int(FIRST), int(law.largest + NEAR) + 1)]
    if law.largest > phis[-1] + NEAR:
        phis.append(round(law.largest, 1))
    drawn = {phi: law.best_points(phi, epochs) for phi in phis}
    moved = drawn[phis[-1]] - drawn[FIRST]
    squared, freedom = distance(moved.mean(axis=0), np.cov(moved.T))
    return SizeDrift(
        tuple(_best(phi, points, drawn[FIRST], found) for phi, points in drawn.items()),
        float(stats.chi2.sf(squared, max(1, freedom))),
    )


def coefficients_by_size(best: Sequence[BestShares], phi: float) -> Coefficients:
    """What a family that follows its best shares grows by, all in all, to reach 2^phi times the cost: between sizes on
    a line, and beyond the first and the last as there."""
    sizes = [each.phi for each in best]
    shares = [float(np.interp(phi, sizes, column)) for column in np.array([each.shares for each in best]).T]
    return Coefficients.from_shares((shares[0], shares[1], max(0.0, 1 - shares[0] - shares[1])))


def _best(phi: float, points: Floats, first: Floats, found: Shares) -> BestShares:
    """The first doubling's as the search found them, and others by how far they are moved from there. (The draws lie on
    the nodes of a lattice, and where a Gaussian process took the hill's place their mean is not what was found.)"""
    shift = to_plane(np.array(found)) - first.mean(axis=0)
    inside = nearest_inside((shift + points.mean(axis=0))[None], np.eye(2)[None])[0]
    low, high = np.quantile(np.clip(to_shares(shift + points), 0, 1), [0.05, 0.95], axis=0)
    low, high = np.minimum(low, to_shares(inside)), np.maximum(high, to_shares(inside))
    return BestShares(phi, *(Shares(*(float(x) for x in ends)) for ends in (_clean(to_shares(inside)), low, high)))


def _clean(shares: Floats) -> Floats:
    clipped = np.clip(shares, 0, 1)
    return np.asarray(clipped / clipped.sum(), dtype=np.float64)
