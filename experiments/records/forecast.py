"""forecast.json: the accuracies that a run expects of its family, by the trainings of the coefficient search alone."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.records.record import Record
from experiments.records.values import Count, Share
from experiments.wording import metric_words

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
    """Values of `metric` on `split` after trainings of `epochs` by `recipe`, means of `n` of them, by phi. lack_of_fit:
    the probability of residuals as large as those of the trainings that the forecast rests on, were its model true."""

    FILE = "forecast.json"
    WHAT = "a run's forecast of its family"

    epochs: Count
    split: str
    n: Count
    recipe: str
    metric: str
    lack_of_fit: Share
    members: tuple[MemberForecast, ...]

    @property
    def how(self) -> str:
        """What is forecast, in words."""
        trainings = "one training" if self.n == 1 else f"the mean of {self.n} trainings"
        return f"{metric_words(self.metric)} on {self.split}, {trainings} of {self.epochs} epochs"
