"""Which training next: points spread over the triangle first, then what tells most about the optimum."""

from __future__ import annotations

import numpy as np

from scaling_search.surface.posterior import SurfaceDraws
from scaling_search.surface.triangle import Floats

FIRST = 10
"""Points that are trained before any is preferred: about twice the five numbers of a hill. The first seven in
`spread_order` are, or are near, the centre, the corners and the middles of the edges."""
BLOCK = 7
"""Points that are trained at one new seed, then the surface is analysed again. More would be chosen with less
knowledge; with fewer a larger part of every block goes into the level of its seed."""


def spread_order(points: Floats) -> list[int]:
    """The (m, 2) points from the centre on, each next one farthest from those before: any start covers the triangle."""
    order = [int((points**2).sum(axis=1).argmin())]
    distance = ((points - points[order[0]]) ** 2).sum(axis=1)
    while len(order) < len(points):
        order.append(int(distance.argmax()))
        distance = np.minimum(distance, ((points - points[order[-1]]) ** 2).sum(axis=1))
    return order


def block_sizes(left: int, points: int) -> list[int]:
    """`left` trainings beyond the first ones in blocks of BLOCK, or of all points if those are fewer: a new seed each.

    A larger budget begins with the same blocks; the last one, cut short, is the beginning of a whole one.
    """
    size = min(BLOCK, points)
    return [min(size, left - begin) for begin in range(0, left, size)]


def seeds_of(budget: int, points: int) -> int:
    """How many seeds a budget of trainings takes."""
    return 1 + len(block_sizes(max(0, budget - min(FIRST, points)), points))


def most_telling(points: Floats, draws: SurfaceDraws, noise: float, shared: float, count: int) -> list[int]:
    """The `count` (at most m) of the (m, 2) points to train at one new seed.

    One by one the point is taken that is expected to reduce the variance of the optimum most, in the linear
    approximation: cov(optimum, accuracy)^2 / var(accuracy). `noise` is a training's own standard deviation, `shared`
    what a seed shifts all points by.
    """
    accuracy = -draws.below_peak(points)
    joint = np.cov(np.hstack([accuracy, draws.best_points()]).T)
    m, own = len(points), max(noise**2, 1e-12)
    joint[:m, :m] += shared**2
    chosen: list[int] = []
    for _ in range(min(count, m)):
        told = (joint[:m, m:] ** 2).sum(axis=1) / (np.diag(joint)[:m] + own)
        told[chosen] = -np.inf
        best = int(told.argmax())
        chosen.append(best)
        column = joint[:, best].copy()
        joint -= np.outer(column, column) / (column[best] + own)
    return chosen
