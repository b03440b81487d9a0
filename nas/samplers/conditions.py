"""Which parameters a study has only with certain values of others, as far as its trials show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.samplers.grid import INACTIVE, Grid, Rows


@dataclass(frozen=True, eq=False)
class Rule:
    """Parameter `axis` was asked for exactly where axis `by` had one of the levels that `active` marks, shape
    (levels + 1,), the last for an inactive `by`. Levels that no trial has had count as active."""

    axis: int
    by: int
    active: NDArray[np.bool_]


@dataclass(frozen=True)
class Conditions:
    """The rules of a conditional space, each after those it builds on; none where every trial had every parameter."""

    grid: Grid
    rules: tuple[Rule, ...]

    def settle(self, rows: Rows, rng: np.random.Generator) -> Rows:
        """Rows, shape (n, axes), as an objective would take them: parameters that it would not ask for inactive, and a
        random level for those that it would. Otherwise one network would go by many names, each of them new."""
        if not self.rules:
            return rows
        rows = rows.copy()
        for rule in self.rules:
            level = rows[:, rule.axis]
            drawn = rng.integers(0, self.grid.sizes[rule.axis], len(rows))
            asked = rule.active[_levels(self.grid, rows, rule.by)]
            rows[:, rule.axis] = np.where(asked, np.where(level >= 0, level, drawn), INACTIVE)
        return rows


def learn_conditions(grid: Grid, rows: Rows) -> Conditions:
    """The simplest rules that all `rows` of finished trials keep.

    What decides must have had each of its values about twice, or it would explain anything. Of the parameters that
    could decide about another, one that every trial had comes before one that is conditional itself, then one with few
    different levels, then the earlier; a parameter about which no single other decides is taken to be always asked for.
    """
    missing = (rows == INACTIVE).sum(0)
    conditional = [axis for axis in range(len(grid.axes)) if 0 < missing[axis] < len(rows)]
    variety = [len(np.unique(rows[:, axis])) for axis in range(len(grid.axes))]
    able = [by for by in range(len(grid.axes)) if 2 * variety[by] <= len(rows)]
    deciders = sorted(able, key=lambda by: (missing[by] > 0, variety[by], by))
    rules: list[Rule] = []
    # A parameter is missing at least as often as the one that decides about it.
    for axis in sorted(conditional, key=lambda axis: (missing[axis], axis)):
        earlier = {rule.axis for rule in rules}
        for by in deciders:
            if by != axis and (not missing[by] or by in earlier):
                rule = _rule(grid, rows, axis, by)
                if rule is not None:
                    rules.append(rule)
                    break
    return Conditions(grid, tuple(rules))


def _rule(grid: Grid, rows: Rows, axis: int, by: int) -> Rule | None:
    at = _levels(grid, rows, by)
    asked = np.bincount(at, rows[:, axis] >= 0, int(grid.sizes[by]) + 1)
    seen = np.bincount(at, minlength=int(grid.sizes[by]) + 1)
    clear = ((asked == 0) | (asked == seen)).all()
    return Rule(axis, by, (asked > 0) | (seen == 0)) if clear else None


def _levels(grid: Grid, rows: Rows, axis: int) -> Rows:
    """Levels of one axis with a number of its own, the last, for inactive."""
    return np.where(rows[:, axis] >= 0, rows[:, axis], grid.sizes[axis])
