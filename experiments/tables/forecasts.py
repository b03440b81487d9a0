"""A run's forecast of its family beside what its members then reached."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.records import ForecastRecord
from experiments.tables.frontier import FrontierPoint

_OWN = ("baseline", "family")


def held(forecast: ForecastRecord, points: Sequence[FrontierPoint]) -> dict[str, bool]:
    """For each member that was trained as the forecast says, by its id: does its accuracy lie in the interval?"""
    reached = {
        point.arch_id: point.accuracy
        for point in points
        if point.role in _OWN and (point.epochs, point.split) == (forecast.epochs, forecast.split)
    }
    return {
        member.arch_id: member.low <= reached[member.arch_id] <= member.high
        for member in forecast.members
        if member.arch_id in reached
    }


def score_line(forecast: ForecastRecord, points: Sequence[FrontierPoint]) -> str | None:
    """How many forecasts held, in a sentence; None where no member was trained yet."""
    found = held(forecast, points)
    if not found:
        return None
    return (
        f"Of the {len(forecast.members)} forecasts for the family, {len(found)} can be checked: {sum(found.values())} "
        "of them lie within their 90 % intervals."
    )
