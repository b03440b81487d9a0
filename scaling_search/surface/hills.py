"""Surfaces with one hill over the triangle of shares: what the analysis knows about accuracy before it sees any.

At x a hill of height h lies h d(x) below its peak, where

    d(x) = (1 - exp(-w q)) / w      q = (x - p)' M (x - p)      M = exp [[s1, s2], [s2, -s1]]

| symbol | meaning                                                  | prior                            | shape  |
|--------|----------------------------------------------------------|----------------------------------|--------|
| x      | a point of the plane of shares (see triangle.py)         |                                  | (m, 2) |
| p      | the peak; outside the triangle the best shares are on an | PEAK_INSIDE: in the triangle,    | (n, 2) |
|        | edge                                                     | else in REACH times it           |        |
| s      | stretch: M has eigenvalues exp(|s|) and exp(-|s|)        | normal, of STRETCHES             | (n, 2) |
| w      | bend: where accuracy saturates; 0 is the quadratic       | BEND times a squared normal      | (n,)   |
| q      | squared distance from the peak, in the metric M          |                                  | (n, m) |
| d      | drop, for height 1                                       |                                  | (n, m) |
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling_search.surface.triangle import AREA, Floats, inside, nearest_inside, uniform_points

PEAK_INSIDE = 0.4
"""Prior probability of the component that puts the peak in the triangle; the rest spreads it over REACH times that."""
REACH = 1.6
ROUND = 0.35
"""Prior probability that the hill is nearly round."""
STRETCHES = (0.1, 0.7)
"""Prior standard deviation of each of the two logarithmic stretches, for nearly round hills and for others (half of
those are beyond 5 to 1)."""
BEND = 1.0
"""Prior mean of w."""

_LOG_NORM = np.log(AREA) + 1.5 * np.log(2 * np.pi)


@dataclass(frozen=True)
class Hills:
    """n hills as an (n, 5) array: peak (2, plane), stretch (2, logarithmic), bend (w is BEND times its square)."""

    values: Floats

    def __len__(self) -> int:
        return len(self.values)

    @property
    def metrics(self) -> Floats:
        """(n, 2, 2) of determinant 1: the matrix exponential of [[p, q], [q, -p]]."""
        p, q = self.values[:, 2], self.values[:, 3]
        size = np.hypot(p, q)
        ratio = np.sinh(size) / np.where(size > 0, size, 1)
        return np.stack([np.cosh(size) + ratio * p, ratio * q, ratio * q, np.cosh(size) - ratio * p], -1).reshape(
            -1, 2, 2
        )

    def drops(self, points: Floats) -> Floats:
        """(n, m): how far below its peak each hill is at (m, 2) points, for height 1."""
        peak, metric = self.values[:, :2], self.metrics
        toward = np.einsum("nij,nj->ni", metric, peak)
        x, y = points.T
        # The quadratic form multiplied out: one matrix product instead of (n, m, 2) differences.
        terms = np.stack([x * x, 2 * x * y, y * y, -2 * x, -2 * y, np.ones_like(x)])
        factors = np.column_stack(
            [metric[:, 0, 0], metric[:, 0, 1], metric[:, 1, 1], toward, np.einsum("ni,ni->n", peak, toward)]
        )
        squared = np.maximum(factors @ terms, 0)
        bend = np.maximum(BEND * self.values[:, 4] ** 2, 1e-6)[:, None]
        dropped: Floats = -np.expm1(-bend * squared) / bend
        return dropped

    def best_points(self) -> Floats:
        """(n, 2): where in the triangle each hill is highest."""
        return nearest_inside(self.values[:, :2], self.metrics)

    def log_prior(self) -> Floats:
        """(n,): the logarithm of the prior density."""
        peak = self.values[:, :2]
        density = PEAK_INSIDE * inside(peak) + (1 - PEAK_INSIDE) / REACH**2 * inside(peak, REACH)
        squared, bend = (self.values[:, 2:4] ** 2).sum(axis=1), self.values[:, 4]
        stretch = sum(
            share / scale**2 * np.exp(-0.5 * squared / scale**2)
            for share, scale in zip((ROUND, 1 - ROUND), STRETCHES, strict=True)
        )
        with np.errstate(divide="ignore"):
            prior: Floats = np.log(density) + np.log(stretch) - 0.5 * bend**2 - _LOG_NORM
        return prior


def prior_hills(generator: np.random.Generator, count: int) -> Hills:
    """Hills drawn from the prior."""
    peak = np.where(
        generator.random((count, 1)) < PEAK_INSIDE,
        uniform_points(generator, count),
        uniform_points(generator, count, REACH),
    )
    scale = np.where(generator.random((count, 1)) < ROUND, *STRETCHES)
    stretch = scale * generator.normal(size=(count, 2))
    return Hills(np.hstack([peak, stretch, generator.normal(size=(count, 1))]))
