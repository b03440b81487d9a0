"""How much the order of trainings matters: a budget spent as a search spends it, beside whole passes over all points.

    python -m benchmarks.scaling.designs [--runs 100]

Planted surfaces as in benchmarks.scaling.simulation. "passes": every point at one seed after the other, until the
budget is spent. "budget": ten points, then seven at each new seed, chosen by what is known so far
(`search_coefficients`). error: root mean square distance of the shares found from the planted ones; loss: what they
give up, in points.
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.scaling.simulation import (
    COMPARED,
    GAIN,
    NOISE,
    PAIRED,
    RESULTS,
    SHAPES,
    Cell,
    Layout,
    height,
    layouts,
    planted,
)
from scaling_search.analysis import Analysis, Trainings, analyse
from scaling_search.design import FIRST, block_sizes, most_telling
from scaling_search.surface.triangle import Floats, to_plane

BUDGETS = (21, 60)
STRENGTHS = (0.5, 1.0, 2.0)
UNTESTED: Any = SimpleNamespace(p_value=lambda _: 1.0)
"""In place of the test of "nothing differs", which takes most of an analysis and does not change the shares."""


def analysed(layout: Layout, accuracy: Floats, seed: int = 0) -> Analysis:
    seen = accuracy[:, ~np.isnan(accuracy).all(axis=0)]
    return analyse(Trainings(layout.shares, seen, layout.costs), COMPARED, flat=UNTESTED, seed=seed)


def spent(layout: Layout, full: Floats, budget: int) -> Floats:
    """The trainings that a search makes with this budget; NaN for the others."""
    kept = np.full_like(full, np.nan)
    kept[layout.order[:FIRST], 0] = full[layout.order[:FIRST], 0]
    points = to_plane(layout.shares)
    for seed, size in enumerate(block_sizes(budget - min(FIRST, len(layout.order)), len(layout.order)), start=1):
        found = analysed(layout, kept)
        chosen = (
            layout.order[:size]
            if found.noise is None
            else most_telling(points, found.draws, found.noise.own, found.noise.shared, size)
        )
        kept[chosen, seed] = full[chosen, seed]
    return kept


def one_run(cell: Cell, layout: Layout, generator: np.random.Generator, seed: int) -> dict[str, float]:
    optimum, metric = planted(cell, generator)
    level = height(cell, optimum, metric, layout.shares) + GAIN * (np.log2(layout.costs) - 1)
    shared = generator.normal(0, NOISE * PAIRED**0.5, cell.trainings)
    own = generator.normal(0, NOISE * (1 - PAIRED) ** 0.5, (len(level), cell.trainings))
    full = level[:, None] + shared + own
    found = {}
    for name, kept in (
        ("passes", layout.trained(full, cell.trainings)),
        ("budget", spent(layout, full, cell.trainings)),
    ):
        shares = np.array(analysed(layout, kept, seed).shares)
        found[f"{name}_error"] = float(((shares - optimum) ** 2).sum())
        found[f"{name}_loss"] = float(-100 * height(cell, optimum, metric, shares[None])[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=100, help="of each cell")
    parser.add_argument("--output", type=Path, default=RESULTS / "designs.csv")
    arguments = parser.parse_args()
    grids, rows = layouts(), []
    for budget in BUDGETS:
        for strength in STRENGTHS:
            for shape in SHAPES:
                runs = []
                for place in ("inside", "edge"):
                    cell = Cell(shape, place, strength, budget, budget)
                    generator = np.random.default_rng(zlib.crc32(repr(cell).encode()))
                    runs += [one_run(cell, grids[i % len(grids)], generator, i) for i in range(arguments.runs)]
                mean = pd.DataFrame(runs).mean()
                mean[["passes_error", "budget_error"]] **= 0.5
                head = {"trainings": budget, "strength": strength, "shape": shape, "runs": len(runs)}
                rows.append(head | mean.round(4).to_dict() | {"ratio": mean.budget_error / mean.passes_error})
                pd.DataFrame(rows).round(4).to_csv(arguments.output, index=False)
                print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
