"""Parameters as rows of small integers: the form in which our samplers see any Optuna search space."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Rows = NDArray[np.int64]
MAX_LEVELS = 65
INACTIVE = -1


@dataclass(frozen=True)
class Axis:
    """One parameter: its values in order, at most `MAX_LEVELS` of a longer or continuous range, evenly spread.

    ordered: whether a step from one value to the next means more or less of something (numbers in rising order).
    even: whether the steps are equal on the scale that the user gave (ranges of real numbers).
    """

    name: str
    levels: tuple[Any, ...]
    ordered: bool
    even: bool = False

    def index(self, value: Any) -> int:
        """The level of a value; the nearest one where the value is a number that lies between levels."""
        if value in self._index:
            return self._index[value]
        return int(np.argmin([abs(float(level) - float(value)) for level in self.levels]))

    @cached_property
    def places(self) -> NDArray[np.float64]:
        """Where each level lies between the first (0) and the last (1), shape (levels,).

        Positive whole or chosen numbers lie by their logarithm, since doubling a width, a depth, an expansion does
        about the same from wherever it starts; others by their value; what has no such value by its position.
        """
        values = np.arange(float(len(self.levels)))
        if self.ordered and not self.even:
            numbers = np.array(self.levels, float)
            numbers = np.log(numbers) if numbers[0] > 0 else numbers
            if np.isfinite(numbers).all() and (np.diff(numbers) > 0).all():
                values = numbers
        values -= values[0]
        return values / max(float(values[-1]), 1e-300)

    @cached_property
    def _index(self) -> dict[Any, int]:
        # True == 1 and 1 == 1.0 in Python, so a choice of both would fold; Optuna's own look-up does the same.
        return {level: i for i, level in reversed(list(enumerate(self.levels)))}


@dataclass(frozen=True)
class Grid:
    """All parameters of a study. A row has one level per axis, `INACTIVE` where the trial had no such parameter."""

    axes: tuple[Axis, ...]

    @cached_property
    def sizes(self) -> Rows:
        return np.array([len(axis.levels) for axis in self.axes], np.int64)

    def row(self, params: Mapping[str, Any]) -> Rows:
        """The row of a trial's parameters."""
        return np.array(
            [axis.index(params[axis.name]) if axis.name in params else INACTIVE for axis in self.axes], np.int64
        )

    def params(self, row: Rows) -> dict[str, Any]:
        """The parameters of a row, without its inactive ones."""
        return {axis.name: axis.levels[i] for axis, i in zip(self.axes, row.tolist(), strict=True) if i >= 0}

    def random(self, rng: np.random.Generator, n: int) -> Rows:
        """Uniform rows, shape (n, axes)."""
        return rng.integers(0, self.sizes, size=(n, len(self.axes)))

    def neighbours(self, row: Rows) -> Rows:
        """All rows that differ from `row` in exactly one active axis."""
        active = np.where(row >= 0, self.sizes, 0)
        axis = np.repeat(np.arange(len(row)), active)
        level = np.concatenate([np.arange(size) for size in active]) if len(axis) else axis
        out = np.tile(row, (len(axis), 1))
        out[np.arange(len(axis)), axis] = level
        return out[level != row[axis]] if len(axis) else out


def make_grid(distributions: Mapping[str, BaseDistribution]) -> Grid:
    """The grid of a search space."""
    return Grid(tuple(_axis(name, distribution) for name, distribution in distributions.items()))


def keys(rows: Rows) -> list[bytes]:
    """One hashable key per row."""
    return [row.tobytes() for row in np.ascontiguousarray(rows, np.int64)]


def _axis(name: str, distribution: BaseDistribution) -> Axis:
    if isinstance(distribution, CategoricalDistribution):
        return Axis(name, tuple(distribution.choices), _rising(distribution.choices))
    if isinstance(distribution, IntDistribution):
        return Axis(name, tuple(_integers(distribution)), True)
    if isinstance(distribution, FloatDistribution):
        return Axis(name, tuple(_floats(distribution)), True, even=True)
    raise ValueError(f"parameter {name!r}: unknown kind of distribution {distribution}")


def _rising(choices: Sequence[Any]) -> bool:
    numbers = all(isinstance(choice, int | float) for choice in choices)
    return numbers and all(a < b for a, b in itertools.pairwise(choices))


def _integers(d: IntDistribution) -> list[int]:
    count = (d.high - d.low) // d.step + 1
    if count <= MAX_LEVELS:
        return [d.low + i * d.step for i in range(count)]
    spread = _spread(d.low, d.high, d.log)
    return sorted({d.low + round((value - d.low) / d.step) * d.step for value in spread})


def _floats(d: FloatDistribution) -> list[float]:
    if d.low == d.high:
        return [d.low]
    if d.step is None:
        return _spread(d.low, d.high, d.log)
    count = round((d.high - d.low) / d.step) + 1
    ranks = sorted({round(i) for i in np.linspace(0, count - 1, min(count, MAX_LEVELS))})
    return [min(d.high, d.low + i * d.step) for i in ranks]


def _spread(low: float, high: float, log: bool) -> list[float]:
    if log:
        inner = np.exp(np.linspace(math.log(low), math.log(high), MAX_LEVELS))
    else:
        inner = np.linspace(low, high, MAX_LEVELS)
    return [float(low), *map(float, inner[1:-1]), float(high)]
