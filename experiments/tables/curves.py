"""The networks of the scaling plot as a table: scaling.csv, written and read back."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from experiments.tables.csv_rows import COUNTED, read_rows, to_csv

CURVES = "scaling.csv"


@dataclass(frozen=True)
class Measured:
    """One trained network of the scaling plot: MACs, mean accuracy in 0..1, its standard deviation over n seeds."""

    macs: float
    accuracy: float
    spread: float | None
    n: int


def measured(macs: float, accuracies: Sequence[float]) -> Measured:
    """From one accuracy a seed, at least one."""
    spread = statistics.stdev(accuracies) if len(accuracies) > 1 else None
    return Measured(macs, statistics.fmean(accuracies), spread, len(accuracies))


def curves_csv(lines: Mapping[str, Sequence[Measured]]) -> str:
    """One row a network of the scaling plot."""
    rows = [
        {"way": way, "macs": point.macs, "accuracy": point.accuracy, "accuracy_std": point.spread, "n": point.n}
        for way, points in lines.items()
        for point in points
    ]
    return to_csv(pd.DataFrame(rows))


@dataclass(frozen=True)
class _CurveRow:
    way: str
    macs: int
    accuracy: float
    accuracy_std: float | None
    n: int = field(metadata=COUNTED)


def read_curves(path: Path) -> dict[str, list[Measured]]:
    """The networks of a scaling.csv by the way they grew. Raises UserError as `read_rows` does."""
    lines: dict[str, list[Measured]] = {}
    for row in read_rows(path, _CurveRow):
        lines.setdefault(row.way, []).append(Measured(row.macs, row.accuracy, row.accuracy_std, row.n))
    return lines
