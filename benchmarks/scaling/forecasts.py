"""How well the model of accuracy forecasts planted networks of 2 and 4 times the baseline's cost, from 60 trainings.

    python -m benchmarks.scaling.forecasts [--runs 200]

Planted: the surfaces of benchmarks.scaling.simulation at strength 1 over the shares at one doubling, which grow with
phi to the power of 1.5; a fourth kind drifts: its optimum moves by 0.1 in shares with each doubling of the cost, and
with each of the epochs in a direction of its own. The first doubling of the cost gives 1 to 4 points, that of the
epochs 1 to 6, each further one 0.4 to 1 times the one before. One training has a noise of 0.4 or 1.1 points, half of
its variance shared by all networks of a seed. The 60 trainings: the lattice at twice the cost once, at two lengths; the
baseline three times at each length, at seeds of its own; the three dimensions and the middle of the triangle at 1.4
times the cost once; the rest are further seeds of the lattice. Forecast is one training at the coefficients found, and
at each dimension alone. (These worlds have the model's own form, but for the drift and the saturating surface.)

Beside the model stand two simpler forecasts: a straight line over the doublings of cost, through the trainings of the
longest length, and the model's forecast at twice the cost for anything larger. error, line, same: the root mean
square error of each. misfit: how often the model says of itself that it does not fit.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scaling.simulation import RESULTS, Cell, Layout, height, layouts, planted
from scaling_search.analysis import Analysis, Trainings, analyse
from scaling_search.law import TrainedSet, fit_law
from scaling_search.surface.noise import seed_adjusted
from scaling_search.surface.triangle import Floats

TRAININGS = 60
LENGTHS = (5, 10)
POWER = 1.5
DRIFT = 0.1
SHAPES = ("round", "stretched", "saturating", "drifting")
NOISES = (0.004, 0.011)
CORNERS, MIDDLE = np.eye(3), np.full(3, 1 / 3)


@dataclass(frozen=True)
class World:
    """One planted baseline."""

    cell: Cell
    optimum: Floats
    metric: Floats
    gain: float
    ratio: float
    gain_of_time: float
    ratio_of_time: float
    cross: float
    moves: Floats  # (2, 3): with a doubling of the cost, of the epochs

    def accuracy(self, doublings: Floats, shares: Floats, epochs: int) -> Floats:
        """(m,) of m networks, without noise."""
        time = np.log2(epochs / LENGTHS[-1])
        size = _saturating(np.asarray(doublings, dtype=float), self.ratio)
        longer = float(_saturating(np.array(time), self.ratio_of_time))
        level = 0.6 + self.gain * size + self.gain_of_time * longer + self.cross * size * longer
        heights = [self._height(phi, time, each) for phi, each in zip(doublings, shares, strict=True)]
        found: Floats = level + np.abs(doublings) ** POWER * np.array(heights)
        return found

    def _height(self, phi: float, time: float, shares: Floats) -> float:
        optimum = self.optimum + self.moves[0] * (phi - 1) + self.moves[1] * time
        return float(height(self.cell, optimum, self.metric, shares[None])[0])


def _saturating(doublings: Floats, ratio: float) -> Floats:
    found: Floats = (1 - ratio**doublings) / (1 - ratio)
    return found


def world(shape: str, generator: np.random.Generator) -> World:
    cell = Cell("round" if shape == "drifting" else shape, "inside", 1.0, TRAININGS, TRAININGS)
    optimum, metric = planted(cell, generator)
    moves = generator.normal(size=(2, 3)) * (shape == "drifting")
    moves -= moves.mean(axis=1, keepdims=True)
    moves *= DRIFT / np.maximum(np.linalg.norm(moves, axis=1, keepdims=True), 1e-9)
    return World(
        cell, optimum, metric,
        gain=generator.uniform(0.01, 0.04), ratio=generator.uniform(0.4, 0.999),
        gain_of_time=generator.uniform(0.01, 0.06), ratio_of_time=generator.uniform(0.4, 0.999),
        cross=generator.normal(0, 0.005), moves=moves,
    )  # fmt: skip


def one_run(
    shape: str, noise: float, layout: Layout, generator: np.random.Generator, seed: int
) -> Iterator[dict[str, Any]]:
    planted_world = world(shape, generator)
    own, shared = noise * 0.5**0.5, generator.normal(0, noise * 0.5**0.5, (len(LENGTHS), TRAININGS))
    count = len(layout.shares)
    doublings = np.log2(layout.costs)
    between = np.vstack([CORNERS, MIDDLE])
    left = TRAININGS - 2 * (count + 3 + 4)
    sets: list[TrainedSet] = []
    analyses: dict[int, Analysis] = {}
    for i, epochs in enumerate(LENGTHS):
        trainings = count + (left if i == 1 else 0)
        seeds = -(-trainings // count)
        level = planted_world.accuracy(doublings, layout.shares, epochs)
        full = level[:, None] + shared[i, :seeds] + generator.normal(0, own, (count, seeds))
        kept = layout.trained(full, trainings)
        analyses[epochs] = analyse(Trainings(layout.shares, kept, layout.costs), seed=seed)
        n = (~np.isnan(kept)).sum(axis=1).astype(float)
        trained = TrainedSet(epochs, doublings, layout.shares, seed_adjusted(kept), n, float(n.mean()))
        level = planted_world.accuracy(np.full(4, 0.5), between, epochs)
        seen = level + shared[i, 0] + generator.normal(0, own, 4)
        sets.append(trained.joined(TrainedSet(epochs, np.full(4, 0.5), between, seen, np.ones(4), 1)))
        fresh = generator.normal(0, noise, 3).mean()  # at seeds of its own, as a confirmation
        baseline = planted_world.accuracy(np.zeros(1), MIDDLE[None], epochs) + fresh
        sets.append(TrainedSet(epochs, np.zeros(1), MIDDLE[None], baseline, np.full(1, 3.0), 3))
    law = fit_law(sets, analyses, seed=seed)
    found = np.array(analyses[LENGTHS[-1]].shares)
    long = [trained for trained in sets if trained.epochs == LENGTHS[-1]]
    slope, start = np.polyfit(
        np.concatenate([trained.doublings for trained in long]),
        np.concatenate([trained.accuracy for trained in long]),
        1,
    )
    networks = {"found": found, **dict(zip(("depth", "width", "resolution"), CORNERS, strict=True))}
    for phi in (1.0, 2.0):
        for name, shares in networks.items():
            at = np.array([phi])
            got = float(planted_world.accuracy(at, shares[None], LENGTHS[-1])[0] + generator.normal(0, noise))
            told = law.forecast(at, shares[None], np.full(1, float(LENGTHS[-1])))[0]
            same = law.forecast(np.ones(1), shares[None], np.full(1, float(LENGTHS[-1])))[0]
            yield {
                "shape": shape, "noise": noise, "cost": 2**phi, "network": name,
                "covered": got in told, "width": told.high - told.low, "error": (told.expected - got) ** 2,
                "line": (start + slope * phi - got) ** 2, "same": (same.expected - got) ** 2,
                "misfit": law.lack_of_fit < 0.05,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=200, help="of each shape and noise")
    parser.add_argument("--output", type=Path, default=RESULTS / "forecasts.csv")
    arguments = parser.parse_args()
    grids = layouts()
    rows: list[dict[str, Any]] = []
    for shape in SHAPES:
        for noise in NOISES:
            generator = np.random.default_rng(zlib.crc32(f"{shape} {noise}".encode()))
            for i in range(arguments.runs):
                rows += one_run(shape, noise, grids[i % len(grids)], generator, i)
            table = pd.DataFrame(rows)
            table["networks"] = np.where(table.network == "found", "found", "one dimension")
            summary = table.groupby(["shape", "noise", "cost", "networks"], sort=False).mean(numeric_only=True)
            for name in ("error", "line", "same"):
                summary[name] **= 0.5
            summary.insert(0, "runs", arguments.runs)
            summary.round(4).to_csv(arguments.output)
            print(summary.tail(4).round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()
