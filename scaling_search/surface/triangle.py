"""Geometry of the triangle of shares: shares that sum to 1 as points of a plane, distances kept."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

CENTRE = np.full(3, 1 / 3)
_AXES = np.array([[1.0, -1.0, 0.0], [1.0, 1.0, -2.0]]) / np.sqrt([[2.0], [6.0]])


def to_plane(shares: ArrayLike) -> Floats:
    """(..., 3) shares as (..., 2) points; the centre (1/3, 1/3, 1/3) is the origin."""
    points: Floats = (np.asarray(shares, dtype=float) - CENTRE) @ _AXES.T
    return points


def to_shares(points: ArrayLike) -> Floats:
    """The inverse of `to_plane`."""
    shares: Floats = CENTRE + np.asarray(points, dtype=float) @ _AXES
    return shares


CORNERS = to_plane(np.eye(3))
AREA = np.sqrt(3) / 2


def lattice(parts: int) -> Floats:
    """All shares that are multiples of 1 / parts: ((parts + 1) * (parts + 2) / 2, 3)."""
    cells = [(i, j, parts - i - j) for i in range(parts + 1) for j in range(parts + 1 - i)]
    return np.array(cells, dtype=float) / parts


def inside(points: Floats, stretch: float = 1.0) -> NDArray[np.bool_]:
    """Which (..., 2) points lie in the triangle stretched about its centre."""
    within: NDArray[np.bool_] = to_shares(points / stretch).min(axis=-1) >= -1e-12
    return within


def uniform_points(generator: np.random.Generator, count: int, stretch: float = 1.0) -> Floats:
    """(count, 2) points spread evenly over the triangle stretched about its centre."""
    return stretch * to_plane(generator.dirichlet(np.ones(3), count))


def nearest_inside(points: Floats, metrics: Floats) -> Floats:
    """(n, 2): the points of the triangle nearest to (n, 2) points, each in its own (n, 2, 2) metric."""
    nearest = points.copy()
    outside = ~inside(points)
    if not outside.any():
        return nearest
    start = CORNERS
    edge = np.roll(CORNERS, -1, axis=0) - CORNERS
    metric, point = metrics[outside], points[outside]
    offset = point[:, None, :] - start
    along = np.einsum("nei,nij,ej->ne", offset, metric, edge) / np.einsum("ei,nij,ej->ne", edge, metric, edge)
    feet = start + np.clip(along, 0, 1)[..., None] * edge
    away = feet - point[:, None, :]
    distance = np.einsum("nei,nij,nej->ne", away, metric, away)
    nearest[outside] = feet[np.arange(len(point)), distance.argmin(axis=1)]
    return nearest
