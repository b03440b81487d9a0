"""Search spaces: named choices and the architecture that one value of each stands for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution

from search_spaces.arch import ArchSpec, canonical
from search_spaces.spaces.choices import Choice, OneOf, Params, active, choices_of, decide


@dataclass(frozen=True)
class SearchSpace:
    """Independent choices and a pure function that turns one value of each into an architecture.

    `SearchSpace("mine", (Choice("depth", (1, 2, 3)), ...), decode)` is a space of which no more is known; one whose
    choices stand in a spec (`staged_space`) has its costs in tables, too. starts: members worth trying before any
    search, as parameters, of which those that make no difference may be missing. equal_macs: what all members cost,
    mostly within a twentieth and at most 1.1 times that; None where costs differ.
    """

    name: str
    choices: tuple[Choice, ...]
    decoder: Callable[[Params], ArchSpec]
    starts: tuple[Params, ...] = field(default=(), compare=False, kw_only=True)
    equal_macs: float | None = field(default=None, kw_only=True)

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
        """The row of indices of parameters, the inverse of `params`. Those that make no difference may be missing: they
        become 0. Raises KeyError where another is missing.
        """
        if len(params) < len(self.choices):
            self.active(params)
        return np.array(
            [choice.values.index(params[choice.name]) if choice.name in params else 0 for choice in self.choices]
        )

    def member(self, params: Params) -> ArchSpec:
        """As `decode`, but parameters that make no difference may be missing. Raises KeyError where another is."""
        return self.decode(self.params(self.indices(params)))

    def network_id(self, params: Params) -> str | None:
        """The id of the `member` of parameters; None where one that makes a difference is missing, or where they make
        no architecture."""
        try:
            return self.member(params).id
        except (KeyError, ValueError):
            return None

    def active(self, params: Params) -> set[str]:
        """Names of the choices that make a difference beside the values of the others: here all.

        Raises KeyError where one of them is missing.
        """
        for choice in self.choices:
            params[choice.name]
        return {choice.name for choice in self.choices}


@dataclass(frozen=True)
class StagedSpace(SearchSpace):
    """A space as data: `spec` is an architecture in whose fields choices may stand, at any depth (`staged_space`)."""

    spec: Any

    def active(self, params: Params) -> set[str]:
        """As in SearchSpace; choices in alternatives that are not taken make no difference."""
        return active(self.spec, params)

    @property
    def base(self) -> ArchSpec:
        """The network that the space is built around: the one given to `vary`; of several whole plans the first."""
        spec = self.spec
        while not isinstance(spec, ArchSpec):
            spec = spec.values[0] if isinstance(spec, OneOf) else spec.value
        return spec


def staged_space(name: str, spec: Any) -> StagedSpace:
    """The space of all architectures that `spec`, an ArchSpec with choices in it (`vary`, `OneOf`), may become.

    Its parameters are the choices in the order in which they are met. Each always has a value; those of alternatives
    that are not taken make no difference. Raises ValueError when one name has different labels in different places.
    """

    def decode(params: Params) -> ArchSpec:
        return canonical(decide(spec, params))

    return StagedSpace(name, choices_of(spec), decode, spec)


def size_in_words(space: SearchSpace) -> str:
    """Such as "432^7 = 2.8e+18 encodings": a factor for each stage's choices (`s1.kernel`, `s1.layers` ...)."""

    def group(choice: Choice) -> str:
        return choice.name.rpartition(".")[0]

    sizes = [math.prod(len(choice.values) for choice in own) for _, own in itertools.groupby(space.choices, group)]
    same = f"{sizes[0]}^{len(sizes)}" if len(set(sizes)) == 1 else " x ".join(map(str, sizes))
    return f"{same} = {space.size:.2g} encodings"
