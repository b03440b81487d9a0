"""What trainings say about the hill: its likelihood with the seeds' levels, its height and the noise integrated out,
and draws of the whole surface.

The model, for the training of point i at seed s:      y_is = l_s - h d(x_i) + b c_i + e_is

| symbol | meaning                                                                    | in the code, shape         |
|--------|----------------------------------------------------------------------------|----------------------------|
| y      | accuracy in 0..1, NaN where not trained                                    | accuracy (m, seeds)        |
| l      | level of a seed, which shifts all points alike; flat prior, integrated out |                            |
| x      | point of the plane of shares (see triangle.py)                             | points (m, 2)              |
| d      | drop below the peak, of n hills of height 1 (see hills.py)                 | drops (n, m)               |
| h      | height, at least 0: half-normal, its standard deviation sqrt(g) noises     | heights (n,)               |
|        | where drops are scaled to unit information a replicate                     |                            |
| g      | one of SIGNALS, all as likely                                              | _Fit (signals, n)          |
| c, b   | doublings of cost beyond the mean; their slope, flat prior, integrated out | covariate (m,)             |
| e      | noise, normal; Jeffreys' prior on its variance                             | noise (n,)                 |
| I      | information on the effects of points that l and b leave                    | information (m, m)         |
| u      | I times the effects of points                                              | scores (m,)                |
| S      | squares about the levels, with `dof` degrees of freedom                    | total                      |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import ndtr, ndtri

from scaling_search.surface.hills import Hills, prior_hills
from scaling_search.surface.triangle import Floats

Indices = NDArray[np.int64]

SIGNALS = (1.0, 10.0, 100.0)
"""g: from hills as high as the noise of one training is large to ten times that, a decade of variance apart."""
FIRST_DRAWS = 8000
"""Hills of the first round: drawn from the wide prior, of which few are likely, hence more than DRAWS."""
DRAWS = 2000
"""Hills of each later round, and surfaces that come out: the ends of a 90 % interval have 100 of them beyond."""
KERNELS = 120
"""Hills that new ones are drawn around. The density of the draws is summed over all of them, so they cost time; a
normal in five dimensions takes 20 figures to describe, of which they are several times as many."""
MOST_ROUNDS = 30
"""A bound that ends what does not settle; each round lets in as much of the likelihood as SPARED allows."""
SPARED = 60
"""Effective draws that a round leaves: the covariance of the five figures of a hill, 15 numbers, is estimated by
them."""
ENOUGH = 500
"""Effective draws that end the rounds: a quarter of what comes out; one more round would not tell much more."""
FROM_PRIOR = 0.1
"""Share of each round that is drawn from the prior: it bounds the weights where the kernels have no draw near (a
defensive mixture, Hesterberg 1995)."""


@dataclass(frozen=True)
class Evidence:
    """All that the accuracies say about contrasts between m points.

    scores (m,): information times point effect; information (m, m); total: squares about the seeds' means; dof:
    degrees of freedom left by them; replicates: trainings per point. Several sets of accuracies from the same trainings
    can be held at once: scores (m, k), total (k,).
    """

    scores: Floats
    information: Floats
    total: float | Floats
    dof: int
    replicates: float


def evidence(accuracy: Floats, covariate: Floats | None = None) -> Evidence:
    """From (m, seeds) accuracies, NaN where not trained; the (m,) covariate, if any, is fitted with a free slope.

    Raises ValueError with fewer than three degrees of freedom.
    """
    trained = ~np.isnan(accuracy)
    columns = trained.sum(axis=0) > 0
    trained, accuracy = trained[:, columns], accuracy[:, columns]
    counts = trained.sum(axis=0)
    known = np.where(trained, accuracy, 0.0)
    residual = np.where(trained, known - known.sum(axis=0) / counts, 0.0)
    weights = trained.astype(float)
    scores = residual.sum(axis=1)
    information = np.diag(weights.sum(axis=1)) - (weights / counts) @ weights.T
    total = float((residual**2).sum())
    dof = int(trained.sum() - len(counts))
    if covariate is not None:
        along = information @ covariate
        strength = float(covariate @ along)
        slope = float(covariate @ scores) / strength
        scores, information = scores - slope * along, information - np.outer(along, along) / strength
        total, dof = total - slope**2 * strength, dof - 1
    if dof < 3:
        raise ValueError("too few trainings to fit a surface: at least four points at one seed are needed")
    # Equal accuracies everywhere (all at chance) leave no squares at all to divide by.
    return Evidence(scores, information, max(total, 1e-12), dof, float(weights.sum() / len(weights)))


@dataclass(frozen=True)
class _Fit:
    """(signals, hills[, sets]): log marginal likelihood; of the height: centre, variance factor, squares left over."""

    log_likelihood: Floats
    height: Floats
    variance: Floats
    squares: Floats


def _fit(drops: Floats, data: Evidence) -> _Fit:
    fall = -drops @ data.scores
    strength = np.maximum(np.einsum("nm,nm->n", drops @ data.information, drops), 1e-12)
    strength = strength.reshape(-1, *(1,) * (fall.ndim - 1))
    signals = np.reshape(SIGNALS, (-1, *(1,) * fall.ndim)) * data.replicates
    shrink = signals / (1 + signals)
    height = shrink * fall / strength
    squares = np.maximum(data.total - shrink * fall**2 / strength, 1e-12 * data.total)
    variance = shrink / strength
    upward = ndtr(height / np.sqrt(variance * squares / data.dof))
    log_likelihood = (
        -0.5 * np.log1p(signals)
        - 0.5 * data.dof * np.log(squares / data.total)
        + np.log(np.maximum(2 * upward, 1e-300))
    )
    return _Fit(log_likelihood, height, np.broadcast_to(variance, height.shape), squares)


def log_likelihood(drops: Floats, data: Evidence) -> Floats:
    """(n,): log marginal likelihood of hills with these (n, m) drops, relative to a flat one's; (n, k) for k sets."""
    return log_mean_exp(_fit(drops, data).log_likelihood, axis=0)


