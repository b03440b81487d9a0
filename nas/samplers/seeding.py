"""Randomness that belongs to a trial: every draw is a function of (seed, trial number, what is drawn)."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

InnerFactory = Callable[[int, int], BaseSampler]
"""factory(seed, trial_number) -> a fresh sampler that lives for one question about one trial."""


def derive_seed(seed: int, number: int, label: str = "") -> int:
    """A 32-bit seed that depends on all three arguments and on nothing else, equal in every process."""
    words = [seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF, number, zlib.crc32(label.encode())]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def trial_rng(seed: int, number: int, label: str = "") -> np.random.Generator:
    """A generator for one purpose (`label`) within one trial."""
    return np.random.default_rng(derive_seed(seed, number, label))


def draw_independent(seed: int, study: Study, trial: FrozenTrial, name: str, distribution: BaseDistribution) -> Any:
    """A uniform draw of one parameter (log-uniform where the distribution says so)."""
    inner = RandomSampler(seed=derive_seed(seed, trial.number, name))
    return inner.sample_independent(study, trial, name, distribution)


class UniformSampler(BaseSampler):
    """Uniform draws. Optuna's own sampler seeds a generator for every parameter, which with forty of them is more than
    half of what a trial costs beside its training."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def infer_relative_search_space(self, *_: Any) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(self, *_: Any) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        values = _values(param_distribution)
        if values is None:
            return draw_independent(self._seed, study, trial, param_name, param_distribution)
        text = f"{self._seed} {trial.number} {param_name}".encode()
        return values[int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % len(values)]


def _values(distribution: BaseDistribution) -> Sequence[Any] | None:
    """The equally likely values of a parameter; None where they are not few and even."""
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices
    if isinstance(distribution, IntDistribution) and not distribution.log:
        return range(distribution.low, distribution.high + 1, distribution.step)
    return None


class SeededSampler(BaseSampler):
    """One of Optuna's samplers, made a function of the history, the seed and the trial's number.

    Optuna's samplers draw from a generator whose state is lost with the process, so that a search that goes on would
    repeat its first draws. Here a fresh inner sampler, seeded from (seed, trial number, parameter name), answers each
    question; what it must remember it finds in the study.
    """

    def __init__(self, seed: int, factory: InnerFactory) -> None:
        self._seed = seed
        self._factory = factory
        # Draws nothing; kept, so that its reading of the search space goes on from where it was.
        self._observer = factory(seed, 0)

    def _inner(self, trial: FrozenTrial, label: str = "") -> BaseSampler:
        return self._factory(derive_seed(self._seed, trial.number, label), trial.number)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._observer.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner(trial).sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._inner(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._inner(trial).before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        self._inner(trial).after_trial(study, trial, state, values)
