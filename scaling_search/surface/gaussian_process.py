"""Surfaces that need not be one hill: a Gaussian process through the points, for where the hill does not fit."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np

from scaling_search.surface.posterior import DRAWS, Evidence
from scaling_search.surface.triangle import Floats, lattice, to_plane

PARTS = 20
LENGTHS = (0.15, 2.0)


@dataclass(frozen=True)
class Functions:
    """n functions on a lattice over the triangle: nodes (k, 2) of the plane, values (n, k)."""

    nodes: Floats
    values: Floats

    def best_points(self) -> Floats:
        best: Floats = self.nodes[self.values.argmax(axis=1)]
        return best

    def below_peak(self, points: Floats) -> Floats:
        nearest = ((points[:, None] - self.nodes[None]) ** 2).sum(axis=-1).argmin(axis=1)
        below: Floats = self.values.max(axis=1, keepdims=True) - self.values[:, nearest]
        return below

    def median_below_peak(self, points: Floats) -> Floats:
        median: Floats = np.median(self.below_peak(points), axis=0)
        return median


def draw_functions(points: Floats, data: Evidence, noise: float, *, draws: int = DRAWS, seed: int = 0) -> Functions:
    """Draws from the posterior of a Gaussian process with a squared-exponential kernel fitted to the point effects.

    points (m, 2); noise is the standard deviation of one training.
    """
    # Seconds to load, and seldom needed.
    from sklearn.exceptions import ConvergenceWarning  # noqa: PLC0415
    from sklearn.gaussian_process import GaussianProcessRegressor  # noqa: PLC0415
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel  # noqa: PLC0415

    effects = np.linalg.pinv(data.information) @ data.scores
    variances = noise**2 / np.maximum(np.diag(data.information), 1e-9)
    scale = float(effects.std()) or 1.0
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * RBF(0.5, LENGTHS)
    process = GaussianProcessRegressor(kernel, alpha=variances / scale**2, random_state=seed)
    with warnings.catch_warnings():
        # A length at the end of its range is an answer here (a plane, or no relation at all), not a failure.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(points, (effects - effects.mean()) / scale)
    nodes = to_plane(lattice(PARTS))
    return Functions(nodes, scale * process.sample_y(nodes, draws, random_state=seed).T)
