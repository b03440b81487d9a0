"""Costs of many encodings at once: tables over a space's spec, filled by the same fold that counts single networks.

A network's cost is a sum over stem, stages and head. A stage's cost depends on its own choices and on the shape that
comes in, so each stage of the spec has one table over both, which also says the shape that goes out. Choices outside of
stages (resolution, stem, head, which stages there are) are made first; each combination of them that is asked for is a
plan: a stem, a sequence of stage tables, a head.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.arch import ArchSpec
from search_spaces.assembly import head_layers, stem_layers
from search_spaces.cost import input_shape, layer_cost
from search_spaces.spaces.choices import OneOf, Varied, choices_of, decide, nodes
from search_spaces.spaces.space import StagedSpace
from search_spaces.spaces.stage_table import Costs, Rows, StageTables, present

_WIDEST = 2**20
"""Entries that a stage's table may have for one shape; of a stage with more, some choices are made first, too."""


@dataclass(frozen=True, eq=False)
class CostTable:
    """MACs and parameters of a space's encodings by table look-up. Tables fill as rows ask for their entries."""

    space: StagedSpace
    num_classes: int

    def count(self, indices: Rows) -> Costs:
        """Costs of rows of value indices, shape (n, choices) -> (n, 2): MACs and parameters.

        Raises ValueError when a row makes no network, or one whose layers do not fit together.
        """
        total = np.empty((len(indices), 2), np.int64)
        for members in _groups(indices[:, self._early]):
            total[members] = self._plan_of(indices[members][0]).count(indices[members])
        return total

    @cached_property
    def _early(self) -> list[int]:
        """Columns of the choices that are made first."""
        names = early_choices(self.space.spec)
        return [i for i, choice in enumerate(self.space.choices) if choice.name in names]

    @cached_property
    def _plans(self) -> dict[tuple[int, ...], _Plan]:
        return {}

    @cached_property
    def _tables(self) -> StageTables:
        return StageTables(self.space.choices)

    def _plan_of(self, row: NDArray[np.int64]) -> _Plan:
        key = tuple(row[self._early].tolist())
        if key not in self._plans:
            params = self.space.params(row)
            early = [self.space.choices[i].name for i in self._early]
            spec = decide(self.space.spec, {name: params[name] for name in early})
            self._plans[key] = _Plan(decide(spec, params), _stages_of(spec), self._tables, self.num_classes)
        return self._plans[key]


def cost_table(space: StagedSpace, num_classes: int = 1000) -> CostTable:
    """The tables of a space, for classifiers of `num_classes` classes."""
    return CostTable(space, num_classes)


class _Plan:
    """A stem, stage tables and a head. `member` is any network of the plan: all of them have its stem and head."""

    def __init__(self, member: ArchSpec, stages: tuple[Any, ...], tables: StageTables, num_classes: int) -> None:
        fixed, shape = layer_cost(stem_layers(member), input_shape(member))
        self._fixed = np.array([fixed.macs, fixed.params])
        self._shapes = tables.shapes
        self._first = self._shapes.index(shape)
        self._stages = [tables.of(member, stage) for stage in stages]
        self._head = head_layers(member, num_classes)
        self._heads: dict[int, tuple[int, int]] = {}

    def count(self, indices: Rows) -> Costs:
        """Costs of rows of this plan."""
        total = np.broadcast_to(self._fixed, (len(indices), 2)).copy()
        shapes = np.full(len(indices), self._first)
        for stage in self._stages:
            costs, shapes = stage.look_up(indices, shapes)
            total += costs
        heads = np.zeros((len(self._shapes), 2), np.int64)
        for shape in present(shapes):
            heads[shape] = self._head_cost(shape)
        total += heads[shapes]
        return total

    def _head_cost(self, shape: int) -> tuple[int, int]:
        if shape not in self._heads:
            cost = layer_cost(self._head, self._shapes[shape])[0]
            self._heads[shape] = cost.macs, cost.params
        return self._heads[shape]


def early_choices(spec: Any) -> set[str]:
    """Names of the choices of an ArchSpec that stand outside of its stages, or in a stage that has very many."""
    if isinstance(spec, OneOf):
        return {spec.name}.union(*map(early_choices, spec.values))
    if not isinstance(spec, Varied):
        return set()
    outside = {node.name for name, value in spec.fields if name != "stages" for node in nodes(value)}
    return outside | _early_in_stages(_stages_of(spec))


def _early_in_stages(spec: Any) -> set[str]:
    """The same of one place among the stages, or of a tuple of them."""
    if isinstance(spec, tuple):
        return set().union(*map(_early_in_stages, spec))
    if _is_several(spec):
        return {spec.name}.union(*map(_early_in_stages, spec.values))
    choices = choices_of(spec)
    first = 0
    while math.prod(len(choice.values) for choice in choices[first:]) > _WIDEST:
        first += 1
    return {choice.name for choice in choices[:first]}


def _is_several(spec: Any) -> bool:
    """Whether a place among the stages may become none or several of them."""
    return isinstance(spec, OneOf) and any(isinstance(value, tuple) or _is_several(value) for value in spec.values)


def _stages_of(spec: ArchSpec | Varied) -> Any:
    return dict(spec.fields).get("stages", spec.value.stages) if isinstance(spec, Varied) else spec.stages


def _groups(columns: Rows) -> Iterator[Any]:
    """What picks the rows that are equal, for each group of them."""
    if not len(columns):
        return
    if not columns.shape[1]:
        yield slice(None)
        return
    group = np.zeros(len(columns), np.int64)
    for column in columns.T:
        group = np.unique(group * (column.max() + 1) + column, return_inverse=True)[1]
    order = np.argsort(group, kind="stable")
    yield from np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
