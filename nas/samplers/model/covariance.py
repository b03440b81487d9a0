"""The covariance of a network's log-accuracy over grid rows: effects of parameters, known cost, weighted mismatches.

    k(x, y) = 1 + v_o <e(x), e(y)> + v_a <a(x), a(y)> + v_p <a(x), a(y)>^2 + v_c c(x) c(y) + v_x exp(-sum_d w_d m_d)

| symbol | meaning                                                                          | in the code, shape      |
|--------|----------------------------------------------------------------------------------|-------------------------|
| x, y   | rows: for each of D axes the place of its level, below 0 where it is inactive    | rows (n, D)             |
| v      | variances of the parts, by their logarithms; last the noise's                    | theta[:SHARED]          |
| w_d    | weights of the axes, by their logarithms                                         | theta[SHARED:] (D,)     |
|        | one-hots of the levels, with a column more on each axis for inactive: L in all   | Inputs.levels (n, L)    |
| e      | for each parameter the place of an ordered value, and half-weight one-hots       | Inputs.own (n, p)       |
| a      | the same summed over parameters that are alike, plainly and by a rising trend    | Inputs.alike (n, q)     |
| c      | standardised logarithm of the cost                                               | Inputs.cost (n,)        |
| m_d    | mismatch of x and y on an axis, 0 (the same) to 1                                | Kernel._mismatch (L, L) |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.samplers.grid import Grid, Rows

Floats = NDArray[np.float64]

# Positions of the shared hyperparameters, all logarithms of variances; one log-weight per axis follows.
OWN, ALIKE, PAIRS, COST, MISMATCH, NOISE, SHARED = 0, 1, 2, 3, 4, 5, 6
_CONSTANT = 1.0
"""Prior variance of the common level: wide, since values are standardised."""


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows as the kernel sees them: one-hot levels (n, L), scaled effects of each parameter (n, p) and of those
    that are alike (n, q), standardised log cost (n,)."""

    levels: Floats
    own: Floats
    alike: Floats
    cost: Floats

    def __len__(self) -> int:
        return len(self.cost)


