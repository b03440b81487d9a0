"""Points of accuracy against cost: their values, their CSV, and how trainings become points."""

from __future__ import annotations

import dataclasses
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from experiments.errors import UserError
from experiments.tables.csv_rows import COUNTED, number, read_rows, read_table, to_csv
from search_spaces import ArchSpec, count_flash, count_macs, count_params, count_ram

ROLES = (
    "baseline", "family", "candidate", "rival", "reference", "given", "pretrained", "distilled", "published", "own",
)  # fmt: skip
_OF_BASELINE = ("baseline", "family", "candidate", "rival", "distilled")
_OF_WEIGHTS = ("from=", "recipe=", "normalised=", "teacher=")
SAME_COST = 0.05
"""MACs that differ by no more than this share compare; what is fitted or grown to a cost comes within about 3 %."""
OVERLAID = ("published", "own")
"""Roles of points from elsewhere: drawn beside those of the runs, never compared with them."""


@dataclass(frozen=True)
class FrontierPoint:
    """One network, trained `n` times for `epochs` epochs of `recipe` and measured on `split` of `data`.

    accuracy is the mean over seeds in 0..1, std their standard deviation (0 when n is 1). macs and params are counts at
    `resolution` pixels. role: one of ROLES; reference is a known network, given one of a file or of another run; run:
    the name of the run folder it came from. latency_ms: of one batch on the machine at hand, where it was measured.
    recipe: with the method (see Request). plan: how a known network was fitted, in words. activations: values that its
    layers write for one image, where they were asked for. ram, flash: bytes in int8, None where they were not counted.
    int8, int8_std: accuracy and spread after quantisation to int8 of the same trainings, where that was measured. Of
    points from elsewhere an unknown count is 0.
    """

    label: str
    role: str = field(metadata={"known": ROLES})
    run: str
    data: str
    split: str
    epochs: int
    recipe: str
    n: int = field(metadata=COUNTED)
    accuracy: float
    std: float
    macs: int
    params: int
    resolution: int
    arch_id: str
    latency_ms: float | None = None
    plan: str = ""
    activations: float | None = None
    ram: int | None = None
    flash: int | None = None
    int8: float | None = field(default=None, metadata={"high": 1})
    int8_std: float | None = None


class Axis(NamedTuple):
    """What points are plotted against: its label, its unit, and a point's figure (None where it is not known)."""

    label: str
    unit: str
    of: Callable[[FrontierPoint], float | None]


_LATER = ("plan", "activations", "ram", "flash", "int8", "int8_std")
"""Columns that tables had not always."""
AXES = {
    "macs": Axis("FLOPs (multiply-adds)", "", lambda point: point.macs or None),
    "params": Axis("parameters", "", lambda point: point.params or None),
    "activations": Axis("activations", "", lambda point: point.activations),
    "latency": Axis("measured latency, ms", "ms", lambda point: point.latency_ms),
    "ram": Axis("peak RAM (int8), bytes", "bytes", lambda point: point.ram or None),
    "flash": Axis("flash (int8), bytes", "bytes", lambda point: point.flash or None),
}


_COSTS = ("macs", "params", "activations", "latency_ms", "ram", "flash")
"""Columns of costs."""


