"""Is the optimum better than the scalings people would use instead, and how many trainings would tell?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_search.coefficients import DWR, EFFICIENTNET, Shares
from scaling_search.surface.triangle import Floats

ALTERNATIVES: Mapping[str, Shares] = {
    str(EFFICIENTNET): EFFICIENTNET.shares,
    "dWr": DWR,
    "depth only": Shares(1.0, 0.0, 0.0),
    "width only": Shares(0.0, 1.0, 0.0),
    "resolution only": Shares(0.0, 0.0, 1.0),
}
SIGNIFICANT = 0.025
"""The lack-of-fit test, at 0.01, can speak against a flat surface too, and so can the points' slightly unequal costs:
this leaves room for both within 5 % of false alarms."""
SURE = 0.975
_NORMAL_90 = 3.29
"""Standard deviations that the middle 90 % of a normal distribution span."""
WITHIN_REACH = 20
"""More than this many times the trainings there are is reported as out of reach."""


@dataclass(frozen=True)
class Comparison:
    """The optimum against another division of the same growth.

    gain: the accuracy (0..1) that the other gives up, the median, with its 90 % interval `low`..`high`. probability:
    that it gives up any. clear: the surface is no accident of the noise and the probability is above SURE. more: how
    many further trainings would about decide; None when it is clear, when nothing is given up, or out of reach.
    """

    name: str
    shares: Shares
    gain: float
    low: float
    high: float
    probability: float
    clear: bool
    more: int | None


def compare(name: str, shares: Shares, gains: Floats, flatness: float, trainings: int) -> Comparison:
    """From (n,) draws of the accuracy given up, the p-value of a flat surface, and the trainings made."""
    low, gain, high = (float(value) for value in np.quantile(gains, [0.05, 0.5, 0.95]))
    probability = float((gains > 0).mean())
    clear = flatness <= SIGNIFICANT and probability > SURE
    return Comparison(
        name=name,
        shares=shares,
        gain=gain,
        low=low,
        high=high,
        probability=probability,
        clear=clear,
        more=None if clear else _more(gain, (high - low) / _NORMAL_90, trainings),
    )


def _more(gain: float, spread: float, trainings: int) -> int | None:
    """Uncertainty shrinks with the root of the trainings: how many more until the gain is twice its spread."""
    if gain <= 0:
        return None
    factor = max(1.5, (2 * spread / gain) ** 2)
    return math.ceil(trainings * (factor - 1)) if factor <= WITHIN_REACH else None


def sentence(comparison: Comparison, trainings: int) -> str:
    """One comparison in plain words, accuracies in points (hundredths)."""
    c = comparison
    points = f"{100 * c.gain:.2f} points (90 % interval {100 * c.low:.2f} to {100 * c.high:.2f})"
    if c.clear:
        return f"clearly better than {c.name}: it gives up {points}"
    start = f"not distinguishable from {c.name} with {trainings} trainings (difference {points})"
    if c.gain <= 0:
        return f"{start}; by the estimate it is as good"
    if c.more is None:
        return f"{start}; more than {WITHIN_REACH * trainings} trainings would be needed to decide"
    return f"{start}; about {c.more} more of this length would decide"
