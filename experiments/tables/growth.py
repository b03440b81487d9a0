"""All trained networks that grew out of a run's baseline, read from its tables, and the model of accuracy fitted to
them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.errors import UserError
from experiments.records import BaselineRecord, CoefficientsRecord, FamilyRecord, read_record
from experiments.tables.curves import CURVES, read_curves
from experiments.tables.grid import read_grid
from scaling_search import Analysis, FamilyMember, Shares
from scaling_search.analysis import Trainings
from scaling_search.coefficients import DWR
from scaling_search.law import Law, Measurements, fit_law
from scaling_search.search import supported_analysis

GRID = "grid.csv"
_WAYS: Mapping[str, Shares] = {
    "depth only": Shares(1.0, 0.0, 0.0),
    "width only": Shares(0.0, 1.0, 0.0),
    "resolution only": Shares(0.0, 0.0, 1.0),
    "dWr": DWR,
}


def read_law(folder: Path, analyses: Mapping[int, Analysis] | None = None) -> Law | None:
    """The model of accuracy of a run folder; None where its coefficient search has too few points for an analysis.

    analyses: those of the grid, where they are known. Raises UserError where a table is damaged or not there.
    """
    grid = read_grid(folder / GRID)
    if analyses is None:
        found = {epochs: supported_analysis(trainings) for epochs, trainings in grid.items()}
        analyses = {epochs: analysis for epochs, analysis in found.items() if analysis is not None}
    return fit_law(_measurements(folder, grid), analyses) if analyses else None


def _measurements(folder: Path, grid: Mapping[int, Trainings]) -> Measurements:
    """The grid's points, the baseline as it was confirmed, and the scaling plot's networks; those that grid and plot
    both have are taken from the grid."""
    parts = [_of_grid(epochs, trainings.trained()) for epochs, trainings in grid.items()]
    parts += _of_baseline(folder)
    plot = folder / CURVES
    if plot.exists():
        parts.append(_of_plot(folder, plot, {float(cost) for each in grid.values() for cost in each.costs}))
    return Measurements(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _of_grid(epochs: int, trainings: Trainings) -> tuple[np.ndarray, ...]:
    accuracy = trainings.accuracy
    return (
        np.log2(trainings.costs),
        trainings.shares,
        np.full(len(accuracy), float(epochs)),
        np.nanmean(accuracy, axis=1),
        (~np.isnan(accuracy)).sum(axis=1).astype(float),
    )


def _of_baseline(folder: Path) -> list[tuple[np.ndarray, ...]]:
    """What the confirmation of a search says of the baseline that grew: its mean over fresh seeds."""
    if not (folder / BaselineRecord.FILE).exists():
        return []
    found = read_record(BaselineRecord, folder / BaselineRecord.FILE)
    how = found.fidelity
    if found.accuracy is None or found.split != "val" or how is None or found.id != _baseline(folder).arch.id:
        return []
    one = np.ones(1)
    return [(0 * one, np.full((1, 3), 1 / 3), how.epochs * one, found.accuracy * one, max(1, found.n) * one)]


def _baseline(folder: Path) -> FamilyMember:
    members = read_record(FamilyRecord, folder / FamilyRecord.FILE).members
    found = next((member for member in members if member.phi == 0), None)
    if found is None:
        raise UserError(f"{folder / FamilyRecord.FILE}: it has no member with phi 0")
    return found


def _of_plot(folder: Path, plot: Path, costs: set[float]) -> tuple[np.ndarray, ...]:
    found = read_record(CoefficientsRecord, folder / CoefficientsRecord.FILE)
    macs = _baseline(folder).macs
    shares = {**_WAYS, "compound": found.finding.coefficients.shares}
    seen: dict[tuple[float, Shares], tuple[float, int]] = {}
    for way, points in read_curves(plot).items():
        for point in points:
            cost = point.macs / macs
            if way in shares and cost not in costs:
                at = (cost, shares[way] if cost != 1 else Shares(1 / 3, 1 / 3, 1 / 3))
                seen[at] = (point.accuracy, point.n)
    epochs = float(found.epochs or 1)
    return (
        np.log2([cost for cost, _ in seen]),
        np.array([shares for _, shares in seen]).reshape(-1, 3),
        np.full(len(seen), epochs),
        np.array([accuracy for accuracy, _ in seen.values()]),
        np.array([float(n) for _, n in seen.values()]),
    )