class SurfaceDraws(Protocol):
    """n equally likely surfaces."""

    def best_points(self) -> Floats:
        """(n, 2): where in the triangle each is highest."""
        ...

    def below_peak(self, points: Floats) -> Floats:
        """(n, m): accuracy below that highest point's (a hill's: below its peak's) at (m, 2) points of the plane."""
        ...

    def median_below_peak(self, points: Floats) -> Floats:
        """(m,): the median of `below_peak` over the surfaces. Where nothing was trained, means are ruled by the few
        surfaces that fall without bound there."""
        ...


@dataclass(frozen=True)
class Surfaces:
    """Equally likely surfaces given the data: hills, their heights and the noise (standard deviation), n of each."""

    hills: Hills
    heights: Floats
    noise: Floats

    @property
    def distinct(self) -> int:
        """How many of the hills differ. Few do where the rounds of `draw_surfaces` have not settled."""
        return len(np.unique(self.hills.values, axis=0))

    def best_points(self) -> Floats:
        return self.hills.best_points()

    def below_peak(self, points: Floats) -> Floats:
        lost: Floats = self.heights[:, None] * self.hills.drops(points)
        return lost

    def median_below_peak(self, points: Floats) -> Floats:
        # It is smooth and enters no test: every fourth draw is enough, and four times as fast.
        some = Surfaces(Hills(self.hills.values[::4]), self.heights[::4], self.noise[::4])
        median: Floats = np.median(some.below_peak(points), axis=0)
        return median


def draw_surfaces(points: Floats, data: Evidence, *, draws: int = DRAWS, seed: int = 0) -> Surfaces:
    """Surfaces drawn from the posterior by population Monte Carlo (Cappe et al., 2004).

    Prior draws are weighted by their likelihood, resampled, perturbed and weighted again, the likelihood
    being let in by degrees."""
    generator = np.random.default_rng(seed)
    hills = prior_hills(generator, FIRST_DRAWS)
    likelihood, correction = log_likelihood(hills.drops(points), data), np.zeros(FIRST_DRAWS)
    for _ in range(MOST_ROUNDS):
        weights, reached = _tempered(likelihood, correction)
        if reached and 1 / (weights**2).sum() > ENOUGH:
            break
        hills, log_proposal = _perturbed(hills, weights, generator)
        likelihood, correction = log_likelihood(hills.drops(points), data), hills.log_prior() - log_proposal
    weights = _normalised(likelihood + correction)
    chosen = Hills(hills.values[_resample(weights, draws, generator)])
    fit = _fit(chosen.drops(points), data)
    signal = choose_rows(fit.log_likelihood, generator)
    pick = (signal, np.arange(draws))
    noise = np.sqrt(fit.squares[pick] / generator.chisquare(data.dof, draws))
    spread = noise * np.sqrt(fit.variance[pick])
    heights = fit.height[pick] + spread * _positive_normal(fit.height[pick] / spread, generator)
    return Surfaces(chosen, heights, noise)


