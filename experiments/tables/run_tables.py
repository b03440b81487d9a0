"""Studies and results as CSV tables, and those that pictures are drawn from read back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from optuna.study import Study
from optuna.trial import TrialState

from experiments.pictures.scaling import Measured
from experiments.tables.csv_rows import SIGNED, read_rows
from scaling_search import CoefficientSearch, ScalingPoint
from scaling_search.analysis import Trainings
from search_spaces import ArchSpec, format_blocks

_ATTRIBUTES = ("accuracy", "macs", "params", "arch_id", "seed", "split", "seconds", "device", "duplicate_of",
               "failure_kind", "failure_message", "pruned_because", "pruned_at")  # fmt: skip


def trials_csv(study: Study) -> str:
    """One row a finished trial: number, state, score, what was trained and what came out, then its parameters."""
    rows = []
    for trial in study.get_trials(deepcopy=False):
        if not trial.state.is_finished():
            continue
        attrs = trial.user_attrs
        fidelity = attrs.get("fidelity", {})
        rows.append(
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "score": trial.value if trial.state == TrialState.COMPLETE else None,
                **{name: attrs.get(name) for name in _ATTRIBUTES},
                **{name: fidelity.get(name) for name in ("epochs", "train_fraction", "resolution_factor")},
                "blocks": format_blocks(ArchSpec.from_dict(attrs["arch"])) if "arch" in attrs else None,
                **trial.params,
            }
        )
    return pd.DataFrame(rows).to_csv(index=False)


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


def curves_csv(lines: Mapping[str, Sequence[Measured]]) -> str:
    """One row a network of the scaling plot."""
    rows = [
        {"way": way, "macs": point.macs, "accuracy": point.accuracy, "accuracy_std": point.spread, "n": point.n}
        for way, points in lines.items()
        for point in points
    ]
    return pd.DataFrame(rows).to_csv(index=False)


@dataclass(frozen=True)
class _CurveRow:
    way: str
    macs: int
    accuracy: float
    accuracy_std: float | None
    n: int


def read_curves(path: Path) -> dict[str, list[Measured]]:
    """The networks of a scaling.csv by the way they grew. Raises UserError as `read_rows` does."""
    lines: dict[str, list[Measured]] = {}
    for row in read_rows(path, _CurveRow):
        lines.setdefault(row.way, []).append(Measured(row.macs, row.accuracy, row.accuracy_std, row.n))
    return lines


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
