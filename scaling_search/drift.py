"""Does the optimum move with the length of the trainings? Short trainings favour what trains fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling_search.analysis import Analysis
from scaling_search.coefficients import Shares
from scaling_search.surface.posterior import DRAWS
from scaling_search.surface.triangle import Floats, nearest_inside, to_shares

MOVES = 0.1
FINEST = 0.01
"""A place is never known better than to this, in shares: networks come in larger steps."""


@dataclass(frozen=True)
class Drift:
    """The optimum at several training lengths, in epochs, and the line through them over log2(epochs).

    per_doubling: how the shares change when the trainings are twice as long (sum 0); p_value: of "it does not move";
    misfit: p-value of "it moves along a line", None with two lengths. target: epochs that the line was extrapolated to,
    and the shares there with the root mean square of their uncertainty; None where a line is not supported.
    """

    shares: Mapping[int, Shares]
    per_doubling: tuple[float, float, float]
    p_value: float
    misfit: float | None
    target: int
    extrapolated: Shares | None
    uncertainty: float | None

    @property
    def moves(self) -> bool:
        return self.p_value < MOVES

    @property
    def sentence(self) -> str:
        """The finding in plain words."""
        lengths = ", ".join(str(epochs) for epochs in self.shares)
        if not self.moves:
            return (
                f"the optimum does not move measurably between trainings of {lengths} epochs (p = {self.p_value:.2f})"
            )
        depth, width, resolution = self.per_doubling
        moved = (
            f"the optimum moves with the trainings' length ({lengths} epochs, p = {self.p_value:.3f}): per doubling "
            f"{depth:+.2f} to depth, {width:+.2f} to width, {resolution:+.2f} to resolution"
        )
        if self.extrapolated is None:
            return f"{moved}; not in an orderly way, so that nothing can be said about longer trainings: train longer"
        there = ", ".join(f"{name} {share:.2f}" for name, share in self.extrapolated._asdict().items())
        return f"{moved}; extrapolated to {self.target} epochs: {there} (+- {self.uncertainty:.2f})"


def drift(analyses: Mapping[int, Analysis], target: int) -> Drift:
    """From the analyses at two or more training lengths (epochs); `target`: epochs to draw the line on to.

    Raises ValueError with fewer than two lengths.
    """
    if len(analyses) < 2:
        raise ValueError("drift needs analyses at two or more training lengths")
    lengths = sorted(analyses)
    optima = np.stack([_as_many(analyses[epochs].draws.best_points()) for epochs in lengths])
    weights = np.array([1 / (np.trace(np.cov(draws.T)) + 2 * FINEST**2) for draws in optima])
    doublings = np.log2(lengths)
    centre = np.average(doublings, weights=weights)
    leverage = weights * (doublings - centre) / (weights * (doublings - centre) ** 2).sum()
    slopes = np.tensordot(leverage, optima, axes=1)
    middle = np.tensordot(weights / weights.sum(), optima, axes=1)
    mean = slopes.mean(axis=0)
    squared, freedom = distance(mean, np.cov(slopes.T))
    p_value = float(stats.chi2.sf(squared, max(1, freedom)))
    misfit = _misfit(optima, doublings - centre, middle.mean(axis=0), mean)
    there = middle + slopes * (np.log2(target) - centre)
    inside = nearest_inside(there, np.broadcast_to(np.eye(2), (len(there), 2, 2)))
    orderly = p_value < MOVES and (misfit is None or misfit > MOVES / 2)
    return Drift(
        shares={epochs: analyses[epochs].shares for epochs in lengths},
        per_doubling=_change(mean),
        p_value=p_value,
        misfit=misfit,
        target=target,
        extrapolated=Shares(*np.clip(to_shares(inside.mean(axis=0)), 0, 1).tolist()) if orderly else None,
        uncertainty=float(np.sqrt(np.trace(np.cov(inside.T)))) if orderly else None,
    )


def supported_drift(analyses: Mapping[int, Analysis], final: int) -> Drift | None:
    """The drift, extrapolated to `final` epochs or to the longest training, if that is longer; None with fewer than two
    training lengths."""
    return drift(analyses, max(final, *analyses)) if len(analyses) > 1 else None


def _as_many(draws: Floats, count: int = DRAWS) -> Floats:
    picked: Floats = draws[np.linspace(0, len(draws) - 1, count).astype(int)]
    return np.random.default_rng(0).permutation(picked)


def _misfit(optima: Floats, doublings: Floats, level: Floats, slope: Floats) -> float | None:
    if len(optima) < 3:
        return None
    off = [draws.mean(axis=0) - level - slope * x for draws, x in zip(optima, doublings, strict=True)]
    found = [distance(step, np.cov(draws.T)) for step, draws in zip(off, optima, strict=True)]
    # A line through the optima takes as many degrees of freedom as two of them have.
    freedom = sum(freedom for _, freedom in found) * (len(optima) - 2) / len(optima)
    return float(stats.chi2.sf(sum(squared for squared, _ in found), max(1.0, freedom)))


def distance(step: Floats, covariance: Floats) -> tuple[float, int]:
    """Squared length of a step in standard deviations, and in how many directions it is uncertain at all.

    Draws on an edge of the triangle differ along it only, and those at a corner not at all.
    """
    variances, directions = np.linalg.eigh(covariance)
    along = directions.T @ step
    return float((along**2 / (np.maximum(variances, 0) + FINEST**2)).sum()), int((variances > FINEST**2).sum())


def _change(step: Floats) -> tuple[float, float, float]:
    depth, width, resolution = (to_shares(step) - to_shares(np.zeros(2))).tolist()
    return depth, width, resolution
