"""The coefficient search as a table: grid.csv, written and read back; and its part of coefficients.json."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from experiments.tables.csv_rows import SIGNED, read_rows
from scaling_search import CoefficientSearch, ScalingPoint
from scaling_search.analysis import Trainings


def grid_records(found: CoefficientSearch) -> list[dict[str, Any]]:
    """One record a point of the coefficient search: settings, costs nominal and realised, accuracy over its seeds."""
    return [
        {
            **_point_columns(result.point),
            "epochs": found.fidelity.epochs,
            "settings_merged": len(result.point.merged),
            "accuracy": result.mean,
            "accuracy_std": result.spread,
            "n": result.n,
            "failures": result.failures,
        }
        for result in found.results
    ]


def grid_csv(searches: Sequence[CoefficientSearch]) -> str:
    """One row a point, training length and seed of the coefficient search."""
    rows = [
        {**_point_columns(result.point), "epochs": found.fidelity.epochs, "seed": seed, "accuracy": accuracy}
        for found in searches
        for result in found.results
        for seed, accuracy in sorted(result.accuracies.items())
    ]
    return pd.DataFrame(rows).to_csv(index=False)


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


def analysis_record(found: CoefficientSearch) -> dict[str, Any]:
    """What one coefficient search found, with what is known of its certainty."""
    best, analysis = found.coefficients, found.analysis
    record: dict[str, Any] = {
        "alpha": best.depth,
        "beta": best.width,
        "gamma": best.resolution,
        "shares": best.shares._asdict(),
        "best_point": {
            **_point_columns(found.best.point),
            "accuracy": found.best.mean,
            "accuracy_std": found.best.spread,
            "n": found.best.n,
        },
        "trainings": sum(result.n for result in found.results),
        "intervals": None,
        "verdict": [],
    }
    if analysis is None:
        return record
    noise = analysis.noise
    return record | {
        "intervals": {name: [ends.low, ends.high] for name, ends in analysis.intervals.items()},
        "verdict": analysis.verdict,
        "comparisons": [
            {"with": c.name, "gain": c.gain, "low": c.low, "high": c.high, "clear": c.clear, "more": c.more}
            for c in analysis.comparisons
        ],
        "model": analysis.model,
        "flatness_p": analysis.flatness,
        "lack_of_fit_p": analysis.lack_of_fit,
        "noise": None if noise is None else dataclasses.asdict(noise),
        "on_edge": list(analysis.on_edge),
    }


def _point_columns(point: ScalingPoint) -> dict[str, Any]:
    return {
        "alpha": point.coefficients.depth,
        "beta": point.coefficients.width,
        "gamma": point.coefficients.resolution,
        "nominal_cost": point.nominal_cost,
        "realised_cost": point.cost,
        "share_depth": point.shares.depth,
        "share_width": point.shares.width,
        "share_resolution": point.shares.resolution,
        "resolution": point.arch.resolution,
        "macs": point.macs,
        "params": point.params,
        "arch_id": point.arch_id,
    }
