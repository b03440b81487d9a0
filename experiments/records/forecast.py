"""forecast.json: the accuracies that a run expected of its family before it was trained."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.records.record import Record
from experiments.records.values import Count, Share

MISFIT = 0.05
"""Lack of fit below which a forecast is not to be relied on."""


@dataclass(frozen=True)
class MemberForecast:
    """A family member and its accuracy: the expected one, and the ends of the 90 % interval for the mean of the
    trainings of its network."""

    phi: float
    macs: Count
    arch_id: str
    expected: Share
    low: Share
    high: Share


@dataclass(frozen=True, kw_only=True)
class ForecastRecord(Record):
    """Accuracies on `split` after trainings of `epochs`, means of `n` of them, by phi. lack_of_fit: the probability of
    residuals as large as those of the trainings that the forecast rests on, were its model true."""

    FILE = "forecast.json"
    WHAT = "a run's forecast of its family"

    epochs: Count
    split: str
    n: Count
    lack_of_fit: Share
    members: tuple[MemberForecast, ...]
