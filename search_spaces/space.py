"""Search spaces: named choices and how they become an architecture."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from search_spaces.arch import ArchSpec, StageSpec, canonical

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """One parameter and its values. Evenly spaced integers are taken as ordered, anything else as categories."""

    name: str
    values: tuple[bool | int | float | str, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ValueError(f"choice {self.name!r} needs at least one value and no value twice")

    @property
    def distribution(self) -> BaseDistribution:
        """The same as Optuna says it."""
        integers = [value for value in self.values if type(value) is int]
        steps = {b - a for a, b in itertools.pairwise(integers)}
        if len(integers) == len(self.values) > 1 and len(steps) == 1 and min(steps) > 0:
            return IntDistribution(integers[0], integers[-1], step=steps.pop())
        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class SearchSpace:
    """Independent choices and a pure function that turns one value of each into an architecture.

    A space of one's own is one of these: `SearchSpace("mine", (Choice("depth", (1, 2, 3)), ...), decode)`.
    """

    name: str
    choices: tuple[Choice, ...]
    decoder: Callable[[Params], ArchSpec]

    @property
    def size(self) -> int:
        """The number of encodings."""
        return math.prod(len(choice.values) for choice in self.choices)

    def distributions(self) -> dict[str, BaseDistribution]:
        """The space as Optuna's `study.ask` takes it."""
        return {choice.name: choice.distribution for choice in self.choices}

    def decode(self, params: Params) -> ArchSpec:
        """The architecture of one value per choice. Raises ValueError, naming the choice, on a value it lacks."""
        for choice in self.choices:
            if choice.name not in params:
                raise ValueError(f"no value for choice {choice.name!r}")
            if params[choice.name] not in choice.values:
                raise ValueError(f"choice {choice.name!r} is one of {choice.values}, not {params[choice.name]!r}")
        return self.decoder(params)

    def neighbours(self, params: Params) -> Iterator[dict[str, Any]]:
        """All encodings that differ from `params` in exactly one choice."""
        for choice in self.choices:
            for value in choice.values:
                if value != params[choice.name]:
                    yield {**params, choice.name: value}

    def sample(self, rng: np.random.Generator, n: int) -> NDArray[np.int64]:
        """`n` uniform encodings as indices of values, shape (n, number of choices)."""
        sizes = [len(choice.values) for choice in self.choices]
        return rng.integers(0, sizes, size=(n, len(sizes)))

    def params(self, indices: NDArray[np.int64]) -> dict[str, Any]:
        """The parameters of one row of indices."""
        return {choice.name: choice.values[i] for choice, i in zip(self.choices, indices, strict=True)}

    def indices(self, params: Params) -> NDArray[np.int64]:
        """The row of indices of parameters; the inverse of `params`."""
        return np.array([choice.values.index(params[choice.name]) for choice in self.choices])


@dataclass(frozen=True)
class StageChoices:
    """One stage's choices (short names, without the stage's prefix) and the StageSpec that they stand for."""

    choices: tuple[Choice, ...]
    spec: Callable[[Params], StageSpec]


@dataclass(frozen=True)
class StagedSpace(SearchSpace):
    """A space whose every choice belongs to one stage: costs then add up over stages and can be tabled.

    Parameters are named `s1.kernel`, `s2.kernel` ...
    """

    base: ArchSpec
    stages: tuple[StageChoices, ...]

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """Which columns of an index row belong to each stage."""
        ends = np.cumsum([len(stage.choices) for stage in self.stages]).tolist()
        return tuple(slice(a, b) for a, b in itertools.pairwise([0, *ends]))


def staged_space(name: str, base: ArchSpec, stages: tuple[StageChoices, ...]) -> StagedSpace:
    """The space of `base` with its stages replaced by every combination of `stages`."""
    choices = tuple(
        Choice(f"s{i}.{choice.name}", choice.values) for i, stage in enumerate(stages, 1) for choice in stage.choices
    )

    def decode(params: Params) -> ArchSpec:
        specs = (
            stage.spec({choice.name: params[f"s{i}.{choice.name}"] for choice in stage.choices})
            for i, stage in enumerate(stages, 1)
        )
        return canonical(replace(base, stages=tuple(specs)))

    return StagedSpace(name, choices, decode, base, stages)
