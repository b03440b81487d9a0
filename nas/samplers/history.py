"""What a study knows, as arrays: the only thing, beside a seed, that our samplers' suggestions depend on."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.samplers.conditions import Conditions, learn_conditions
from nas.samplers.grid import Grid, Rows, keys, make_grid
from nas.study.pruning import EXPECTED_SCORE

_ROWS_TO_LEARN_FROM = 500  # enough for rules that few of them show

Values = NDArray[np.float64]
Active = Callable[[Mapping[str, Any]], Collection[str]]
"""active(params) -> the names of those that make a difference beside the values of the others."""
SUGGESTED_KEY = "scalenas:suggested"
"""Trial system attribute, in conditional spaces: the parameters that were suggested, of which the objective may have
asked for some only."""


@dataclass(frozen=True, eq=False)
class History:
    """The other trials of a study, in the order in which they finished.

    rows (n, axes) and values (n, objectives), larger is better, belong to `trials`; pending and bad are rows of
    running trials with any parameter set, and of trials that failed or were pruned; suggested are rows as they were
    suggested, where that is noted (see SUGGESTED_KEY). Among `trials` are those that were
    stopped early where it is known what they would have come to (see nas.study.pruning). known_conditions: None where
    they have to be read off the trials.
    """

    grid: Grid
    trials: tuple[FrozenTrial, ...]
    rows: Rows
    values: Values
    pending: Rows
    bad: Rows
    suggested: Rows
    known_conditions: Conditions | None = None

    @cached_property
    def seen(self) -> set[bytes]:
        """Keys of all rows that need not be suggested again."""
        return {*keys(self.rows), *keys(self.pending), *keys(self.bad), *keys(self.suggested)}

    @cached_property
    def conditions(self) -> Conditions:
        """Which parameters make a difference only with certain values of others."""
        return self.known_conditions or learn_conditions(self.grid, self.rows)


@dataclass
class _Read:
    """What has been read of one study: its finished trials by kind, and its parameters."""

    ended: set[int] = field(default_factory=set)
    known: list[FrozenTrial] = field(default_factory=list)
    estimated: list[FrozenTrial] = field(default_factory=list)
    bad: list[FrozenTrial] = field(default_factory=list)
    suggested: list[FrozenTrial] = field(default_factory=list)
    space: dict[str, BaseDistribution] = field(default_factory=dict)
    latest: dict[str, int] = field(default_factory=dict)  # the trial that the distribution in `space` is of
    places: dict[str, tuple[int, int]] = field(default_factory=dict)  # the first trial that had a parameter, and where
    grid: Grid = field(default_factory=lambda: Grid(()))
    rows: dict[int, Rows] = field(default_factory=dict)
    conditions: Conditions | None = None


class HistoryReader:
    """Reads histories; remembers finished trials, which never change, between two readings.

    active: which parameters matter, where a trial has more (see `SearchSpace.active`); the others are read as missing.
    """

    def __init__(self, active: Active | None = None) -> None:
        self._study = ""
        self._read = _Read()
        self._active = active

    def space(self, study: Study, number: int) -> dict[str, BaseDistribution]:
        """The union of all parameters that other trials than `number` have had, in the order of those trials' numbers;
        a running trial's, then the latest distribution counts."""
        running = self._update(study, number)
        found = dict(self._read.space)
        for trial in running:
            found.update(trial.distributions)
            self._place(trial)
        return {name: found[name] for name in sorted(found, key=self._read.places.__getitem__)}

    def read(self, study: Study, number: int, space: dict[str, BaseDistribution], *, estimates: bool = True) -> History:
        """The history as trial `number` sees it. estimates: with trials that were stopped early among its `trials`."""
        running = self._update(study, number)
        grid = make_grid(space)
        if grid != self._read.grid:
            self._read.grid, self._read.rows = grid, {}
            self._read.conditions = self._conditions(grid)
        done = sorted([*self._read.known, *(self._read.estimated if estimates else ())], key=_finished)
        pending = [trial.params for trial in running if trial.params]
        suggested = [t.system_attrs[SUGGESTED_KEY] for t in (*self._read.suggested, *filter(_is_suggested, running))]
        return History(
            grid=self._read.grid,
            trials=tuple(done),
            rows=self._stack(done),
            values=_values(study, done),
            pending=_matrix([self._row(params) for params in pending], grid),
            bad=self._stack(self._read.bad),
            suggested=_matrix([self._row(params) for params in suggested], grid),
            known_conditions=self._read.conditions,
        )

    def _update(self, study: Study, number: int) -> list[FrozenTrial]:
        """Take in what has ended since the last reading; the trials that are still running."""
        if study.study_name != self._study:
            self._study, self._read = study.study_name, _Read()
        running = []
        for trial in study.get_trials(deepcopy=False):
            if trial.number in self._read.ended or trial.number == number:
                continue
            if trial.state.is_finished():
                self._read.ended.add(trial.number)
                self._place(trial)
                for trials, belongs in (
                    (self._read.known, _is_known),
                    (self._read.estimated, _is_estimated),
                    (self._read.bad, _is_bad),
                    (self._read.suggested, _is_suggested),
                ):
                    if belongs(trial):
                        trials.append(trial)
            else:
                running.append(trial)
        return running

    def _place(self, trial: FrozenTrial) -> None:
        """Note where parameters stand, and of a finished trial their distributions; the highest number's count, in
        whatever order trials are read."""
        for i, (name, distribution) in enumerate(trial.distributions.items()):
            self._read.places[name] = min(self._read.places.get(name, (trial.number, i)), (trial.number, i))
            if trial.state.is_finished() and trial.number >= self._read.latest.get(name, -1):
                self._read.latest[name] = trial.number
                self._read.space[name] = distribution

    def _conditions(self, grid: Grid) -> Conditions | None:
        """Where it is known which parameters matter, the rules of that, read off random rows."""
        if self._active is None:
            return None
        rows = [self._row(grid.params(row)) for row in grid.random(np.random.default_rng(0), _ROWS_TO_LEARN_FROM)]
        return learn_conditions(grid, _matrix(rows, grid))

    def _row(self, params: Mapping[str, Any]) -> Rows:
        if self._active is not None:
            try:
                named = self._active(params)
            except (ValueError, KeyError):  # a value of an earlier version of the space, or suggested in part
                return self._read.grid.row(params)
            params = {name: value for name, value in params.items() if name in named}
        return self._read.grid.row(params)

    def _stack(self, trials: Sequence[FrozenTrial]) -> Rows:
        for trial in trials:
            if trial.number not in self._read.rows:
                self._read.rows[trial.number] = self._row(trial.params)
        return _matrix([self._read.rows[trial.number] for trial in trials], self._read.grid)


