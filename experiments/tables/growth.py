"""All trained networks that grew out of a run's baseline, read from its tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.errors import UserError
from experiments.records import BaselineRecord, CoefficientsRecord, FamilyRecord, read_record
from experiments.tables.curves import CURVES, read_curves
from experiments.tables.frontier import FrontierPoint
from scaling_search import FamilyMember, Shares
from scaling_search.analysis import Trainings
from scaling_search.coefficients import DWR
from scaling_search.law import TrainedSet
from scaling_search.surface.noise import seed_adjusted

GRID = "grid.csv"
_CENTRE = Shares(1 / 3, 1 / 3, 1 / 3)
_WAYS: Mapping[str, Shares] = {
    "depth only": Shares(1.0, 0.0, 0.0),
    "width only": Shares(0.0, 1.0, 0.0),
    "resolution only": Shares(0.0, 0.0, 1.0),
    "dWr": DWR,
}


def read_trained(folder: Path, grid: Mapping[int, Trainings], *, elsewhere: bool) -> list[TrainedSet]:
    """The networks of a run's grid, with those of its scaling plot, which have the same seeds, and its baseline as it
    was confirmed. elsewhere: see TrainedSet.

    Raises UserError where a table or record is damaged or not there.
    """
    baseline = family_baseline(folder)
    sets = {epochs: _of_grid(epochs, trainings.trained(), elsewhere) for epochs, trainings in grid.items()}
    epochs = read_record(CoefficientsRecord, folder / CoefficientsRecord.FILE).epochs
    if epochs in sets:
        known = {round(cost * baseline.macs) for cost in grid[epochs].costs}
        plot = _of_plot(folder, baseline.macs, known, sets[epochs])
        sets[epochs] = sets[epochs].joined(plot) if plot is not None else sets[epochs]
    return [*sets.values(), *_of_confirmation(folder, baseline, elsewhere=elsewhere)]


def of_frontier(folder: Path, points: Sequence[FrontierPoint], epochs: int, split: str) -> list[TrainedSet]:
    """The baseline and its family as they were trained for the frontier, by the recipe of the grid."""
    found = read_record(CoefficientsRecord, folder / CoefficientsRecord.FILE)
    family = {member.arch.id: member for member in read_record(FamilyRecord, folder / FamilyRecord.FILE).members}
    how = (epochs, split, found.recipe)
    own = [
        point
        for point in points
        if point.role in ("baseline", "family")
        and point.arch_id in family
        and (point.epochs, point.split, point.recipe) == how
    ]
    if not own:
        return []
    counts = np.array([float(point.n) for point in own])
    return [
        TrainedSet(
            epochs=float(epochs),
            doublings=np.log2([family[point.arch_id].cost for point in own]),
            shares=np.array([found.at(family[point.arch_id].phi).shares for point in own], dtype=float),
            accuracy=np.array([point.accuracy for point in own]),
            n=counts,
            seeds=float(counts.mean()),
        )
    ]


def family_baseline(folder: Path) -> FamilyMember:
    """The network that grew: the member of family.json with phi 0. Raises UserError where there is none."""
    file = folder / FamilyRecord.FILE
    found = next((member for member in read_record(FamilyRecord, file).members if member.phi == 0), None)
    if found is None or found.macs < 1:
        raise UserError(f"{file}: it has no member with phi 0 and a count of multiply-adds")
    return found


def _of_grid(epochs: int, trainings: Trainings, elsewhere: bool) -> TrainedSet:
    trained = ~np.isnan(trainings.accuracy)
    with np.errstate(divide="ignore"):  # refused where the model is fitted
        doublings = np.log2(trainings.costs)
    return TrainedSet(
        epochs=float(epochs),
        doublings=doublings,
        shares=trainings.shares,
        accuracy=seed_adjusted(trainings.accuracy),
        n=trained.sum(axis=1).astype(float),
        seeds=max(1.0, float(trained.sum(axis=1).mean())),
        elsewhere=elsewhere,
    )


def _of_plot(folder: Path, macs: int, known: set[int], grid: TrainedSet) -> TrainedSet | None:
    """Those that the grid has not; None where there is no plot of this baseline."""
    plot = folder / CURVES
    if not plot.exists():
        return None
    found = read_record(CoefficientsRecord, folder / CoefficientsRecord.FILE)
    shares = {**_WAYS, "compound": found.finding.coefficients.shares}
    lines = {way: points for way, points in read_curves(plot).items() if way in shares}
    if not any(point.macs == macs for points in lines.values() for point in points):
        return None  # it is of another baseline
    # Ways that build a network of the same count build the same network.
    seen = {
        point.macs: (shares[way] if point.macs != macs else _CENTRE, point)
        for way, points in lines.items()
        for point in points
        if point.macs > 0 and point.macs not in known
    }
    return TrainedSet(
        epochs=grid.epochs,
        doublings=np.log2([count / macs for count in seen]),
        shares=np.array([each for each, _ in seen.values()], dtype=float).reshape(-1, 3),
        accuracy=np.array([point.accuracy for _, point in seen.values()]),
        n=np.array([float(point.n) for _, point in seen.values()]),
        seeds=grid.seeds,
    )


def _of_confirmation(folder: Path, baseline: FamilyMember, *, elsewhere: bool) -> list[TrainedSet]:
    """The baseline's mean over the fresh seeds of the confirmation. Their shift counts as that of a third as many: of
    several networks it is the best one by these seeds, and so is a little flattered by them."""
    file = folder / BaselineRecord.FILE
    if not file.exists():
        return []
    found = read_record(BaselineRecord, file)
    how = found.fidelity
    if found.accuracy is None or found.split != "val" or how is None or found.id != baseline.arch.id or found.n < 1:
        return []
    one = np.ones(1)
    return [
        TrainedSet(
            how.epochs, 0 * one, np.array([_CENTRE]), found.accuracy * one, found.n * one, found.n / 3, elsewhere
        )
    ]
