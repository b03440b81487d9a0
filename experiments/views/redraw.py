"""Every picture of a run drawn again from the tables in its folder."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from experiments.errors import UserError, from_user
from experiments.options.settings import Settings
from experiments.pictures.run_folder import (
    coefficient_pictures,
    curve_pictures,
    fidelity_pictures,
    frontier_pictures,
    size_drift_pictures,
    training_pictures,
)
from experiments.records import CoefficientsRecord, ForecastRecord, TrainingRecord
from experiments.report import write_report
from experiments.run.context import FINAL_EPOCHS
from experiments.run.folder import RunFolder
from experiments.tables.csv_rows import read_rows, read_table
from experiments.tables.curves import CURVES, read_curves
from experiments.tables.fidelity_table import FidelityRow, ranking
from experiments.tables.frontier import read_points
from experiments.tables.grid import read_grid
from nas.rank_fidelity import FEWEST
from scaling_search.drift import supported_drift
from scaling_search.search import supported_analysis


def redraw(folder: RunFolder) -> list[Path]:
    """Draw the pictures of a run and its report again; returns the files.

    A picture whose table is not there, or holds too little for it, is left out. With the same versions of the packages
    they equal those that the run drew. Raises UserError, naming file, row and column, where a table is damaged or lacks
    a column.
    """
    written = []
    for name, draw in _DRAWN.items():
        table = folder.path / name
        if table.exists():
            if table.suffix == ".csv" and read_table(table).empty:
                raise UserError(f"{table}: no rows")
            with from_user(str(table)):
                written += draw(folder, table)
    with from_user(str(folder.path)):
        return [*written, write_report(folder)]


def _frontier(folder: RunFolder, table: Path) -> list[Path]:
    return frontier_pictures(folder.path, read_points(table), _forecast(folder))


def _coefficients(folder: RunFolder, table: Path) -> list[Path]:
    trainings = read_grid(table)
    found = {epochs: supported_analysis(each) for epochs, each in trainings.items()}
    analyses = {epochs: analysis for epochs, analysis in found.items() if analysis is not None}
    record = folder.read()
    final = record.asked("scale").final_epochs or FINAL_EPOCHS  # the default of runs that do not tell
    moved = supported_drift(analyses, final)
    return coefficient_pictures(
        folder.path, trainings, analyses, moved, data=record.data.name or folder.name, metric=record.measured
    )


def _curves(folder: RunFolder, table: Path) -> list[Path]:
    record, found = folder.read(), None
    with suppress(UserError):  # only a number in the title is of it
        found = folder.find(CoefficientsRecord)
    return curve_pictures(
        folder.path, read_curves(table), None if found is None else found.epochs,
        data=record.data.name or folder.name, metric=record.measured,
    )  # fmt: skip


def _size_drift(folder: RunFolder, _: Path) -> list[Path]:
    return size_drift_pictures(folder.path, _forecast(folder), data=folder.read().data.name or folder.name)


def _forecast(folder: RunFolder) -> ForecastRecord | None:
    """None also where it is damaged: the frontier is whole without it, and the page names the file."""
    with suppress(UserError):
        return folder.find(ForecastRecord)
    return None


def _fidelity(folder: RunFolder, table: Path) -> list[Path]:
    ranked = ranking(read_rows(table, FidelityRow))
    if len(ranked.names) < FEWEST:
        return []  # so many failed that the run has no picture either
    record = folder.read()
    agreement = ranked.agreement(record.asked("fidelity").seed or Settings().general.seed)
    data = record.data.name or folder.name
    return fidelity_pictures(folder.path, ranked, agreement, data, metric=record.measured)


def _training(folder: RunFolder, _: Path) -> list[Path]:
    record = folder.find(TrainingRecord)
    return [] if record is None else training_pictures(folder.path, record)


_DRAWN: dict[str, Callable[[RunFolder, Path], list[Path]]] = {
    "frontier.csv": _frontier,
    "grid.csv": _coefficients,
    CURVES: _curves,
    ForecastRecord.FILE: _size_drift,
    "fidelity.csv": _fidelity,
    TrainingRecord.FILE: _training,
}
