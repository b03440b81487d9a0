"""A Gaussian process over grid rows: hyperparameters by maximum a posteriori, posterior by one Cholesky factor.

Notation, for n known points and a grid of D axes:

| symbol | meaning                                                                   | in the code, shape   |
|--------|---------------------------------------------------------------------------|----------------------|
| x      | known points (see covariance.py), the p pending ones after them           | x                    |
| y      | their values, standardised to mean 0 and variance 1                       | y (n,)               |
| theta  | logarithms of variances (SHARED of them, noise last), then of D weights   | theta (SHARED + D,)  |
| K      | covariances of x and x, with noise, blur and jitter on the diagonal       | k (n + p, n + p)     |
| b      | blur: the variance of a value beside the noise, known beforehand          | blur (n,)            |
| L      | the lower Cholesky factor of K                                            | lower (n + p, n + p) |
| a      | K^-1 y; the posterior mean is k(., x) a                                   | alpha (n,)           |
| W      | K^-1 - a a', by which the likelihood's gradient is half tr(W dK/dtheta)   | weight (n, n)        |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize

from nas.samplers.model.covariance import ALIKE, COST, MISMATCH, NOISE, OWN, PAIRS, SHARED, Floats, Inputs, Kernel

_JITTER = 1e-8
"""On the diagonal: keeps K positive definite where rows are the same but for rounding."""
_BOUNDS = dict.fromkeys((OWN, ALIKE, PAIRS, COST, MISMATCH), (1e-3, 20.0)) | {NOISE: (1e-5, 2.0)}
"""Of the variances, in those of the values: below the low end a part is not there, beyond the high one its size is not
told apart any more, and the climb would run off along a flat likelihood."""
_MEDIANS = {OWN: 0.25, ALIKE: 1.0, PAIRS: 0.05, COST: 0.5, MISMATCH: 0.5, NOISE: 0.01}
"""Prior medians of the variances. Most is expected of effects that alike parameters share: what a choice does in one
stage it mostly does in the next; least of products of two; noise is a tenth of the values' standard deviation."""
_SPREADS = dict.fromkeys((OWN, ALIKE, PAIRS, COST, MISMATCH), 1.0) | {NOISE: 1.5}
"""Prior standard deviations of their logarithms: 1 is a factor of e either way; noise is known least."""
_WEIGHT_SPREAD = 1.0
"""The same of the weights."""


def prior(kernel: Kernel) -> tuple[Floats, Floats]:
    """Means and standard deviations of the normal priors on the log-hyperparameters, for values of unit variance.

    The weights' median puts two random rows about one decay length apart, whatever the number of parameters.
    """
    axes = len(kernel.grid.axes)
    means = [math.log(_MEDIANS[i]) for i in range(SHARED)] + [math.log(2.0 / axes)] * axes
    spreads = [_SPREADS[i] for i in range(SHARED)] + [_WEIGHT_SPREAD] * axes
    return np.array(means), np.array(spreads)


def fit_hyperparameters(kernel: Kernel, x: Inputs, y: Floats, blur: Floats, iterations: int = 40) -> Floats:
    """The mode of the posterior of the log-hyperparameters, climbed from the prior's mean by L-BFGS.

    blur: the variance that each value has beside the noise, shape (n,).
    """
    means, spreads = prior(kernel)

    def loss(theta: Floats) -> tuple[float, Floats]:
        value, gradient = negative_log_likelihood(kernel, theta, x, y, blur)
        z = (theta - means) / spreads
        return float(value + 0.5 * (z**2).sum()), gradient + z / spreads

    bounds = [tuple(map(math.log, _BOUNDS[i])) for i in range(SHARED)]
    bounds += [(mean - 4, mean + 4) for mean in means[SHARED:]]
    result = minimize(loss, means, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": iterations})
    return np.asarray(result.x)


def negative_log_likelihood(kernel: Kernel, theta: Floats, x: Inputs, y: Floats, blur: Floats) -> tuple[float, Floats]:
    """The negative log marginal likelihood and its gradient (Rasmussen & Williams 2006, eq. 5.8 and 5.9)."""
    noise = math.exp(theta[NOISE])
    k = kernel(theta, x, x)
    k[np.diag_indices_from(k)] += noise + blur + _JITTER
    try:
        lower = cholesky(k, lower=True, check_finite=False)
    except np.linalg.LinAlgError:
        return 1e10, np.zeros(len(theta))
    alpha = cho_solve((lower, True), y, check_finite=False)
    inverse = cho_solve((lower, True), np.eye(len(y)), check_finite=False)
    weight = inverse - np.multiply.outer(alpha, alpha)
    gradient = kernel.gradient(theta, x, weight)
    gradient[NOISE] = noise * np.trace(weight)
    return float(0.5 * y @ alpha + np.log(np.diag(lower)).sum()), 0.5 * gradient


@dataclass(frozen=True, eq=False)
class Posterior:
    """The process given values `y` at `x`; pending points are believed at their mean (see `posterior`)."""

    kernel: Kernel
    theta: Floats
    x: Inputs
    lower: Floats
    alpha: Floats

    def mean(self, x: Inputs) -> Floats:
        """Posterior mean of the noise-free value at each point, shape (n,)."""
        return np.asarray(self.kernel(self.theta, x, self.x)[:, : len(self.alpha)] @ self.alpha)

    def predict(self, x: Inputs) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free value at each point, shapes (n,)."""
        cross = self.kernel(self.theta, x, self.x)
        half = solve_triangular(self.lower, cross.T, lower=True, check_finite=False)
        variance = self.kernel.diagonal(self.theta, x) - (half**2).sum(0)
        return cross[:, : len(self.alpha)] @ self.alpha, np.sqrt(np.maximum(variance, 1e-12))


def posterior(
    kernel: Kernel, theta: Floats, x: Inputs, y: Floats, blur: Floats, *, pending: Inputs | None = None
) -> Posterior:
    """Condition on y at x, and on the `pending` points turning out at their mean: that leaves every mean as it is and
    only lessens the variance around them, so their values need not be computed."""
    n = len(y)
    joined = x if pending is None or not len(pending) else _join(x, pending)
    k = kernel(theta, joined, joined)
    k[np.diag_indices_from(k)] += math.exp(theta[NOISE]) + np.pad(blur, (0, len(k) - n)) + _JITTER
    lower = cholesky(k, lower=True, check_finite=False)
    alpha = cho_solve((lower[:n, :n], True), y, check_finite=False)
    return Posterior(kernel, theta, joined, lower, alpha)


def _join(a: Inputs, b: Inputs) -> Inputs:
    return Inputs(
        np.concatenate([a.levels, b.levels]),
        np.concatenate([a.own, b.own]),
        np.concatenate([a.alike, b.alike]),
        np.concatenate([a.cost, b.cost]),
    )
