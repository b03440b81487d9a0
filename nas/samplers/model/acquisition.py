"""Expected improvement and the points at which it is worth asking.

| symbol   | meaning                                                                    | in the code, shape |
|----------|----------------------------------------------------------------------------|--------------------|
| f        | the objective at n rows: normal by the model                               | mean, std (n,)     |
| best     | what is to be improved upon, in the unit of f                              | best               |
| z        | (mean - best) / std                                                        | z (n,)             |
| phi, Phi | density and distribution of the standard normal                            |                    |
| EI       | E[max(f - best, 0)] = std (phi(z) + z Phi(z)) (Jones et al. 1998, eq. 15)  | (n,)               |
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import erfcx, log_ndtr, ndtr

from nas.samplers.grid import Grid, Rows, keys
from nas.samplers.model.covariance import Floats

Acquisition = Callable[[Rows], Floats]
"""Scores of rows, shape (n, axes) -> (n,); -inf where a row must not be suggested."""
Settle = Callable[[Rows], Rows]
"""Rows as the objective would take them, in their order (see nas.samplers.conditions)."""

_PARENTS = 10
"""Rows that are mutated and crossed: enough for crossovers to differ, few enough to be among the best."""
_CLIMBS = 4
"""Candidates that are climbed from: the best by acquisition are often neighbours of one another."""
_STEPS = 2
"""Single changes that a climb makes at most: farther from all data the model knows too little to be worth following."""


def log_expected_improvement(mean: Floats, std: Floats, best: float) -> Floats:
    """log E[max(f - best, 0)] for normal f, accurate far into the tail (Ament et al. 2023, eq. 9)."""
    z = (mean - best) / std
    near = np.log(np.maximum(np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) + z * np.exp(log_ndtr(z)), 1e-300))
    low = np.minimum(z, -1.0)
    # phi(z) + z Phi(z) = phi(z) (1 - |z| sqrt(pi/2) erfcx(|z|/sqrt 2)), whose bracket tends to 1/z^2.
    bracket = 1 + low * np.sqrt(np.pi / 2) * erfcx(-low / np.sqrt(2))
    far = -0.5 * low**2 - 0.5 * np.log(2 * np.pi) + np.log(np.where(low > -1e4, np.maximum(bracket, 1e-12), 1 / low**2))
    return np.asarray(np.log(std) + np.where(z > -1.0, near, far))


def expected_improvement(mean: Floats, std: Floats, best: Floats) -> Floats:
    """E[max(f - best, 0)] for normal f; arguments broadcast."""
    z = (mean - best) / std
    return np.asarray(std * (np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi) + z * ndtr(z)))


def candidates(grid: Grid, parents: Rows, rng: np.random.Generator, n: int = 150) -> Rows:
    """Rows to start from, shape (about 4 n, axes): mutations of one to three parameters, crossovers, uniform rows, and
    all neighbours of the best parent. Parents are ordered, the best first."""
    parents = parents[:_PARENTS]
    uniform = grid.random(rng, n)
    if not len(parents):
        return uniform
    mutants = parents[rng.integers(len(parents), size=2 * n)]
    changed = rng.random(mutants.shape).argsort(1) < rng.integers(1, 4, (2 * n, 1))
    mutants = np.where(changed & (mutants >= 0), grid.random(rng, 2 * n), mutants)
    first, second = parents[rng.integers(len(parents), size=(2, n))]
    crossed = np.where(rng.random(first.shape) < 0.5, first, second)
    return np.concatenate([grid.neighbours(parents[0]), mutants, crossed, uniform])


def maximise(
    grid: Grid, acquisition: Acquisition, starts: Rows, settle: Settle, accept: Callable[[Rows], bool] = lambda _: True
) -> Rows | None:
    """The best row that steepest ascents over single changes reach from the best starts, of those that are accepted,
    else the best start that is; None if there is none above -inf."""
    starts = settle(starts)
    unique = starts[np.unique(keys(starts), return_index=True)[1]]
    scores = acquisition(unique)
    order = np.argsort(-scores, kind="stable")[:_CLIMBS]
    rows, reached = unique[order], scores[order]
    for _ in range(_STEPS):
        near = [settle(grid.neighbours(row)) for row in rows]
        joined = np.concatenate(near)
        if not len(joined):
            break
        steps = np.split(acquisition(joined), np.cumsum([len(part) for part in near])[:-1])
        moved = [i for i, part in enumerate(steps) if len(part) and part.max() > reached[i]]
        if not moved:
            break
        rows = rows.copy()
        for i in moved:
            rows[i], reached[i] = near[i][int(steps[i].argmax())], steps[i].max()
        rows, first = np.unique(rows, axis=0, return_index=True)
        reached = reached[first]
    order = np.argsort(-scores, kind="stable")
    best = [*np.argsort(-reached, kind="stable"), *(len(rows) + order)]
    rows, reached = np.concatenate([rows, unique]), np.concatenate([reached, scores])
    return next((rows[i] for i in best if np.isfinite(reached[i]) and accept(rows[i])), None)
