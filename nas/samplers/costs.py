"""Known costs of many grid rows at once: they need no training, so samplers may ask for thousands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.figures import InSpace
from nas.samplers.grid import Grid, Rows, keys
from search_spaces import SearchSpace

Params = Mapping[str, Any]
KnownCost = Callable[[Params], float]
"""The known cost of a dict of parameters, above 0. A figure in a space (`nas.figures.InSpace`) is one that is asked for
many at once; so is what has a method `batch` from a sequence of dicts to an array."""


class RowCosts:
    """Costs of grid rows, each asked for once."""

    def __init__(self, cost: KnownCost) -> None:
        self._cost = cost
        self._grid: Grid | None = None
        self._known: dict[bytes, float] = {}

    def of_finished(self, grid: Grid, rows: Rows) -> NDArray[np.float64]:
        """Costs of finished trials' rows. Raises the callable's KeyError: such rows lack nothing."""
        costs = self(grid, rows)
        for row in rows[np.isnan(costs)][:1]:
            self._cost(grid.params(row))
        return costs

    def __call__(self, grid: Grid, rows: Rows) -> NDArray[np.float64]:
        """Costs of rows, shape (n, axes) -> (n,); NaN where the callable wants a parameter that a row lacks."""
        if isinstance(self._cost, InSpace):
            return _in_space(self._cost, grid, rows)
        if grid is not self._grid:
            self._grid, self._known = grid, {}
        names = keys(rows)
        new = {key: row for key, row in zip(names, rows, strict=True) if key not in self._known}
        if new:
            params = [grid.params(row) for row in new.values()]
            self._known.update(zip(new, self._count(params), strict=True))
        return np.array([self._known[key] for key in names])

    def _count(self, params: Sequence[Params]) -> list[float]:
        batch = getattr(self._cost, "batch", None)
        try:
            return [float(cost) for cost in (batch(params) if batch else map(self._cost, params))]
        except KeyError:
            # A branch of a conditional space that no trial has shown yet, or a trial that is still being told its own.
            return [float("nan")] if len(params) == 1 else [self._count([each])[0] for each in params]


def _in_space(cost: InSpace, grid: Grid, rows: Rows) -> NDArray[np.float64]:
    """Costs of rows, shape (n, axes) -> (n,), by rows of the space's own; NaN where a row lacks one of its choices that
    makes a difference."""
    axes = {axis.name: (place, axis) for place, axis in enumerate(grid.axes)}
    own = np.full((len(rows), len(cost.space.choices)), -1)
    for column, choice in enumerate(cost.space.choices):
        if choice.name in axes:
            place, axis = axes[choice.name]
            # The last one is met by INACTIVE, which is -1.
            indices = [choice.values.index(level) if level in choice.values else -1 for level in axis.levels] + [-1]
            own[:, column] = np.array(indices)[rows[:, place]]
    costs = np.full(len(rows), np.nan)
    whole: NDArray[np.bool_] = np.asarray((own >= 0).all(axis=1))
    for i in np.flatnonzero(~whole):
        whole[i] = _lacks_nothing(cost.space, own[i])
    costs[whole] = cost.of_rows(np.maximum(own[whole], 0))
    return costs


def _lacks_nothing(space: SearchSpace, row: Rows) -> bool:
    """Whether the choices that a row of value indices lacks (-1 there) make no difference beside those that it has."""
    params = {choice.name: choice.values[i] for choice, i in zip(space.choices, row, strict=True) if i >= 0}
    try:
        space.active(params)
    except KeyError:
        return False
    return True