@dataclass(frozen=True, eq=False)
class Kernel:
    """k(x, y) of this module's head, and its gradient.

    a sums the effects of parameters that are alike plainly and with weights that rise from -1 to 1 along them, since
    what a choice does in one stage it mostly does in the next, and changes steadily with depth. e and a are scaled to
    about unit mean square. m_d is 1 for different unordered values, (1 + distance of places) / 2 for ordered ones.
    An inactive parameter has no effects, and is a value of its own in m_d.
    """

    grid: Grid

    def inputs(self, rows: Rows, cost: Floats) -> Inputs:
        """Prepare rows of shape (n, axes) with their standardised log costs (n,)."""
        levels = np.zeros((len(rows), len(self._owner)))
        at = np.where(rows >= 0, rows, self.grid.sizes) + self._offsets
        levels[np.arange(len(rows))[:, None], at] = 1.0
        own, alike = self._effects
        return Inputs(levels, levels @ own, levels @ alike, cost)

    def __call__(self, theta: Floats, a: Inputs, b: Inputs) -> Floats:
        """Covariances without noise, shape (len(a), len(b))."""
        v = np.exp(theta[:SHARED])
        out = self._mismatches(theta, a, b)
        alike = a.alike @ b.alike.T
        out += alike * (v[ALIKE] + v[PAIRS] * alike)
        left = np.column_stack([v[OWN] * a.own, v[COST] * a.cost, np.full(len(a), _CONSTANT)])
        out += left @ np.column_stack([b.own, b.cost, np.ones(len(b))]).T
        return out

    def diagonal(self, theta: Floats, a: Inputs) -> Floats:
        """k(x, x) of each row, shape (n,)."""
        v = np.exp(theta[:SHARED])
        alike = (a.alike**2).sum(1)
        effects = v[OWN] * (a.own**2).sum(1) + v[ALIKE] * alike + v[PAIRS] * alike**2
        return np.asarray(effects + v[COST] * a.cost**2 + _CONSTANT + v[MISMATCH])

    def gradient(self, theta: Floats, a: Inputs, weight: Floats) -> Floats:
        """d/d theta of sum(weight * k(a, a)) (without the noise's entry), for a symmetric `weight` (n, n)."""
        v = np.exp(theta[:SHARED])
        grad = np.zeros(len(theta))
        alike = a.alike @ a.alike.T
        grad[OWN] = v[OWN] * ((weight @ a.own) * a.own).sum()
        grad[ALIKE] = v[ALIKE] * (weight * alike).sum()
        grad[PAIRS] = v[PAIRS] * (weight * alike**2).sum()
        grad[COST] = v[COST] * (a.cost @ weight @ a.cost)
        part = weight * self._mismatches(theta, a, a)
        grad[MISMATCH] = part.sum()
        pairs = (a.levels.T @ part @ a.levels) * self._mismatch
        grad[SHARED:] = -np.exp(theta[SHARED:]) * np.bincount(self._owner, pairs.sum(1), len(self.grid.axes))
        return grad

    def _mismatches(self, theta: Floats, a: Inputs, b: Inputs) -> Floats:
        """The exponential part, shape (len(a), len(b)). In place, since these matrices are what a suggestion costs."""
        weights = -np.exp(theta[SHARED:])[self._owner]
        out: Floats = ((a.levels * weights) @ self._mismatch) @ b.levels.T
        np.exp(out, out=out)
        out *= np.exp(theta[MISMATCH])
        return out

    @cached_property
    def _owner(self) -> Rows:
        """The axis of each level column; every axis has one column more, for inactive."""
        return np.repeat(np.arange(len(self.grid.axes)), self.grid.sizes + 1)

    @cached_property
    def _offsets(self) -> Rows:
        return np.concatenate([[0], np.cumsum(self.grid.sizes + 1)[:-1]])

    @cached_property
    def _mismatch(self) -> Floats:
        """m_d of all pairs of levels, block-diagonal, shape (L, L)."""
        out = np.zeros((len(self._owner), len(self._owner)))
        for axis, offset, size in zip(self.grid.axes, self._offsets, self.grid.sizes, strict=True):
            block = 1.0 - np.eye(size + 1)
            if axis.ordered and size > 1:
                block[:size, :size] *= (1 + np.abs(axis.places[:, None] - axis.places)) / 2
            out[offset : offset + size + 1, offset : offset + size + 1] = block
        return out

    @cached_property
    def _effects(self) -> tuple[Floats, Floats]:
        """Effects of each level column: every parameter's own, shape (L, p), and those of like ones, shape (L, q).

        Scaled so that the squares of all entries of a uniform row sum to 1 were each parameter alone, so that one prior
        fits spaces of about any size.
        """
        own = [self._own_effects(i) for i in range(len(self.grid.axes))]
        alike = []
        for group in _alike(self.grid):
            for weights in (np.ones(len(group)), np.linspace(-1, 1, len(group))):
                alike.append(np.sum([weight * own[i] for weight, i in zip(weights, group, strict=True)], axis=0))
        return self._scaled(own), self._scaled(alike)

    def _own_effects(self, i: int) -> Floats:
        """Shape (L, 1 slope and one column per level): none of a parameter with one value."""
        axis, offset, size = self.grid.axes[i], int(self._offsets[i]), int(self.grid.sizes[i])
        out = np.zeros((len(self._owner), size + 1))
        if axis.ordered and size > 1:
            out[offset : offset + size, 0] = 2 * (axis.places - axis.places.mean())
        if size > 2 or (size > 1 and not axis.ordered):
            out[offset : offset + size, 1:] = np.eye(size) * (0.5 if axis.ordered else 1.0)
        return out

    def _scaled(self, blocks: list[Floats]) -> Floats:
        effects = np.column_stack([*blocks, np.zeros((len(self._owner), 1))])
        power = np.bincount(self._owner, (effects**2).sum(1)) / self.grid.sizes
        used = np.asarray(effects.any(0))
        used[-1] = not used.any()  # products need a column
        return np.asarray(effects[:, used] / np.sqrt(max(float(power.sum()), 1e-12)))


def _alike(grid: Grid) -> list[list[int]]:
    """Groups of axes whose names differ in digits only and that have equally many values, such as one choice that is
    made in every stage, in the order of their numbers; without an order the values must be the same. Groups of one are
    left out."""
    groups: dict[tuple[object, ...], list[int]] = {}
    for i in sorted(range(len(grid.axes)), key=lambda i: [int(n) for n in re.findall(r"\d+", grid.axes[i].name)]):
        axis = grid.axes[i]
        values = len(axis.levels) if axis.ordered else axis.levels
        groups.setdefault((re.sub(r"\d+", "#", axis.name), values), []).append(i)
    return [group for group in groups.values() if len(group) > 1]
