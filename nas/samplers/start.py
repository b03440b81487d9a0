"""Known good points before the first suggestions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState


class StartWith(BaseSampler):
    """The sampler `inner`, but the first trials of a study get the parameters `starts`, in their order.

    A search that begins at random spends its first trials on a lottery. Whatever a start does not name is drawn by
    the inner sampler, which sees the starts' results like any others.
    """

    def __init__(self, inner: BaseSampler, starts: Sequence[Mapping[str, Any]]) -> None:
        self._inner = inner
        self._starts = tuple(starts)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        if trial.number < len(self._starts):
            return {}
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if trial.number < len(self._starts):
            return {}
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        start = self._starts[trial.number] if trial.number < len(self._starts) else {}
        if param_name in start:
            return start[param_name]
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner.before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner.after_trial(study, trial, state, values)
