"""Costs of many encodings at once: tables filled by the same fold that counts single networks."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from search_spaces.arch import StageSpec
from search_spaces.cost import Cost, Shape, input_shape, layer_cost
from search_spaces.ops import head_layers, stage_layers, stem_layers
from search_spaces.space import StageChoices, StagedSpace

Costs = NDArray[np.int64]


@dataclass(frozen=True)
class CostTable:
    """MACs and parameters of a staged space's encodings by table look-up.

    A stage's cost depends on its own choices and on the channels it gets, that is on the stage before; so each stage
    has one table over (channels in, own choices), and a network's cost is a sum of look-ups.
    """

    space: StagedSpace
    fixed: Costs
    stages: tuple[Costs, ...]
    channels: tuple[NDArray[np.int64], ...]
    head: Costs

    def count(self, indices: NDArray[np.int64]) -> Costs:
        """Costs of rows of value indices, shape (n, choices) -> (n, 2): MACs and parameters."""
        total = np.broadcast_to(self.fixed, (len(indices), 2)).copy()
        inputs = np.zeros(len(indices), np.int64)
        for stage, columns, table, channels in zip(
            self.space.stages, self.space.columns, self.stages, self.channels, strict=True
        ):
            sizes = tuple(len(choice.values) for choice in stage.choices)
            own = np.ravel_multi_index(tuple(indices[:, columns].T), sizes)
            total += table[inputs, own]
            inputs = channels[own]
        total += self.head[inputs]
        return total


def cost_table(space: StagedSpace, num_classes: int = 1000) -> CostTable:
    """Fill the tables of a space at its own resolution."""
    base = space.base
    fixed, shape = layer_cost(stem_layers(base), input_shape(base))
    incoming = [base.stem.channels]
    size = shape.size
    tables, outgoing = [], []
    for stage in space.stages:
        table, channels, size = _stage_table(space, stage, incoming, size)
        distinct, index = np.unique(channels, return_inverse=True)
        incoming = distinct.tolist()
        tables.append(table)
        outgoing.append(index)
    head = [_row(layer_cost(head_layers(base, num_classes), Shape(channels, size))[0]) for channels in incoming]
    return CostTable(space, np.array(_row(fixed)), tuple(tables), tuple(outgoing), np.array(head))


def _stage_table(
    space: StagedSpace, stage: StageChoices, incoming: list[int], size: int
) -> tuple[Costs, NDArray[np.int64], int]:
    """The table (channels in, own choices, 2), the channels out of every combination, and the map's size after.

    Blocks are folded once each: all blocks of a stage but the first cost the same, whatever comes in.
    """
    names = [choice.name for choice in stage.choices]
    combinations = itertools.product(*(choice.values for choice in stage.choices))
    specs = [stage.spec(dict(zip(names, values, strict=True))) for values in combinations]

    @cache
    def block(spec: StageSpec, channels: int, side: int) -> tuple[Costs, int]:
        cost, shape = layer_cost(stage_layers(space.base, spec, channels), Shape(channels, side))
        return np.array(_row(cost)), shape.size

    def row(channels: int) -> Costs:
        costs = []
        for spec in specs:
            single = replace(spec, layers=1)
            first, after = block(single, channels, size)
            more = spec.layers - 1
            costs.append(first + more * block(replace(single, stride=1), spec.channels, after)[0] if more else first)
        return np.array(costs)

    after = block(replace(specs[0], layers=1), incoming[0], size)[1]
    return np.array([row(channels) for channels in incoming]), np.array([spec.channels for spec in specs]), after


def _row(cost: Cost) -> tuple[int, int]:
    return cost.macs, cost.params
