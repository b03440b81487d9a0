"""How often the best shares are said to move with the length of the trainings or with the size, where they do and not.

    python -m benchmarks.scaling.changes [--runs 100]

Planted: the worlds of benchmarks.scaling.forecasts whose optimum stays, or moves by 0.3 (the length of the step in
shares) with each doubling of the epochs and of the cost, in directions of their own. (Where it leaves the triangle, the
best shares move by less: by 0.26 on average.) The trainings are those of a run:
30 at each of two lengths for the coefficients, spent as a search spends them, and the scaling plot: the baseline, and
five ways to grow at 1.4, 2 and 4 times its cost, at three seeds.

length, size: the part of the runs in which the best shares are said to move. misfit: in which the model says of itself
that it does not fit. found, kept: the root mean square distance
from the best shares for four times the cost of those that were told for it, and of those found for twice the cost.
"""

from __future__ import annotations

import argparse
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.scaling.designs import analysed, spent
from benchmarks.scaling.forecasts import LENGTHS, MIDDLE, NOISES, World, world
from benchmarks.scaling.simulation import RESULTS, SHAPES, Layout, layouts
from scaling_search.coefficients import DWR
from scaling_search.drift import drift
from scaling_search.law import TrainedSet, fit_law
from scaling_search.size_drift import size_drift
from scaling_search.surface.noise import seed_adjusted
from scaling_search.surface.triangle import Floats, nearest_inside, to_plane, to_shares

TRAININGS = 30
SEEDS = 3
MOVES = (0.0, 0.3)
PLOT = (0.5, 1.0, 2.0)
LARGEST = 2.0


def moving(shape: str, step: float, generator: np.random.Generator) -> World:
    found = world(shape, generator)
    moves = generator.normal(size=(2, 3))
    moves -= moves.mean(axis=1, keepdims=True)
    return replace(found, moves=step * moves / np.linalg.norm(moves, axis=1, keepdims=True))


def one_run(
    shape: str, noise: float, step: float, layout: Layout, generator: np.random.Generator, *, seed: int
) -> dict[str, float]:
    planted = moving(shape, step, generator)
    own, shared = noise * 0.5**0.5, generator.normal(0, noise * 0.5**0.5, (len(LENGTHS), TRAININGS))
    doublings = np.log2(layout.costs)
    analyses, sets = {}, []
    for i, epochs in enumerate(LENGTHS):
        level = planted.accuracy(doublings, layout.shares, epochs)
        full = level[:, None] + shared[i] + generator.normal(0, own, (len(level), TRAININGS))
        kept = spent(layout, full, TRAININGS)
        analyses[epochs] = analysed(layout, kept, seed)
        tried = ~np.isnan(kept).all(axis=1)
        n = (~np.isnan(kept)).sum(axis=1).astype(float)[tried]
        seen = kept[:, ~np.isnan(kept).all(axis=0)][tried]
        sets.append(TrainedSet(epochs, doublings[tried], layout.shares[tried], seed_adjusted(seen), n, float(n.mean())))
    longest = LENGTHS[-1]
    ways = np.vstack([np.eye(3), DWR, np.array(analyses[longest].shares)])
    phi = np.array([0.0, *np.repeat(PLOT, len(ways))])
    shares = np.vstack([MIDDLE, *[ways] * len(PLOT)])
    mean = shared[-1, :SEEDS].mean() + generator.normal(0, own / SEEDS**0.5, len(phi))
    seen = planted.accuracy(phi, shares, longest) + mean
    plot = TrainedSet(longest, phi, shares, seen, np.full(len(phi), float(SEEDS)), SEEDS)
    law = fit_law([*sets[:-1], sets[-1].joined(plot)], analyses, seed=seed)
    told = size_drift(law, longest, analyses[longest].shares)
    assert told is not None
    best = nearest(planted.optimum + planted.moves[0] * (LARGEST - 1), planted.metric)
    return {
        "length": float(drift(analyses, 2 * longest).moves),
        "size": float(told.moves),
        "misfit": float(law.lack_of_fit < 0.05),
        "found": float(((np.array(told.best[-1].shares) - best) ** 2).sum()),
        "kept": float(((np.array(analyses[longest].shares) - best) ** 2).sum()),
    }


def nearest(shares: Floats, metric: Floats) -> Floats:
    """The best shares of the triangle where the hill's top is at `shares`."""
    found: Floats = to_shares(nearest_inside(to_plane(shares)[None], metric[None])[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=100, help="of each shape, noise and step")
    parser.add_argument("--output", type=Path, default=RESULTS / "changes.csv")
    arguments = parser.parse_args()
    grids, rows = layouts(), []
    for shape in SHAPES:
        for noise in NOISES:
            for step in MOVES:
                generator = np.random.default_rng(zlib.crc32(f"{shape} {noise} {step}".encode()))
                mean = pd.DataFrame(
                    one_run(shape, noise, step, grids[i % len(grids)], generator, seed=i) for i in range(arguments.runs)
                ).mean()
                mean[["found", "kept"]] **= 0.5
                head = {"shape": shape, "noise": noise, "moves": step, "runs": arguments.runs}
                rows.append(head | mean.round(4).to_dict())
                pd.DataFrame(rows).to_csv(arguments.output, index=False)
                print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
