"""What one stage of a space costs, for every shape that comes in and every combination of the stage's choices."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from search_spaces.arch import ArchSpec
from search_spaces.assembly import stage_layers
from search_spaces.cost import Shape, layer_cost
from search_spaces.ops import Stage
from search_spaces.spaces.choices import Choice, choices_of, decide

Costs = NDArray[np.int64]
"""MACs and parameters, shape (n, 2)."""

Rows = NDArray[np.int64]
"""Indices of values, shape (n, choices of the space)."""

Numbers = NDArray[np.int64]
"""The number of a shape in `Shapes`, for every row, shape (n,)."""

_APART = ("stages", "stem", "head", "resolution", "input_channels")
"""Fields of a network that its single stages do not depend on, but for the shape that comes in."""


class Shapes:
    """Shapes by number, in the order in which they are met."""

    def __init__(self) -> None:
        self._numbers: dict[Shape, int] = {}
        self._shapes: list[Shape] = []

    def __len__(self) -> int:
        return len(self._shapes)

    def __getitem__(self, number: int) -> Shape:
        return self._shapes[number]

    def index(self, shape: Shape) -> int:
        """The shape's number; a new one where it is met for the first time."""
        if shape not in self._numbers:
            self._numbers[shape] = len(self._shapes)
            self._shapes.append(shape)
        return self._numbers[shape]


class StageTables:
    """The tables of all stages of a space with these `choices`; equal stages of several plans share one."""

    def __init__(self, choices: tuple[Choice, ...]) -> None:
        self.shapes = Shapes()
        self._choices = choices
        self._blocks: dict[tuple[Any, ...], _Blocks] = {}
        self._tables: dict[tuple[Any, ...], StageTable] = {}

    def of(self, arch: ArchSpec, stage: Any) -> StageTable:
        """The table of `stage`, a stage with choices in it, in networks like `arch`."""
        like = tuple(getattr(arch, field.name) for field in dataclasses.fields(arch) if field.name not in _APART)
        if (like, stage) not in self._tables:
            blocks = self._blocks.setdefault(like, _Blocks(arch))
            self._tables[like, stage] = StageTable(stage, self._choices, blocks, self.shapes)
        return self._tables[like, stage]


class StageTable:
    """Costs of a stage and the shape that leaves it, over (shape that comes in, own choices); filled when asked for."""

    def __init__(self, stage: Any, choices: tuple[Choice, ...], blocks: _Blocks, shapes: Shapes) -> None:
        own = {choice.name for choice in choices_of(stage)}
        self._stage = stage
        self._columns = [i for i, choice in enumerate(choices) if choice.name in own]
        self._choices = [choices[i] for i in self._columns]
        self._sizes = [len(choice.values) for choice in self._choices]
        self._blocks = blocks
        self._shapes = shapes
        self._runs: dict[int, _Run] = {}
        self._incoming: list[int] = []
        self._costs = np.zeros((0, 2), np.int64)
        self._after = np.zeros(0, np.int64)

    def look_up(self, rows: Rows, incoming: Numbers) -> tuple[Costs, Numbers]:
        """Costs of rows that get these shapes, and the shapes that leave."""
        entries = self._starts(incoming)[incoming]
        if self._columns:
            entries += np.ravel_multi_index(tuple(rows[:, self._columns].T), self._sizes)
        after = self._after[entries]
        missing = np.unique(entries[after < 0])
        if len(missing):
            for entry in missing.tolist():
                self._fill(entry)
            after = self._after[entries]
        return self._costs[entries], after

    def _starts(self, incoming: Numbers) -> NDArray[np.int64]:
        """Where the entries of each shape begin, by its number."""
        combinations = math.prod(self._sizes)
        for shape in present(incoming):
            if shape not in self._incoming:
                self._incoming.append(shape)
                self._costs = np.concatenate([self._costs, np.zeros((combinations, 2), np.int64)])
                self._after = np.concatenate([self._after, np.full(combinations, -1)])
        starts = np.zeros(len(self._shapes), np.int64)
        starts[self._incoming] = combinations * np.arange(len(self._incoming))
        return starts

    def _fill(self, entry: int) -> None:
        place, own = divmod(entry, math.prod(self._sizes))
        if own not in self._runs:
            self._runs[own] = self._run(own)
        run, shape = self._runs[own], self._shapes[self._incoming[place]]
        run.stage.check("", shape.channels)
        *costs, after = self._blocks.cost(run, shape)
        self._costs[entry] = costs
        self._after[entry] = self._shapes.index(after)

    def _run(self, own: int) -> _Run:
        """The stage of a combination of own choices."""
        indices = np.unravel_index(own, self._sizes) if self._sizes else ()
        params = {choice.name: choice.values[i] for choice, i in zip(self._choices, indices, strict=True)}
        stage = decide(self._stage, params)
        first = replace(stage, layers=1)
        return _Run(stage, first, replace(first, stride=1), stage.layers - 1)


class _Run(NamedTuple):
    """A stage as its single blocks: the first, and `more` that are alike."""

    stage: Stage
    first: Stage
    further: Stage
    more: int


class _Blocks:
    """Costs of blocks in networks like `arch`, each folded once: all blocks of a stage but the first cost the same."""

    def __init__(self, arch: ArchSpec) -> None:
        self._arch = arch
        self._known: dict[tuple[Stage, Shape], tuple[int, int, Shape]] = {}

    def cost(self, run: _Run, shape: Shape) -> tuple[int, int, Shape]:
        """MACs and parameters of a stage that gets `shape`, and the shape that leaves it."""
        macs, params, after = self._block(run.first, shape)
        if not run.more:
            return macs, params, after
        further = self._block(run.further, after)
        return macs + run.more * further[0], params + run.more * further[1], after

    def _block(self, single: Stage, shape: Shape) -> tuple[int, int, Shape]:
        key = single, shape
        if key not in self._known:
            cost, after = layer_cost(stage_layers(self._arch, single, shape.channels), shape)
            self._known[key] = cost.macs, cost.params, after
        return self._known[key]


def present(numbers: Numbers) -> list[int]:
    """Which numbers of shapes there are among these."""
    return np.flatnonzero(np.bincount(numbers)).tolist()
