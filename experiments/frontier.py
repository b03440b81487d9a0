"""Points of accuracy against cost: their values, their CSV, and how trainings become points."""

from __future__ import annotations

import dataclasses
import io
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from experiments.errors import UserError
from search_spaces import ArchSpec, count_macs, count_params

ROLES = ("baseline", "family", "candidate", "reference", "published")


@dataclass(frozen=True)
class FrontierPoint:
    """One network, trained `n` times for `epochs` epochs of `recipe` and measured on `split` of `data`.

    accuracy is the mean over seeds in 0..1, std their standard deviation (0 when n is 1). macs and params are counts
    at `resolution` pixels. role: one of ROLES; run: the name of the run folder it came from.
    """

    label: str
    role: str
    run: str
    data: str
    split: str
    epochs: int
    recipe: str
    n: int
    accuracy: float
    std: float
    macs: int
    params: int
    resolution: int
    arch_id: str


def measured_point(
    label: str, role: str, arch: ArchSpec, accuracies: Sequence[float], *, run: str, data: str, split: str,
    epochs: int, recipe: str, num_classes: int,
) -> FrontierPoint:  # fmt: skip
    """The point of one network's accuracies, one a seed."""
    return FrontierPoint(
        label, role, run, data, split, epochs, recipe, len(accuracies), statistics.fmean(accuracies),
        statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        count_macs(arch, None, num_classes), count_params(arch, num_classes), arch.resolution, arch.id,
    )  # fmt: skip


def points_table(points: Sequence[FrontierPoint]) -> pd.DataFrame:
    """One row a point, columns as the fields of FrontierPoint."""
    return pd.DataFrame([dataclasses.asdict(point) for point in points], columns=_columns())


def points_csv(points: Sequence[FrontierPoint]) -> str:
    """The table as CSV; `read_points` reads it back."""
    buffer = io.StringIO()
    points_table(points).to_csv(buffer, index=False)
    return buffer.getvalue()


def read_points(path: Path) -> list[FrontierPoint]:
    """The points of a frontier.csv. Raises UserError, naming file and column, when it is not one."""
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    missing = [name for name in _columns() if name not in table]
    if missing:
        raise UserError(f"{path}: no column {missing[0]!r}; a frontier.csv has {', '.join(_columns())}")
    fields = dataclasses.fields(FrontierPoint)
    kinds = {"str": str, "int": int, "float": float}
    try:
        return [
            FrontierPoint(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields})
            for row in table.to_dict("records")
        ]
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def merge_points(old: Sequence[FrontierPoint], new: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Old points with those replaced that were measured again, then the new ones.

    A new baseline replaces all that came of the old one: its family and the candidates beside it.
    """
    again = {(point.label, point.role) for point in new}
    renewed = {"baseline", "family", "candidate"} if any(point.role == "baseline" for point in new) else set()
    return [p for p in old if (p.label, p.role) not in again and p.role not in renewed] + list(new)


def _columns() -> list[str]:
    return [field.name for field in dataclasses.fields(FrontierPoint)]
