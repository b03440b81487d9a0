"""The one Optuna sampler behind all of ours: it reads the history and asks a strategy for a row."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.samplers.grid import INACTIVE, Rows
from nas.samplers.history import SUGGESTED_KEY, Active, History, HistoryReader
from nas.samplers.seeding import draw_independent, trial_rng
from nas.study.optuna_adapter import set_system_attr

Params = Mapping[str, Any]
Feasible = Callable[[Params], bool]
Network = Callable[[Params], str | None]
"""A name of the network that parameters become, since different ones may become the same; None where none is known."""


class Mark(Protocol):
    """mark(key): store a system attribute `key` = True on the trial that is being suggested."""

    def __call__(self, key: str) -> None: ...


class Strategy(Protocol):
    """A rule for the next row. Must be a function of its arguments; whatever it keeps is a cache."""

    @property
    def multi_objective(self) -> bool: ...

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows: ...


class HistorySampler(BaseSampler):
    """Suggests by `strategy` once any other trial has shown the search space; before, and for parameters that no other
    trial has had, draws are uniform.

    Conditional parameters are allowed: the suggested row covers what the strategy believes to be active, Optuna takes
    of it what the objective asks for, and draws the rest uniformly. Where trials have parameters that make no
    difference, `active` says which do.
    """

    def __init__(self, seed: int, strategy: Strategy, active: Active | None = None) -> None:
        self._seed = seed
        self._strategy = strategy
        self._reader = HistoryReader(active)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._reader.space(study, trial.number)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._check(study)
        if not search_space:
            return {}
        history = self._reader.read(study, trial.number, search_space)

        def note(key: str, value: Any = True) -> None:
            set_system_attr(study, trial, key, value)

        row = self._strategy.suggest(history, trial_rng(self._seed, trial.number), note)
        params = history.grid.params(row)
        if (history.rows == INACTIVE).any():
            note(SUGGESTED_KEY, params)
        return params

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        self._check(study)
        return draw_independent(self._seed, study, trial, param_name, param_distribution)

    def _check(self, study: Study) -> None:
        if not self._strategy.multi_objective and len(study.directions) > 1:
            name = type(self._strategy).__name__
            raise ValueError(f"{name} searches for one objective; this study has {len(study.directions)}")
