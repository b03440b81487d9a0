"""The coefficient search as a table: grid.csv, written and read back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.records import PointFigures
from experiments.records.values import plain
from experiments.tables.csv_rows import SIGNED, read_rows, to_csv
from scaling_search import CoefficientSearch
from scaling_search.analysis import Trainings


def grid_csv(searches: Sequence[CoefficientSearch]) -> str:
    """One row a point, training length and seed of the coefficient search."""
    rows = [
        {**plain(PointFigures.of(result.point)), "epochs": found.fidelity.epochs, "seed": seed, "accuracy": accuracy}
        for found in searches
        for result in found.results
        for seed, accuracy in sorted(result.accuracies.items())
    ]
    return to_csv(pd.DataFrame(rows))


@dataclass(frozen=True)
class _GridRow:
    arch_id: str
    epochs: int
    seed: int
    accuracy: float
    realised_cost: float
    share_depth: float = field(metadata=SIGNED)
    share_width: float = field(metadata=SIGNED)
    share_resolution: float = field(metadata=SIGNED)


def read_grid(path: Path) -> dict[int, Trainings]:
    """The trainings of a grid.csv, exactly as the searches had them, by their length in epochs.

    Raises UserError as `read_rows` does.
    """
    lengths: dict[int, dict[str, list[_GridRow]]] = {}
    for row in read_rows(path, _GridRow):
        lengths.setdefault(row.epochs, {}).setdefault(row.arch_id, []).append(row)
    return {epochs: _trainings(list(points.values())) for epochs, points in lengths.items()}


def _trainings(points: Sequence[Sequence[_GridRow]]) -> Trainings:
    seeds = sorted({row.seed for rows in points for row in rows})
    accuracies = [{row.seed: row.accuracy for row in rows} for rows in points]
    return Trainings(
        shares=np.array([[rows[0].share_depth, rows[0].share_width, rows[0].share_resolution] for rows in points]),
        accuracy=np.array([[reached.get(seed, np.nan) for seed in seeds] for reached in accuracies]),
        costs=np.array([rows[0].realised_cost for rows in points]),
    )
