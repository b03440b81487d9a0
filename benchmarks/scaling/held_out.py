"""How well forecasts from small trainings met what larger real networks then reached.

    python -m benchmarks.scaling.held_out RUN [RUN ...]

RUN: the folder of a run whose coefficient search had trainings of at most twice the baseline's cost, and which then
trained the family and its rivals (`scalenas run --plot-phi 1 --rivals`). The model of accuracy is fitted to the former
alone; every network of the frontier that is clearly larger (LARGER doublings or more) is forecast, as the mean of its
seeds on the frontier's split. Other runs are refused. Beside it stand simpler forecasts from all trainings of the
frontier's length: "line", straight over the doublings of cost, with a slope for each dimension that counts by its
share; "one line" for all shares; and "same", the accuracy of the largest trained network of the nearest shares. The
networks of one run share its baseline and its images, so that they are not as many independent cases.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from experiments.plans.forecasts import read_law
from experiments.records import CoefficientsRecord, FamilyRecord, ForecastRecord
from experiments.run.folder import RunFolder
from experiments.tables.frontier import FrontierPoint, read_points
from experiments.tables.grid import read_grid
from experiments.tables.growth import GRID, family_baseline, read_trained
from scaling_search.law import Forecast, Law, TrainedSet
from scaling_search.surface.triangle import Floats
from scaling_search.verdict import ALTERNATIVES

LARGER = 1.5
"""Doublings of the baseline's cost from which a network counts as larger than all that were trained for the model."""
ALIKE = 0.25
"""Networks within so many doublings of the largest count as the largest trained."""


@dataclass(frozen=True)
class Held:
    """A network that was forecast, in 0..1: what it reached (a mean of n), and what was expected."""

    point: FrontierPoint
    doublings: float
    forecast: Forecast
    line: float
    one_line: float
    same: float


def held_out(path: Path) -> list[Held]:
    """The larger networks of a run's frontier, each with its forecasts from the smaller ones."""
    folder = RunFolder(path)
    told = folder.get(ForecastRecord)
    law = read_law(folder, told.split)
    if law.largest + ALIKE >= LARGER:
        raise SystemExit(f"{path}: the model has seen networks as large as those to be forecast")
    found, baseline = folder.get(CoefficientsRecord), family_baseline(path)
    shares = {member.arch.id: found.at(member.phi).shares for member in folder.get(FamilyRecord).members}
    larger = [
        (point, math.log2(point.macs / baseline.macs), shares.get(point.arch_id) or ALTERNATIVES[_way(point)])
        for point in read_points(path / "frontier.csv")
        if point.role in {"family", "rival"} and math.log2(point.macs / baseline.macs) >= LARGER
    ]
    if any((point.epochs, point.recipe) != (law.longest, found.recipe) for point, _, _ in larger):
        raise SystemExit(f"{path}: its frontier was trained otherwise than its coefficient search")
    trained = _trained(path, law)
    return [
        Held(point, size, law.forecast(np.array([size]), np.array([way]), np.array([float(point.epochs)]), point.n)[0],
             *_simple(trained, size, np.array(way)))
        for point, size, way in larger
    ]  # fmt: skip


def _way(point: FrontierPoint) -> str:
    return point.label.rpartition(", phi ")[0]


def _trained(path: Path, law: Law) -> TrainedSet:
    grid = {epochs: each for epochs, each in read_grid(path / GRID).items() if epochs == law.longest}
    return read_trained(path, grid, elsewhere=False)[0]


def _simple(trained: TrainedSet, doublings: float, shares: Floats) -> tuple[float, float, float]:
    """The simpler forecasts of a network."""
    weights = np.sqrt(trained.n)
    terms = np.column_stack([np.ones(len(trained.n)), trained.doublings[:, None] * trained.shares])
    slopes = np.linalg.lstsq(terms * weights[:, None], trained.accuracy * weights, rcond=None)[0]
    one_line = np.polyfit(trained.doublings, trained.accuracy, 1, w=weights)
    large = trained.doublings >= trained.doublings.max() - ALIKE
    nearest = np.linalg.norm(trained.shares[large] - shares, axis=1).argmin()
    return (
        float(slopes[0] + doublings * slopes[1:] @ shares),
        float(np.polyval(one_line, doublings)),
        float(trained.accuracy[large][nearest]),
    )


def _error(differences: list[float]) -> str:
    return f"{100 * math.sqrt(float(np.mean(np.square(differences)))):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    options = parser.parse_args()
    print(f"command: python -m benchmarks.scaling.held_out {' '.join(map(str, options.runs))}; {machine()}")
    every: list[Held] = []
    for path in options.runs:
        rows = held_out(path)
        every += rows
        print(f"\n{path.name}")
        for row in rows:
            reached = row.point.accuracy
            print(
                f"  {row.point.label:34} {2**row.doublings:4.1f} x: {100 * reached:.1f} % (n {row.point.n}), forecast "
                f"{100 * row.forecast.expected:.1f} ({100 * row.forecast.low:.1f} to {100 * row.forecast.high:.1f})"
                f"{'' if reached in row.forecast else ' MISSED'}, line {100 * row.line:.1f}, one line "
                f"{100 * row.one_line:.1f}, same {100 * row.same:.1f}"
            )
        _summary(rows)
    print("\nall")
    _summary(every)


def _summary(rows: list[Held]) -> None:
    reached = [row.point.accuracy for row in rows]
    within = sum(each in row.forecast for each, row in zip(reached, rows, strict=True))
    errors = {
        "model": [row.forecast.expected - each for each, row in zip(reached, rows, strict=True)],
        "line": [row.line - each for each, row in zip(reached, rows, strict=True)],
        "one line": [row.one_line - each for each, row in zip(reached, rows, strict=True)],
        "same": [row.same - each for each, row in zip(reached, rows, strict=True)],
    }
    told = ", ".join(f"{name} {_error(each)}" for name, each in errors.items())
    print(f"  {within} of {len(rows)} within their 90 % intervals; root mean square error, points: {told}")


if __name__ == "__main__":
    main()
