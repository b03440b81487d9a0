"""Known costs of many parameter dicts at once: FLOPs need no training, so samplers may ask for thousands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.samplers.grid import Grid, Rows, keys
from search_spaces import CostTable, StagedSpace, cost_table

Params = Mapping[str, Any]
Macs = Callable[[Params], float]


@dataclass(frozen=True)
class StagedMacs:
    """Multiply-adds of a staged space's parameters: called with one dict, or `batch` with many (much faster)."""

    space: StagedSpace
    num_classes: int = 1000

    def __call__(self, params: Params) -> float:
        return float(self.batch([params])[0])

    def batch(self, params: Sequence[Params]) -> NDArray[np.float64]:
        """MACs of each, shape (n,)."""
        rows = np.array([self.space.indices(each) for each in params], np.int64).reshape(len(params), -1)
        return self.table.count(rows)[:, 0].astype(float)

    def of_rows(self, grid: Grid, rows: Rows) -> NDArray[np.float64] | None:
        """MACs of grid rows, shape (n,), where the grid is the space's own, level for level; else None."""
        own = [(choice.name, tuple(choice.values)) for choice in self.space.choices]
        if own != [(axis.name, axis.levels) for axis in grid.axes] or (rows < 0).any():
            return None
        return self.table.count(rows)[:, 0].astype(float)

    @cached_property
    def table(self) -> CostTable:
        """Counts rows of value indices."""
        return cost_table(self.space, self.num_classes)


class RowCosts:
    """Costs of grid rows, each counted once; uses the callable's own `batch` where it has one."""

    def __init__(self, macs: Macs) -> None:
        self._macs = macs
        self._grid: Grid | None = None
        self._known: dict[bytes, float] = {}

    def of_finished(self, grid: Grid, rows: Rows) -> NDArray[np.float64]:
        """Costs of finished trials' rows. Raises the callable's KeyError: such rows lack nothing."""
        costs = self(grid, rows)
        for row in rows[np.isnan(costs)][:1]:
            self._macs(grid.params(row))
        return costs

    def __call__(self, grid: Grid, rows: Rows) -> NDArray[np.float64]:
        """Costs of rows, shape (n, axes) -> (n,); NaN where the callable wants a parameter that a row lacks."""
        if grid is not self._grid:
            self._grid, self._known = grid, {}
        counted = self._macs.of_rows(grid, rows) if isinstance(self._macs, StagedMacs) else None
        if counted is not None:
            return counted
        names = keys(rows)
        new = {key: row for key, row in zip(names, rows, strict=True) if key not in self._known}
        if new:
            params = [grid.params(row) for row in new.values()]
            self._known.update(zip(new, self._count(params), strict=True))
        return np.array([self._known[key] for key in names])

    def _count(self, params: Sequence[Params]) -> list[float]:
        batch = getattr(self._macs, "batch", None)
        try:
            return [float(cost) for cost in (batch(params) if batch else map(self._macs, params))]
        except KeyError:
            # A branch of a conditional space that no trial has shown yet, or a trial that is still being told its own.
            return [float("nan")] if len(params) == 1 else [self._count([each])[0] for each in params]
