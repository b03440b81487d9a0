"""How well the coefficient analysis finds planted optima: coverage, error against the best of the grid, false verdicts.

    python -m benchmarks.scaling.simulation [--runs 200]

Planted surfaces: accuracy = -curvature * squared distance (in shares) from the optimum, 1.25 points at `strength` 1,
noise of 0.4 points per training, half of its variance shared by all points of a seed. Only their ratio matters, so a
strength of 2 is at once twice the curvature and half the noise. Shapes: round; stretched 4 to 1 in a random
direction; saturating, half of the fall being reached at a squared distance of 0.7. The optimum is drawn evenly from
the triangle ("inside") or from its edges ("edge"). Points are the matched lattice that the real counter gives for two
baselines (B0 at 224 pixels, B0 narrowed to 6.3 M MACs at 22 pixels, taking turns), with their realised shares and
costs; a doubling of cost is worth 2 points of accuracy.

Finished cells are kept in the CSV file and not run again; the table is rewritten after every cell.
"""

from __future__ import annotations

import argparse
import csv
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from scaling_search import scaling_points
from scaling_search.analysis import Trainings, analyse, flatness_test
from scaling_search.coefficients import EFFICIENTNET
from scaling_search.design import spread_order
from scaling_search.surface.noise import FlatnessTest
from scaling_search.surface.triangle import Floats, to_plane
from scaling_search.verdict import ALTERNATIVES
from search_spaces import fit_arch, reference_arch

RESULTS = Path(__file__).parents[1] / "results"
CURVATURE, NOISE, PAIRED, GAIN, HALF_FALL = 0.0125, 0.004, 0.5, 0.02, 0.7
PAPER = np.array(EFFICIENTNET.shares)
SHAPES = ("round", "stretched", "saturating")


@dataclass(frozen=True)
class Cell:
    """One kind of planted surface and a number of trainings; the best of the grid gets `rival_trainings`."""

    shape: str
    place: str
    strength: float
    trainings: int
    rival_trainings: int

    @property
    def seed(self) -> int:
        return zlib.crc32(repr(self).encode())


@dataclass(frozen=True)
class Row:
    """What a cell gave.

    errors: root mean square distance of the estimated shares from the planted; area: of the region, as a part of the
    triangle; clear: share of runs with any verdict "clearly better"; false_clear: with one that is false (against an
    alternative that gives up less than 0.01 points).
    """

    shape: str
    place: str
    strength: float
    trainings: int
    rival_trainings: int
    runs: int
    coverage: float
    area: float
    error: float
    rival_error: float
    clear: float
    false_clear: float


