"""Search problems whose answers are known without training: a published table behind a fit, and planted spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from nas.benchmark_table import load_table
from nas.samplers.grid import Grid, Rows, make_grid

Floats = NDArray[np.float64]
RowFunction = Callable[[Rows], Floats]


@dataclass(frozen=True)
class ParamsMacs:
    """The cost of a problem as samplers take it: one parameter dict, or a batch."""

    grid: Grid
    rows: RowFunction

    def __call__(self, params: Mapping[str, Any]) -> float:
        return float(self.batch([params])[0])

    def batch(self, params: Sequence[Mapping[str, Any]]) -> Floats:
        return self.rows(np.array([self.grid.row(each) for each in params]))


@dataclass(frozen=True)
class Problem:
    """accuracy (0..1) and macs of grid rows; target: the median cost of the space."""

    name: str
    distributions: dict[str, BaseDistribution]
    accuracy: RowFunction
    macs_of_rows: RowFunction
    noise: float

    @property
    def grid(self) -> Grid:
        return make_grid(self.distributions)

    @property
    def macs(self) -> ParamsMacs:
        return ParamsMacs(self.grid, self.macs_of_rows)

    @property
    def target(self) -> float:
        rows = self.grid.random(np.random.default_rng(0), 4000)
        return float(np.median(self.macs_of_rows(rows)))


def accel_nasbench(path: str | Path) -> Problem:
    """ImageNet accuracies of Accel-NASBench's networks behind a gradient-boosted fit, costs by our own count."""
    table = load_table(path)
    space, macs = table.space, table.macs()

    def accuracy(rows: Rows) -> Floats:
        return table.predict(table.accuracy_column, rows) / 100

    def cost(rows: Rows) -> Floats:
        # The grid's levels are the choices' values, in the same order.
        return macs.of_rows(rows)

    return Problem("anb", space.distributions(), accuracy, cost, noise=0.003)


def planted_small() -> Problem:
    """Six layers, each one of five unordered operations and one of four widths: strong pairwise interactions.

    6 * (5, 4) choices, 6.4e7 networks; operations of neighbouring layers interact; accuracies from 0.80 to 0.94.
    """
    rng = np.random.default_rng(11)
    layers = 6
    names = ("none", "skip", "conv1", "conv3", "pool")
    weight = np.array([0.0, 0.0, 1.0, 4.0, 0.2])
    gain = np.array([-1.2, 0.2, 0.6, 1.0, -0.3]) + rng.normal(0, 0.25, (layers, 5))
    pair = rng.normal(0, 0.45, (layers - 1, 5, 5))
    width_gain = rng.uniform(0.2, 0.5, layers)
    space: dict[str, BaseDistribution] = {}
    for i in range(layers):
        space[f"op{i}"] = CategoricalDistribution(names)
        space[f"width{i}"] = CategoricalDistribution((16, 24, 32, 64))
    wide = np.log(np.array([16, 24, 32, 64]) / 16)

    def accuracy(rows: Rows) -> Floats:
        ops, widths = rows[:, 0::2], rows[:, 1::2]
        at = np.arange(layers)
        signal = gain[at, ops].sum(1) + pair[at[:-1], ops[:, :-1], ops[:, 1:]].sum(1)
        signal = signal + (width_gain * wide[widths] * (weight[ops] > 0)).sum(1)
        return np.asarray(0.80 + 0.14 / (1 + np.exp(-(signal - 2.5) / 2.5)))

    def cost(rows: Rows) -> Floats:
        ops, widths = rows[:, 0::2], rows[:, 1::2]
        return np.asarray(2e5 + 1e4 * (weight[ops] * np.exp(wide[widths]) ** 1.5).sum(1))

    return Problem("planted-small", space, accuracy, cost, noise=0.004)


def planted_large() -> Problem:
    """Forty parameters of 2..6 values: main effects, 60 pairwise, 20 three-way interactions, diminishing returns.

    About 1e21 networks; half of the parameters hardly matter; every third one is free of cost.
    """
    rng = np.random.default_rng(23)
    sizes = rng.integers(2, 7, 40)
    space: dict[str, BaseDistribution] = {f"p{i:02d}": IntDistribution(0, int(n) - 1) for i, n in enumerate(sizes)}
    importance = rng.exponential(1.0, 40) * (rng.random(40) < 0.5) + 0.05
    curve = [
        importance[i] * (np.linspace(0, 1, n) ** rng.uniform(0.3, 1.5) * rng.choice([1, 1, 1, -1]))
        for i, n in enumerate(sizes)
    ]
    bump = [rng.normal(0, 0.25 * importance[i], n) for i, n in enumerate(sizes)]
    groups = [rng.choice(40, 2, replace=False) for _ in range(60)] + [
        rng.choice(40, 3, replace=False) for _ in range(20)
    ]
    tables = [rng.normal(0, 0.3 * float(np.sqrt(importance[g].prod())) + 0.02, tuple(sizes[g])) for g in groups]
    price = rng.exponential(1.0, 40) * (np.arange(40) % 3 > 0)

    def accuracy(rows: Rows) -> Floats:
        signal = np.zeros(len(rows))
        for i in range(40):
            signal = signal + curve[i][rows[:, i]] + bump[i][rows[:, i]]
        for group, table in zip(groups, tables, strict=True):
            signal = signal + table[tuple(rows[:, group].T)]
        return np.asarray(0.50 + 0.30 * (1 - np.exp(-np.maximum(signal + 4, -4) / 8)))

    def cost(rows: Rows) -> Floats:
        share = rows / np.maximum(sizes - 1, 1)
        return np.asarray(1e7 * np.exp((price * share).sum(1) / price.sum() * 2.5))

    return Problem("planted-large", space, accuracy, cost, noise=0.003)