def least_squares(hills: Hills, points: Floats, data: Evidence, *, refine: bool) -> float:
    """The smallest sum of squares that one of `hills` leaves over at its best height; `refine` goes on from there."""

    def left_over(values: Floats) -> Floats:
        drops = Hills(np.atleast_2d(values)).drops(points)
        strength = np.maximum(np.einsum("nm,nm->n", drops @ data.information, drops), 1e-12)
        squares: Floats = data.total - np.maximum(-drops @ data.scores, 0) ** 2 / strength
        return squares

    squares = left_over(hills.values)
    if not refine:
        return float(squares.min())
    start = hills.values[squares.argmin()]
    return float(minimize(lambda values: left_over(values)[0], start, method="Nelder-Mead").fun)


def _tempered(likelihood: Floats, correction: Floats) -> tuple[Floats, bool]:
    """Weights with as much of the likelihood as leaves SPARED effective draws, and whether that is all of it."""

    def effective(power: float) -> float:
        return float(1 / (_normalised(power * likelihood + correction) ** 2).sum())

    if effective(1.0) >= SPARED:
        return _normalised(likelihood + correction), True
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= SPARED else (low, middle)
    return _normalised(low * likelihood + correction), False


def _normalised(log_weights: Floats) -> Floats:
    weights: Floats = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    return weights


def log_mean_exp(values: Floats, axis: int) -> Floats:
    """The logarithm of the mean of exp(values), without overflow."""
    top = values.max(axis=axis, keepdims=True)
    mean: Floats = np.log(np.exp(values - top).mean(axis=axis)) + top.squeeze(axis)
    return mean


def _resample(weights: Floats, count: int, generator: np.random.Generator) -> Indices:
    """Systematic resampling: (count,) indices."""
    positions = (np.arange(count) + generator.random()) / count
    return np.minimum(np.searchsorted(np.cumsum(weights), positions), len(weights) - 1)


def _perturbed(hills: Hills, weights: Floats, generator: np.random.Generator) -> tuple[Hills, Floats]:
    """New hills around the likely ones (a tenth from the prior), with the log density they were drawn from."""
    values = hills.values
    mean = weights @ values
    centred = values - mean
    covariance = (weights[:, None] * centred).T @ centred + 1e-8 * np.eye(values.shape[1])
    kernels = values[_resample(weights, KERNELS, generator)]
    effective = min(KERNELS, 1 / (weights**2).sum())
    # Scott's rule: n^(-1 / (d + 4)) of the standard deviation in d = 5 dimensions.
    root = np.linalg.cholesky(covariance) * max(effective, 2.0) ** (-1 / 9)
    count = round(DRAWS * (1 - FROM_PRIOR))
    moved = kernels[generator.integers(KERNELS, size=count)] + generator.normal(size=(count, values.shape[1])) @ root.T
    drawn = Hills(np.vstack([moved, prior_hills(generator, DRAWS - count).values]))
    scaled, centres = np.linalg.solve(root, drawn.values.T).T, np.linalg.solve(root, kernels.T).T
    squared = (scaled**2).sum(axis=1)[:, None] + (centres**2).sum(axis=1) - 2 * scaled @ centres.T
    log_kernels = log_mean_exp(-0.5 * squared, axis=1) - np.log(np.diag(root)).sum()
    log_kernels -= 0.5 * values.shape[1] * np.log(2 * np.pi)
    with np.errstate(divide="ignore"):
        mixed: Floats = np.logaddexp(np.log(1 - FROM_PRIOR) + log_kernels, np.log(FROM_PRIOR) + drawn.log_prior())
    return drawn, mixed


def choose_rows(log_weights: Floats, generator: np.random.Generator) -> Indices:
    """One row for each column, with probabilities in proportion to exp(log_weights)."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max(axis=0)), axis=0)
    chosen: Indices = (generator.random(cumulative.shape[1]) * cumulative[-1] > cumulative).sum(axis=0)
    return chosen


def _positive_normal(shift: Floats, generator: np.random.Generator) -> Floats:
    """Standard normal deviates above -shift."""
    below = ndtr(-shift)
    uniform = below + (1 - below) * generator.random(len(shift))
    deviates: Floats = np.maximum(ndtri(np.clip(uniform, 1e-300, 1 - 1e-16)), -shift)
    return deviates
