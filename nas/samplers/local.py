"""Samplers that move from good points to their neighbours: hill climbing and regularized evolution."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.figures.figure import Keeps
from nas.samplers.base import Feasible, Mark, Params
from nas.samplers.grid import INACTIVE, Rows, keys
from nas.samplers.history import History

RESTART_KEY = "scalenas:restart"
_TRIES = 200


@dataclass(frozen=True)
class RandomSearch:
    """Uniform points that keep the bounds."""

    feasible: Feasible | None = None
    multi_objective: bool = True

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows:  # noqa: ARG002
        return random_row(history, rng, self.feasible)


@dataclass(frozen=True)
class HillClimbing:
    """Stochastic first-improvement hill climbing with random restarts.

    Tries the neighbours of the current point (one parameter changed) in random order, moves to the first better one,
    and starts again at a random point when none is left untried. Which point is current is replayed from the history.
    """

    feasible: Feasible | None = None
    multi_objective: bool = False

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows:
        if not len(history.rows):
            return random_row(history, rng, self.feasible)
        current = history.rows[self._current(history)]
        # What a change calls for is drawn once for each point, or there would always be a neighbour left untried.
        settled = np.random.default_rng(current - INACTIVE)
        neighbours = history.conditions.settle(history.grid.neighbours(current), settled)
        fresh = first_fresh(history, neighbours[rng.permutation(len(neighbours))], self.feasible)
        if fresh is not None:
            return fresh
        mark(RESTART_KEY)
        return random_row(history, rng, self.feasible)

    def _current(self, history: History) -> int:
        current = 0
        for i, trial in enumerate(history.trials):
            if RESTART_KEY in trial.system_attrs or history.values[i, 0] > history.values[current, 0]:
                current = i
        return current


@dataclass(frozen=True)
class RegularizedEvolution:
    """Ageing evolution: the best of `sample` drawn from the last `population` finished trials, with one mutation.

    Source: Real et al. 2019, algorithm 1. A child that is known already is mutated afresh.
    """

    population: int = 50
    sample: int = 10
    feasible: Feasible | None = None
    multi_objective: bool = False

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows:  # noqa: ARG002
        if len(history.rows) < self.population:
            return random_row(history, rng, self.feasible)
        recent = np.arange(len(history.rows) - self.population, len(history.rows))
        drawn = rng.choice(recent, self.sample, replace=False)
        parent = history.rows[drawn[np.argmax(history.values[drawn, 0])]]
        neighbours = history.grid.neighbours(parent)
        if not len(neighbours):
            return random_row(history, rng, self.feasible)
        axis = (neighbours != parent).argmax(1)
        for _ in range(_TRIES):
            # First the parameter, then its value: every parameter is mutated equally often.
            options = neighbours[axis == rng.choice(np.unique(axis))]
            child = first_fresh(
                history, history.conditions.settle(options[[rng.integers(len(options))]], rng), self.feasible
            )
            if child is not None:
                return child
        return random_row(history, rng, self.feasible)


def allowed(history: History, rows: Rows, feasible: Feasible | None) -> NDArray[np.bool_]:
    """Which rows keep the hard bounds, shape (n,), as far as their parameters tell: `feasible` may want some that no
    trial has had yet. Raises its KeyError where it is not content with a finished trial's parameters either."""
    if feasible is None:
        return np.ones(len(rows), bool)
    params = [history.grid.params(row) for row in rows]
    if isinstance(feasible, Keeps):
        with contextlib.suppress(KeyError):  # one of them lacks a parameter: then each by itself
            return feasible.batch(params)
    return np.array([_is_allowed(history, each, feasible) for each in params], bool)


def _is_allowed(history: History, params: Params, feasible: Feasible) -> bool:
    try:
        return feasible(params)
    except KeyError:
        if len(history.rows):
            feasible(history.grid.params(history.rows[0]))
        return True


def may_be_asked(history: History, rows: Rows, feasible: Feasible | None) -> NDArray[np.bool_]:
    """Which rows are new and keep the hard bounds, shape (n,)."""
    asked = np.array([key not in history.seen for key in keys(rows)], bool)
    asked[asked] = allowed(history, rows[asked], feasible)
    return asked


def random_row(history: History, rng: np.random.Generator, feasible: Feasible | None) -> Rows:
    """A uniform row that is new and keeps the hard bounds. Where `_TRIES` draws find none: a new neighbour of a known
    row that keeps them, else such a row again, which costs no training; a row that breaks them only where none that
    keeps them is known."""
    rows = history.conditions.settle(history.grid.random(rng, _TRIES), rng)
    fresh = first_fresh(history, rows, feasible)
    if fresh is not None:
        return fresh
    known = rng.permutation(history.rows)
    kept = known[allowed(history, known, feasible)]
    for row in kept:
        near = history.conditions.settle(rng.permutation(history.grid.neighbours(row)), rng)
        fresh = first_fresh(history, near, feasible)
        if fresh is not None:
            return fresh
    return np.asarray(kept[0] if len(kept) else rows[0])


def first_fresh(history: History, rows: Rows, feasible: Feasible | None) -> Rows | None:
    """The first row that is new and keeps the hard bounds; None where none does.

    The bounds are looked at for 1, 2, 4 ... rows at a time: often the first will do, and many at once are faster.
    """
    begin, size = 0, 1
    while begin < len(rows):
        block = rows[begin : begin + size]
        kept = np.flatnonzero(may_be_asked(history, block, feasible))
        if len(kept):
            return np.asarray(block[kept[0]])
        begin, size = begin + size, 2 * size
    return None
