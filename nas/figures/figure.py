"""A figure of a network: whatever is known of it without training it, or measured once."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from search_spaces import ArchSpec, SearchSpace
from search_spaces.spaces.choices import Params

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

_MOST_KEPT = 1 << 16  # values of one `InSpace`
_LARGE = 1e5


class Figure(Protocol):
    """One figure of networks. Its classes are this one's children, for the methods that are the same in most of them,
    but anything that has all of these will do. It must be hashable; two that give the same values should be equal, as
    frozen dataclasses are.

    name: under which it is asked for and stored. unit: of its values; "" where they are counts, or nobody says. words:
    for people, as on an axis. how: how a value is got, all that it depends on beside the network and the data set: two
    figures with one `how` have one value of a network, and a run never mixes two.
    """

    @property
    def name(self) -> str: ...

    @property
    def unit(self) -> str:
        return ""

    @property
    def words(self) -> str: ...

    @property
    def how(self) -> str:
        return self.words

    @property
    def noun(self) -> str:
        """What there are so many of, for people."""
        return self.unit or self.name

    def number(self, value: float) -> str:
        """A value without its unit, for people: counts, and what is as large, to the last digit."""
        return f"{value:,.0f}" if value >= _LARGE or float(value).is_integer() else f"{value:,.6g}"

    def of(self, arch: ArchSpec) -> float:
        """The value of one network. Raises ValueError where there is none."""
        ...

    def exact(self, arch: ArchSpec) -> float:
        """The value of one of the few networks that are looked at closely: measured where `of` predicts."""
        return self.of(arch)

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        """The values of encodings, given as rows of value indices, shape (n, choices) -> (n,); NaN where a row makes no
        network, or one without a value.
        """
        values = np.full(len(rows), np.nan)
        for place, arch in members(space, rows).items():
            with contextlib.suppress(ValueError):
                values[place] = self.of(arch)
        return values


def members(space: SearchSpace, rows: Rows) -> dict[int, ArchSpec]:
    """The networks of rows of value indices, each by its place; without those rows that make none."""
    found = {}
    for place, row in enumerate(rows):
        with contextlib.suppress(ValueError):
            found[place] = space.decode(space.params(row))
    return found


@dataclass(frozen=True, eq=False)
class InSpace:
    """A figure of the networks of one space by their parameters: called with one dict, or with many rows.

    This is how samplers get to know what networks cost. A value is asked for once, but where thousands came between.
    """

    figure: Figure
    space: SearchSpace
    _known: dict[bytes, float] = field(default_factory=dict, init=False, repr=False)

    def __call__(self, params: Params) -> float:
        """The value of one encoding; NaN where it makes no network. Raises KeyError where a choice is missing."""
        return float(self.of_rows(self.space.indices(params)[None])[0])

    def of_rows(self, rows: Rows) -> Floats:
        """The values of rows of value indices, shape (n, choices) -> (n,); NaN where a row makes no network."""
        keys = [row.tobytes() for row in np.ascontiguousarray(rows, np.int64)]
        new = {key: row for key, row in zip(keys, rows, strict=True) if key not in self._known}
        if new:
            if len(self._known) + len(new) > _MOST_KEPT:
                self._known.clear()
                new = dict(zip(keys, rows, strict=True))
            values = self.figure.of_rows(self.space, np.array(list(new.values())))
            self._known.update(zip(new, values.tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


@dataclass(frozen=True, eq=False)
class Keeps:
    """Whether a dict of parameters has none of the figures above its limit, as samplers ask it; or many dicts at once,
    which is faster. Raises KeyError where a choice is missing."""

    limits: Sequence[tuple[InSpace, float]]

    def __call__(self, params: Params) -> bool:
        return bool(self.batch([params])[0])

    def batch(self, many: Sequence[Params]) -> NDArray[np.bool_]:
        """The answers for all of them, shape (n,)."""
        kept = np.ones(len(many), bool)
        for figure, most in self.limits:
            left = np.flatnonzero(kept)
            if len(left):
                rows = np.array([figure.space.indices(many[i]) for i in left.tolist()])
                kept[left] = figure.of_rows(rows) <= most
        return kept


def keeps(limits: Sequence[tuple[InSpace, float]]) -> Keeps | None:
    """The bounds as samplers ask for them; None without limits."""
    return Keeps(limits) if limits else None
