"""A linear model with known variances, fitted for many draws of its values at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scaling_search.surface.triangle import Floats


@dataclass(frozen=True)
class LinearFit:
    """For k draws: log marginal likelihood and squares in units of their variance (k,); of the p constants the
    posterior centre (k, p) and covariance (k, p, p)."""

    log_likelihood: Floats
    squares: Floats
    centre: Floats
    covariance: Floats

    @classmethod
    def of(cls, basis: Floats, values: Floats, variances: Floats, noise: Floats, spreads: Floats) -> LinearFit:
        """basis (m, p); values (k, m); variances (m,) in those of the noise (k,); spreads (k, p): the prior's standard
        deviations of the constants, whose means are 0."""
        weighted = basis / variances[:, None]
        precisions = spreads[:, :, None] ** -2.0 * np.eye(basis.shape[1])
        information = (basis.T @ weighted)[None] / noise[:, None, None] ** 2 + precisions
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
        pulled = values @ weighted / noise[:, None] ** 2
        centre = np.einsum("kij,kj->ki", covariance, pulled)
        squares = (values**2 / variances).sum(axis=1) / noise**2 - (pulled * centre).sum(axis=1)
        log_determinant = np.linalg.slogdet(information)[1] + 2 * np.log(spreads).sum(axis=1)
        log_determinant = log_determinant + np.log(variances).sum() + 2 * values.shape[1] * np.log(noise)
        return cls(-0.5 * (squares + log_determinant), squares, centre, covariance)
