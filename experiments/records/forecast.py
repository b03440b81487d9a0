"""forecast.json: the accuracies that a run expects of its family, by the trainings of the coefficient search alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.records.record import Record
from experiments.records.values import ABSENT, Count, Share
from experiments.wording import metric_words
from scaling_search.size_drift import SizeDrift

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

    @property
    def in_words(self) -> str:
        """Such as `71.2 % (68.0 to 74.1)`."""
        return f"{100 * self.expected:.1f} % ({100 * self.low:.1f} to {100 * self.high:.1f})"


@dataclass(frozen=True)
class RuleForecast:
    """What another division of the growth is expected to give up at phi, in 0..1 (below 0: it is better), with the ends
    of its 90 % interval."""

    rule: str
    phi: float
    loss: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class ForecastRecord(Record):
    """Values of `metric` on `split` after trainings of `epochs` by `recipe`, means of `n` of them, by phi. lack_of_fit:
    the probability of residuals as large as those of the trainings that the forecast rests on, were its model true.
    size_drift: how the best shares change with the size, None where no network tells of it."""

    FILE = "forecast.json"
    WHAT = "a run's forecast of its family"

    epochs: Count
    split: str
    n: Count
    recipe: str
    metric: str
    lack_of_fit: Share
    members: tuple[MemberForecast, ...]
    rules: tuple[RuleForecast, ...] = ()
    size_drift: SizeDrift | None = field(default=None, metadata=ABSENT)

    @property
    def rules_line(self) -> str | None:
        """What other rules are expected to give up, in a sentence; None where nothing is known."""
        if not self.rules:
            return None
        told = ", ".join(
            f"{each.rule} {100 * each.loss:.1f} ({100 * each.low:.1f} to {100 * each.high:.1f})" for each in self.rules
        )
        cost = 2 ** self.rules[0].phi
        return f"expected loss at {cost:g} times the cost if it grows by another rule, in points (90 %): {told}"

    @property
    def how(self) -> str:
        """What is forecast, in words."""
        trainings = "one training" if self.n == 1 else f"the mean of {self.n} trainings"
        length = "one epoch" if self.epochs == 1 else f"{self.epochs} epochs"
        return f"{metric_words(self.metric)} on {self.split}, {trainings} of {length}"