class Layout:
    """One baseline's points, with the flatness tests that were made for them."""

    def __init__(self, shares: Floats, costs: Floats) -> None:
        self.shares, self.costs = shares, costs
        self.order = spread_order(to_plane(shares))
        self._flat: dict[int, FlatnessTest] = {}

    def trained(self, accuracy: Floats, count: int) -> Floats:
        """The first `count` trainings of the balanced order; NaN for the others."""
        points, seeds = len(self.order), -(-count // len(self.order))
        kept = np.full((points, seeds), np.nan)
        kept[:, : count // points] = accuracy[:, : count // points]
        last = self.order[: count % points]
        kept[last, -1] = accuracy[last, seeds - 1]
        return kept

    def flatness(self, trainings: Trainings, count: int) -> FlatnessTest:
        if count not in self._flat:
            self._flat[count] = flatness_test(trainings)
        return self._flat[count]


def layouts() -> list[Layout]:
    b0 = reference_arch("efficientnet_b0")
    grids = (
        scaling_points(b0, "matched"),
        scaling_points(fit_arch(b0, 22, 6.3e6, num_classes=10), "matched", num_classes=10),
    )
    return [Layout(np.array([p.shares for p in grid]), np.array([p.cost for p in grid])) for grid in grids]


def cells() -> Iterator[Cell]:
    """All cells, those that decide most first."""
    yield from surfaces(1.0, 60, 60)
    for trainings in (60, 21):
        yield Cell("round", "paper", 0.0, trainings, trainings)
    yield from surfaces(1.0, 21, 120)
    yield from surfaces(2.0, 60, 60)
    yield from surfaces(0.5, 60, 60)
    for strength in (1.0, 4.0):
        yield Cell("round", "paper", strength, 60, 60)
    yield from surfaces(2.0, 21, 120)
    yield from surfaces(0.5, 21, 120)
    yield from surfaces(4.0, 60, 60)
    yield from surfaces(0.25, 60, 60)


def surfaces(strength: float, trainings: int, rival_trainings: int) -> Iterator[Cell]:
    """All shapes, with the optimum inside and on the edge."""
    for shape in SHAPES:
        for place in ("inside", "edge"):
            yield Cell(shape, place, strength, trainings, rival_trainings)


def planted(cell: Cell, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """The optimum (3,) and the metric (2, 2) of one surface."""
    optimum = PAPER
    if cell.place == "inside":
        optimum = generator.dirichlet(np.ones(3))
    elif cell.place == "edge":
        part = generator.random()
        optimum = np.roll([part, 1 - part, 0.0], generator.integers(3))
    if cell.shape != "stretched":
        return optimum, np.eye(2)
    angle = generator.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return optimum, turn @ np.diag([2.0, 0.5]) @ turn.T


def height(cell: Cell, optimum: Floats, metric: Floats, shares: Floats) -> Floats:
    """Planted accuracy, relative to the optimum's, at (m, 3) shares."""
    off = to_plane(shares) - to_plane(optimum)
    squared = np.einsum("mi,ij,mj->m", off, metric, off)
    if cell.shape == "saturating":
        squared = squared / (1 + squared / HALF_FALL)
    fallen: Floats = -cell.strength * CURVATURE * squared
    return fallen


COMPARED = {name: shares for name, shares in ALTERNATIVES.items() if name != "dWr"}
"""The four of which the verdicts in the results are; dWr came later."""


def one_run(cell: Cell, layout: Layout, generator: np.random.Generator, seed: int) -> dict[str, float]:
    optimum, metric = planted(cell, generator)
    level = height(cell, optimum, metric, layout.shares) + GAIN * (np.log2(layout.costs) - 1)
    seeds = -(-max(cell.trainings, cell.rival_trainings) // len(level))
    shared = generator.normal(0, NOISE * PAIRED**0.5, seeds)
    accuracy = level[:, None] + shared + generator.normal(0, NOISE * (1 - PAIRED) ** 0.5, (len(level), seeds))
    trainings = Trainings(layout.shares, layout.trained(accuracy, cell.trainings), layout.costs)
    found = analyse(trainings, COMPARED, flat=layout.flatness(trainings, cell.trainings), seed=seed)
    means = np.nanmean(layout.trained(accuracy, cell.rival_trainings), axis=1)
    chosen = height(cell, optimum, metric, np.array([found.shares]))[0]
    clear = [c for c in found.comparisons if c.clear]
    others = height(cell, optimum, metric, np.array([c.shares for c in clear])) if clear else np.array([])
    return {
        "coverage": float(optimum in found.region),
        "area": found.region.area,
        "error": float(((np.array(found.shares) - optimum) ** 2).sum()),
        "rival_error": float(((layout.shares[means.argmax()] - optimum) ** 2).sum()),
        "clear": float(bool(clear)),
        "false_clear": float(bool((others > chosen - 1e-4).any())),
    }


def run_cell(cell: Cell, grids: list[Layout], runs: int) -> Row:
    generator = np.random.default_rng(cell.seed)
    results = [one_run(cell, grids[i % len(grids)], generator, i) for i in range(runs)]
    mean = {name: float(np.mean([result[name] for result in results])) for name in results[0]}
    for name in ("error", "rival_error"):
        mean[name] **= 0.5
    found: dict[str, Any] = asdict(cell) | {name: round(value, 4) for name, value in mean.items()}
    return Row(runs=runs, **found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--runs", type=int, default=200, help="of each cell; a shape and strength has two cells")
    parser.add_argument("--output", type=Path, default=RESULTS / "scaling_simulation.csv")
    arguments = parser.parse_args()
    done = read_rows(arguments.output)
    known = {(row.shape, row.place, row.strength, row.trainings, row.rival_trainings) for row in done}
    grids = layouts()
    for cell in cells():
        if tuple(asdict(cell).values()) in known:
            continue
        row = run_cell(cell, grids, arguments.runs if cell.strength else 4 * arguments.runs)
        done.append(row)
        write_rows(arguments.output, done)
        arguments.output.with_suffix(".md").write_text(report(done), encoding="utf-8")
        print(row, flush=True)


def read_rows(path: Path) -> list[Row]:
    if not path.exists():
        return []
    kinds = {field.name: {"str": str, "int": int, "float": float}[str(field.type)] for field in fields(Row)}
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**{name: kinds[name](text) for name, text in line.items()}) for line in csv.DictReader(file)]


def write_rows(path: Path, rows: list[Row]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(row) for row in rows)


def report(rows: list[Row]) -> str:
    """The cells, and per shape, strength and trainings the error over both places against the best of the grid."""
    lines = [
        "# Coefficient analysis on planted surfaces",
        "",
        "Command: `python -m benchmarks.scaling.simulation` (resumable; what is planted is said in its source).",
        "Errors are root mean squares of the distance between estimated and planted shares.",
        "",
        "| shape | strength | trainings | error | best of grid (trainings) | ratio | coverage | area |",
        "|---|---|---|---|---|---|---|---|",
    ]
    surfaces = [row for row in rows if row.place != "paper"]
    for key in dict.fromkeys((row.shape, row.strength, row.trainings, row.rival_trainings) for row in surfaces):
        group = [r for r in surfaces if (r.shape, r.strength, r.trainings, r.rival_trainings) == key]
        error, rival = (float(np.mean([getattr(r, n) ** 2 for r in group])) ** 0.5 for n in ("error", "rival_error"))
        coverage = ", ".join(f"{r.place} {r.coverage:.3f}" for r in group)
        area = float(np.mean([r.area for r in group]))
        lines.append(
            f"| {key[0]} | {key[1]:g} | {key[2]} | {error:.3f} | {rival:.3f} ({key[3]}) | {error / rival:.2f} "
            f"| {coverage} | {area:.2f} |"
        )
    for trainings in sorted({row.trainings for row in surfaces}, reverse=True):
        covers = [row.coverage for row in surfaces if row.trainings == trainings]
        lines += ["", f"Coverage pooled over {len(covers)} cells at {trainings} trainings: {np.mean(covers):.3f}."]
    lines += ["", 'Verdicts "clearly better than" (four comparisons jointly):', ""]
    lines += ["| surface | trainings | runs | any | a false one |", "|---|---|---|---|---|"]
    for row in rows:
        name = "nothing differs" if row.strength == 0 else f"{row.shape}, {row.place}, strength {row.strength:g}"
        lines.append(f"| {name} | {row.trainings} | {row.runs} | {row.clear:.3f} | {row.false_clear:.3f} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