def _matrix(rows: Sequence[Rows], grid: Grid) -> Rows:
    return np.array(rows, np.int64).reshape(len(rows), len(grid.axes))


def _is_known(trial: FrozenTrial) -> bool:
    return (
        trial.state == TrialState.COMPLETE
        and bool(trial.params)
        and all(math.isfinite(value) for value in trial.values)
    )


def _is_estimated(trial: FrozenTrial) -> bool:
    return trial.state == TrialState.PRUNED and bool(trial.params) and EXPECTED_SCORE in trial.user_attrs


def _is_bad(trial: FrozenTrial) -> bool:
    """Trials that ended without an answer, but for a crash, which may have had nothing to do with the network."""
    if trial.state == TrialState.COMPLETE:
        return bool(trial.params) and not _is_known(trial)
    ended = trial.state in (TrialState.FAIL, TrialState.PRUNED)
    return ended and bool(trial.params) and trial.user_attrs.get("failure_kind") != "crashed"


def _is_suggested(trial: FrozenTrial) -> bool:
    return SUGGESTED_KEY in trial.system_attrs and trial.user_attrs.get("failure_kind") != "crashed"


def _finished(trial: FrozenTrial) -> tuple[float, int]:
    when = trial.datetime_complete
    return (when.timestamp() if when else 0.0, trial.number)


def _values(study: Study, trials: Sequence[FrozenTrial]) -> Values:
    signs = np.array([1.0 if d == StudyDirection.MAXIMIZE else -1.0 for d in study.directions])
    values = [[trial.user_attrs[EXPECTED_SCORE]] if _is_estimated(trial) else trial.values for trial in trials]
    told: Values = np.array(values, float).reshape(-1, len(signs))
    told *= signs
    return told
