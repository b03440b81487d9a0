"""Noise of the trainings: how much a seed shifts all points alike, how much is each training's own, and whether a
surface explains the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from scaling_search.surface.posterior import Evidence, evidence, log_likelihood, log_mean_exp
from scaling_search.surface.triangle import Floats

NULL_DRAWS = 999


@dataclass(frozen=True)
class Noise:
    """Standard deviations of accuracy: `own` of a single training, `shared` by all points of a seed; and the degrees of
    freedom that own was estimated from."""

    own: float
    shared: float
    dof: int

    @property
    def paired(self) -> float:
        """The part of a training's variance, 0..1, that cancels when points are compared at the same seeds."""
        total = self.own**2 + self.shared**2
        return self.shared**2 / total if total > 0 else 0.0


def noise_components(accuracy: Floats) -> Noise | None:
    """From (points, seeds) accuracies, NaN where not trained, by analysis of variance; None without repeated points."""
    design, values = _additive(accuracy)
    solution, _, rank, _ = np.linalg.lstsq(design, values, rcond=None)
    seeds = solution[len(accuracy) :]
    dof = int(len(values) - rank)
    if dof < 1:
        return None
    own = float(((values - design @ solution) ** 2).sum() / dof)
    if len(seeds) < 2:
        return Noise(own**0.5, 0.0, dof)
    # What a training's own noise adds to the variance of the estimated levels, also where seeds are unequally filled.
    spread = np.linalg.pinv(design.T @ design)[len(accuracy) :, len(accuracy) :]
    added = own * (np.trace(spread) - spread.sum() / len(seeds)) / (len(seeds) - 1)
    shared = max(0.0, float(seeds.var(ddof=1) - added))
    return Noise(own**0.5, shared**0.5, dof)


def seed_adjusted(accuracy: Floats) -> Floats:
    """(m,): means of (m, seeds) accuracies as if every point had been trained at every seed; NaN where not trained, but
    once at least in every row. Points and seeds are taken to add up, as in `noise_components`."""
    solution = np.linalg.lstsq(*_additive(accuracy), rcond=None)[0]
    means: Floats = solution[: len(accuracy)] + solution[len(accuracy) :].mean()
    return means


def _additive(accuracy: Floats) -> tuple[Floats, Floats]:
    """The design of an effect of each point plus one of each seed that was used, a row a training; and the (n,)
    accuracies."""
    trained = ~np.isnan(accuracy)
    point, seed = np.nonzero(trained)
    seeds, seed = np.unique(seed, return_inverse=True)
    design = np.zeros((len(point), len(accuracy) + len(seeds)))
    design[np.arange(len(point)), point] = 1
    design[np.arange(len(point)), len(accuracy) + seed] = 1
    return design, accuracy[trained]


def lack_of_fit(residual_squares: float, data: Evidence, noise: Noise | None, parameters: int = 6) -> float | None:
    """p-value of the F test that what the best surface of `parameters` leaves over is no more than noise.

    None where no point was trained at two seeds, or with too few points.
    """
    if noise is None:
        return None
    pure = noise.own**2 * noise.dof
    freedom = data.dof - noise.dof - parameters
    if freedom < 1 or pure <= 1e-9 * data.total:
        return None
    ratio = max(0.0, residual_squares - pure) / freedom / noise.own**2
    return float(stats.f.sf(ratio, freedom, noise.dof))


class FlatnessTest:
    """Is there any hill at all? The mean likelihood of hills against a flat surface, judged by its distribution over
    pure noise with the same trainings (exact for normal noise, whatever its size and the seeds' levels)."""

    def __init__(self, drops: Floats, accuracy: Floats, covariate: Floats | None = None, seed: int = 0) -> None:
        """drops: (n, points) of prior hills; accuracy: which trainings there are."""
        self._drops = drops
        generator = np.random.default_rng(seed)
        noise = np.where(np.isnan(accuracy), np.nan, generator.normal(size=(NULL_DRAWS, *accuracy.shape)))
        sets = [evidence(sample, covariate) for sample in noise]
        scores, totals = np.stack([data.scores for data in sets], axis=1), np.array([data.total for data in sets])
        self._null = self._statistic(replace(sets[0], scores=scores, total=totals))

    def p_value(self, data: Evidence) -> float:
        """The share of noise that looks at least as much like a hill as `data` does."""
        return float((1 + (self._null >= self._statistic(data)).sum()) / (1 + NULL_DRAWS))

    def _statistic(self, data: Evidence) -> Floats:
        return log_mean_exp(log_likelihood(self._drops, data), axis=0)
