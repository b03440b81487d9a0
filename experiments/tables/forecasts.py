"""A run's forecast of its family beside what its members then reached."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.records import ForecastRecord
from experiments.tables.frontier import FrontierPoint

_OWN = ("baseline", "family")


def held(forecast: ForecastRecord, points: Sequence[FrontierPoint]) -> dict[str, bool]:
    """For each member that was trained as the forecast says, by its id: does its accuracy lie in the interval? (With
    further seeds than forecast it is a little surer than its interval.)"""
    how = (forecast.epochs, forecast.split, forecast.recipe)
    reached = {
        point.arch_id: point.accuracy
        for point in points
        if point.role in _OWN and (point.epochs, point.split, point.recipe) == how and point.n >= forecast.n
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
    if len(found) == 1:
        lies = "lies" if all(found.values()) else "does not lie"
        return f"One member of the family was trained as forecast; its value {lies} within the 90 % interval."
    return (
        f"{len(found)} members of the family were trained as forecast; the values of {sum(found.values())} lie within "
        "their 90 % intervals."
    )
