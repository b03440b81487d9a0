"""The points of a frontier as the page's chart takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments.report.drawing import stage_words
from experiments.tables.differences import differences
from experiments.tables.frontier import AXES, SAME_COST, FrontierPoint, known_curves, measured_points
from experiments.wording import drawn_name, measured_by
from nas.pareto import hypervolume, knee, pareto_front
from search_spaces import ArchSpec


def frontier_data(
    points: Sequence[FrontierPoint], archs: Mapping[str, ArchSpec], curves: Mapping[str, Sequence[float]], x: str
) -> dict[str, Any] | None:
    """Points that have a figure on axis `x` (a key of AXES), the front, its knee, each run's hypervolume, and how much
    more accurate networks are than others of their cost.

    archs: architectures by id, shown where a point is looked at; curves: accuracies of the seeds by architecture id.
    None where no point is left.
    """
    axis = AXES[x]
    shown = [point for point in points if axis.of(point) is not None]
    if not shown:
        return None
    measured = measured_points(shown)
    costs = [axis.of(point) or 0.0 for point in measured]
    values = [point.accuracy for point in measured]
    front = pareto_front(costs, values, SAME_COST)
    top = knee(costs, values, SAME_COST)
    return {
        "axis": axis.label,
        "unit": axis.unit,
        "accuracy": f"{measured[0].split} {measured_by(measured[0].recipe)}" if measured else "accuracy",
        "points": [_point(point, axis.of(point) or 0.0, archs, curves) for point in shown],
        "front": [shown.index(measured[i]) for i in front],
        "known": [[shown.index(point) for point in curve] for curve in known_curves(measured, axis)],
        "knee": None if top is None else shown.index(measured[top]),
        "volumes": volumes(measured, x),
        "differences": [str(each) for each in differences(measured)],
    }


def volumes(measured: Sequence[FrontierPoint], x: str) -> list[dict[str, Any]]:
    """The hypervolume of each run's front against the costliest and the least accurate of all points."""
    of = AXES[x].of
    if not measured:
        return []
    reference = max(of(p) or 0.0 for p in measured), min(p.accuracy for p in measured)
    rows = []
    for run in sorted({point.run for point in measured}):
        own = [point for point in measured if point.run == run]
        area = hypervolume([of(p) or 0.0 for p in own], [p.accuracy for p in own], reference)
        rows.append({"run": run, "points": len(own), "hypervolume": area})
    return rows


def _point(
    point: FrontierPoint, cost: float, archs: Mapping[str, ArchSpec], curves: Mapping[str, Sequence[float]]
) -> dict[str, Any]:
    arch = archs.get(point.arch_id)
    return {
        "label": drawn_name(point.label, point.role), "role": point.role, "run": point.run, "x": cost,
        "y": point.accuracy,
        "std": point.std if point.n > 1 else 0.0, "n": point.n, "split": point.split, "data": point.data,
        "epochs": point.epochs, "recipe": point.recipe, "macs": point.macs or None, "params": point.params or None,
        "activations": point.activations, "latency_ms": point.latency_ms, "ram": point.ram, "flash": point.flash,
        "int8": point.int8, "int8_std": point.int8_std, "resolution": point.resolution or None, "plan": point.plan,
        "id": point.arch_id,
        "seeds": list(curves.get(point.arch_id, ())),
        "stages": [] if arch is None else [stage_words(stage) for stage in arch.stages],
    }  # fmt: skip
