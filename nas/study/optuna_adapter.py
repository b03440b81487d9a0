"""All that is used of Optuna without being part of its public interface: what an upgrade has to be checked for.

The versions it holds for are bounded in pyproject.toml; tests/nas/study/test_optuna_adapter.py names each of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import QMCSampler, RandomSampler
from optuna.storages.journal._storage import JournalOperation
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial

__all__ = ["JournalOperation", "QMCAt", "as_stored", "backend_of", "go_on_with", "set_system_attr"]


def as_stored(study: Study, trial: Trial) -> FrozenTrial:
    """All that the study holds of a trial now."""
    return study._storage.get_trial(trial._trial_id)


def go_on_with(study: Study, frozen: FrozenTrial, distributions: Mapping[str, BaseDistribution]) -> Trial:
    """A trial that was asked for and not told, to be told after all: under its own number, with its own parameters;
    those not stored yet are drawn as they would have been then."""
    trial = Trial(study, frozen._trial_id)
    for name, distribution in distributions.items():
        trial._suggest(name, distribution)
    return trial


def set_system_attr(study: Study, trial: FrozenTrial | Trial, key: str, value: Any) -> None:
    """Note something beside what users see."""
    study._storage.set_trial_system_attr(trial._trial_id, key, value)


def backend_of(study: Study) -> object | None:
    """The journal behind a study that is kept in one."""
    return getattr(study._storage, "_backend", None)


class QMCAt(QMCSampler):
    """One point of a scrambled Sobol sequence, the same however often it is asked for.

    Optuna counts the points that were drawn in the study, so that a question asked twice skips one.
    """

    def __init__(self, seed: int, others: RandomSampler, number: int) -> None:
        """others: draws the parameters that the sequence does not have. number: of the point."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            super().__init__(scramble=True, seed=seed, independent_sampler=others, warn_independent_sampling=False)
        self._number = number

    def _find_sample_id(self, study: Study, search_space: dict[str, BaseDistribution]) -> int:  # noqa: ARG002
        return self._number