def measured_points(points: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """The points that were trained by the runs themselves."""
    return [point for point in points if point.role not in OVERLAID]


def protocol(point: FrontierPoint) -> tuple[str, str, int, str]:
    """How a point was measured: data, split, epochs, and the recipe but for the weights that the network began with,
    what goes with them, and its teacher. Only points of one protocol compare."""
    parts = (part for part in re.split(", ?", point.recipe) if not part.startswith(_OF_WEIGHTS))
    return point.data, point.split, point.epochs, ", ".join(parts)


def measured_point(  # noqa: PLR0913  public: columns of the table, each by its name
    label: str, role: str, arch: ArchSpec, accuracies: Sequence[float], *, run: str, data: str, split: str,
    epochs: int, recipe: str, num_classes: int, plan: str = "", int8: Sequence[float] = (),
) -> FrontierPoint:  # fmt: skip
    """The point of one network's accuracies, one a seed; int8: those after quantisation, where they were measured."""
    return FrontierPoint(
        label, role, run, data, split, epochs, recipe, len(accuracies), statistics.fmean(accuracies),
        _spread(accuracies), count_macs(arch, None, num_classes), count_params(arch, num_classes), arch.resolution,
        arch.id, None, plan, None, count_ram(arch, None, num_classes), count_flash(arch, num_classes),
        statistics.fmean(int8) if int8 else None, _spread(int8) if int8 else None,
    )  # fmt: skip


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def points_table(points: Sequence[FrontierPoint]) -> pd.DataFrame:
    """One row a point, columns as the fields of FrontierPoint."""
    table = pd.DataFrame([dataclasses.asdict(point) for point in points], columns=_columns())
    return table.astype({"ram": "Int64", "flash": "Int64"})  # whole where some are missing, too


def points_csv(points: Sequence[FrontierPoint]) -> str:
    """The table as CSV, without those of the columns `plan` to `int8_std` that no point has; `read_points` reads it
    back."""
    table = points_table(points)
    there = {name for name in _LATER for point in points if getattr(point, name) not in (None, "")}
    return to_csv(table.drop(columns=[name for name in _LATER if name not in there]))


def read_points(path: Path) -> list[FrontierPoint]:
    """The points of a frontier.csv. Raises UserError, naming file, row (from 1) and column, when it is not one."""
    points = read_rows(path, FrontierPoint)
    for i, point in enumerate(points, 1):
        if point.role not in OVERLAID and not point.macs:
            raise UserError(f"{path}: row {i}, column 'macs': 0 is out of range; a network that was trained has some")
    return points


def merge_points(old: Sequence[FrontierPoint], new: Sequence[FrontierPoint]) -> list[FrontierPoint]:
    """Old points with those replaced that were measured again, then the new ones.

    Another baseline, or one trained otherwise, replaces all that came of the old one: its family, their rivals, the
    candidates beside it, and what was distilled.
    """
    again = {(point.label, point.role) for point in new}
    again |= {(point.label, "reference") for point in new if point.role == "given"}  # as earlier versions had them
    before, now = ({(p.arch_id, p.recipe) for p in points if p.role == "baseline"} for points in (old, new))
    gone = _OF_BASELINE if now - before else ()
    return [p for p in old if (p.label, p.role) not in again and p.role not in gone] + list(new)


def known_curves(points: Sequence[FrontierPoint], axis: Axis) -> list[list[FrontierPoint]]:
    """The known networks that a run has trained at several costs, each with its points by their place on the axis."""
    known = [point for point in points if point.role == "reference"]
    curves: dict[tuple[str, str], list[FrontierPoint]] = defaultdict(list)
    for point in sorted(known, key=lambda point: axis.of(point) or 0.0):
        curves[point.run, point.label.removeprefix(f"{point.run}: ").split(", ")[0]].append(point)
    return [curve for curve in curves.values() if len(curve) > 1]


def read_own_points(path: Path) -> list[FrontierPoint]:
    """Points of the user's own, for an overlay: a CSV with columns label, accuracy (0..1, or percent where any is above
    1) and at least one of macs, params, activations, latency_ms, ram, flash; std is optional. Raises UserError, naming
    file and column.
    """
    table = read_table(path)
    listed = f"{', '.join(_COSTS[:-1])} or {_COSTS[-1]}"
    try:
        costs = [name for name in _COSTS if name in table]
        for name in ("label", "accuracy"):
            if name not in table:
                raise ValueError(f"no column {name!r}; own points have label, accuracy and one of {listed}")
        if not costs:
            raise ValueError(f"no column {listed}: accuracy against what?")
        rows = [
            {**{name: number(row.get(name, "")) for name in ("accuracy", "std", *costs)}, "label": str(row["label"])}
            for row in table.to_dict("records")
        ]
        return _own(rows, path.name)
    except ValueError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def _own(rows: Sequence[Mapping[str, Any]], name: str) -> list[FrontierPoint]:
    if any(row["accuracy"] is None for row in rows):
        raise ValueError("column 'accuracy' has an empty cell")
    unit = 100.0 if any(row["accuracy"] > 1 for row in rows) else 1.0
    for row in rows:
        bad = [key for key in _COSTS if (row.get(key) or 0) < 0]
        if not 0 <= row["accuracy"] <= unit or bad:
            raise ValueError(f"{row['label']}: {bad[0] if bad else 'accuracy'} is out of range")
    return [
        FrontierPoint(
            row["label"], "own", name, name, "own", 0, "own", 2 if row.get("std") else 1, row["accuracy"] / unit,
            (row.get("std") or 0.0) / unit, round(row.get("macs") or 0), round(row.get("params") or 0), 0, "",
            row.get("latency_ms"), "", row.get("activations"), _whole(row.get("ram")), _whole(row.get("flash")),
        )
        for row in rows
    ]  # fmt: skip


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _columns() -> list[str]:
    return [each.name for each in dataclasses.fields(FrontierPoint)]
