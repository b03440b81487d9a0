"""The covariance of a network's log-accuracy over grid rows: linear effects, known cost, and weighted mismatches."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.samplers.grid import Grid, Rows

Floats = NDArray[np.float64]

# Positions of the shared hyperparameters, all logarithms of variances; one log-weight per axis follows.
LINEAR, COST, MISMATCH, NOISE, SHARED = 0, 1, 2, 3, 4
_CONSTANT = 1.0


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows as the kernel sees them: one-hot levels (n, L), scaled linear effects (n, p), standardised log cost (n,)."""

    levels: Floats
    effects: Floats
    cost: Floats

    def __len__(self) -> int:
        return len(self.cost)


@dataclass(frozen=True, eq=False)
class Kernel:
    """k(x, y) = v_c + v_l <e(x), e(y)> + v_m c(x) c(y) + v_x exp(-sum_d w_d m_d(x, y)).

    e: ordered values from -1 to 1 and half-weight one-hots, scaled to unit mean square; c: standardised log cost;
    m_d: 1 for different unordered values, (1 + distance) / 2 with the distance in 0..1 for ordered ones.
    An inactive parameter is a value of its own.
    """

    grid: Grid

    def inputs(self, rows: Rows, cost: Floats) -> Inputs:
        """Prepare rows of shape (n, axes) with their standardised log costs (n,)."""
        levels = np.zeros((len(rows), len(self._owner)))
        at = np.where(rows >= 0, rows, self.grid.sizes) + self._offsets
        levels[np.arange(len(rows))[:, None], at] = 1.0
        return Inputs(levels, levels @ self._effects, cost)

    def __call__(self, theta: Floats, a: Inputs, b: Inputs) -> Floats:
        """Covariances without noise, shape (len(a), len(b))."""
        v = np.exp(theta[:SHARED])
        out = v[LINEAR] * (a.effects @ b.effects.T)
        out += np.multiply.outer(v[COST] * a.cost, b.cost) + _CONSTANT
        out += v[MISMATCH] * np.exp(-self._distance(theta, a, b))
        return np.asarray(out)

    def diagonal(self, theta: Floats, a: Inputs) -> Floats:
        """k(x, x) of each row, shape (n,)."""
        v = np.exp(theta[:SHARED])
        return np.asarray(v[LINEAR] * (a.effects**2).sum(1) + v[COST] * a.cost**2 + _CONSTANT + v[MISMATCH])

    def gradient(self, theta: Floats, a: Inputs, weight: Floats) -> Floats:
        """d/d theta of sum(weight * k(a, a)) (without the noise's entry), for a symmetric `weight` (n, n)."""
        v = np.exp(theta[:SHARED])
        grad = np.zeros(len(theta))
        grad[LINEAR] = v[LINEAR] * ((weight @ a.effects) * a.effects).sum()
        grad[COST] = v[COST] * (a.cost @ weight @ a.cost)
        part = weight * (v[MISMATCH] * np.exp(-self._distance(theta, a, a)))
        grad[MISMATCH] = part.sum()
        pairs = (a.levels.T @ part @ a.levels) * self._mismatch
        grad[SHARED:] = -np.exp(theta[SHARED:]) * np.bincount(self._owner, pairs.sum(1), len(self.grid.axes))
        return grad

    def _distance(self, theta: Floats, a: Inputs, b: Inputs) -> Floats:
        weights = np.exp(theta[SHARED:])[self._owner]
        return np.asarray((a.levels * weights) @ self._mismatch @ b.levels.T)

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
                place = np.linspace(0, 1, size)
                block[:size, :size] *= (1 + np.abs(place[:, None] - place)) / 2
            out[offset : offset + size + 1, offset : offset + size + 1] = block
        return out

    @cached_property
    def _effects(self) -> Floats:
        """Linear effects of each level column, shape (L, p): every parameter's own, and those it shares with its like.

        Both blocks have unit mean square for a uniform row, so that one prior fits spaces of any size.
        """
        own = [self._own_effects(i) for i in range(len(self.grid.axes))]
        shared = [np.sum([own[i] for i in group], axis=0) for group in _alike(self.grid)]
        effects = np.column_stack([self._scaled(own), self._scaled(shared)])
        used = np.asarray(effects.any(0))
        used[0] = True
        return np.asarray(effects[:, used])

    def _own_effects(self, i: int) -> Floats:
        """Shape (L, 1 slope and one column per level): none of a parameter with one value."""
        axis, offset, size = self.grid.axes[i], int(self._offsets[i]), int(self.grid.sizes[i])
        out = np.zeros((len(self._owner), size + 1))
        if axis.ordered and size > 1:
            out[offset : offset + size, 0] = np.linspace(-1, 1, size)
        if size > 2 or (size > 1 and not axis.ordered):
            out[offset : offset + size, 1:] = np.eye(size) * (0.5 if axis.ordered else 1.0)
        return out

    def _scaled(self, blocks: list[Floats]) -> Floats:
        effects = np.column_stack([*blocks, np.zeros((len(self._owner), 1))])
        power = np.bincount(self._owner, (effects**2).sum(1)) / self.grid.sizes
        return np.asarray(effects / np.sqrt(max(float(power.sum()), 1e-12)))


def _alike(grid: Grid) -> list[list[int]]:
    """Groups of axes whose names differ in digits only and that have equally many values, such as one choice that is
    made in every stage. Groups of one are left out."""
    groups: dict[tuple[str, int, bool], list[int]] = {}
    for i, axis in enumerate(grid.axes):
        groups.setdefault((re.sub(r"\d+", "#", axis.name), len(axis.levels), axis.ordered), []).append(i)
    return [group for group in groups.values() if len(group) > 1]
