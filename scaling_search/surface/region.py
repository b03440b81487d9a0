"""Where the best shares may lie: a region of the triangle from draws of the optimum."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from scaling_search.surface.triangle import Floats, lattice, to_plane

PARTS = 40
HELD = 0.92
"""The part of the draws that the 90 % region holds: a little more, for hills more stretched than the prior expects.
Calibrated on planted surfaces by benchmarks/scaling/simulation.py."""
SMOOTHING = 400 ** (-1 / 6)
"""Bandwidth of the density in standard deviations of the draws (Scott's rule in two dimensions, for 400 draws)."""
SMALLEST = 0.02


@dataclass(frozen=True)
class Region:
    """Where the optimum is with 90 % probability: the smallest set of lattice cells that holds HELD of the draws.

    shares (k, 3): the cells' centres, multiples of 1 / PARTS. area: their part of the triangle, 0..1.
    """

    shares: Floats
    area: float

    def __contains__(self, shares: object) -> bool:
        nearest = lattice_nodes()[_tree().query(to_plane(np.asarray(shares, dtype=float)))[1]]
        return bool((np.abs(self.shares - nearest).max(axis=1) < 1e-9).any())


def highest_density_region(best: Floats) -> Region:
    """From (n, 2) draws of the optimum in the plane."""
    nodes = lattice_nodes()
    counts = np.bincount(_tree().query(best)[1], minlength=len(nodes))
    spread = np.linalg.det(np.cov(best.T) + 1e-9 * np.eye(2)) ** 0.25
    kernel = np.exp(_squared_distances() * np.float32(-0.5 / max(spread * SMOOTHING, SMALLEST) ** 2))
    # Dividing by the kernel's mass inside the triangle keeps the density from leaking out over the edges.
    density = (kernel @ counts.astype(np.float32)) / kernel.sum(axis=1)
    order = np.argsort(-density, kind="stable")
    held = np.cumsum(counts[order]) / len(best)
    chosen = order[: int(np.searchsorted(held, HELD)) + 1]
    return Region(nodes[chosen], len(chosen) / len(nodes))


@cache
def lattice_nodes() -> Floats:
    """(861, 3) shares that the region and the pictures are made of."""
    return lattice(PARTS)


@cache
def _tree() -> cKDTree:
    return cKDTree(to_plane(lattice_nodes()))


@cache
def _squared_distances() -> NDArray[np.float32]:
    nodes = to_plane(lattice_nodes())
    squared: NDArray[np.float32] = ((nodes[:, None] - nodes[None]) ** 2).sum(axis=-1).astype(np.float32)
    return squared
