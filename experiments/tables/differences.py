"""Networks compared in pairs: how much more accurate one is than another of the same cost, and how sure that is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd
from scipy import stats

from experiments.tables.csv_rows import to_csv
from experiments.tables.frontier import SAME_COST, FrontierPoint

LEVEL = 0.95
_OWN, OTHERS = ("baseline", "family", "distilled"), ("reference", "given", "rival", "pretrained")


@dataclass(frozen=True)
class Difference:
    """Accuracy of `label` less that of `other`, in 0..1, and the ends of its 95 % interval (Welch's, over the seeds).

    cost: MACs of the first over those of the other. n, n_other: seeds; low and high are NaN where either is 1.
    """

    label: str
    other: str
    cost: float
    n: int
    n_other: int
    gain: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.label} against {self.other} at {self.cost:.2f} of its MACs: {self.words}"

    @property
    def words(self) -> str:
        """The gain and its interval, such as `+1.2 points (95 %: +0.4 to +2.0)`."""
        gap = f"{100 * self.gain:+.1f} points"
        if math.isnan(self.low):
            return f"{gap} (one seed: no interval)"
        sure = "" if self.is_gain or self.is_loss else ", not distinguishable"
        return f"{gap} (95 %: {100 * self.low:+.1f} to {100 * self.high:+.1f}{sure})"

    @property
    def is_gain(self) -> bool:
        """Whether the first is better by the whole interval; never where there is none."""
        return self.low > 0

    @property
    def is_loss(self) -> bool:
        """Whether the first is worse by the whole interval; never where there is none."""
        return self.high < 0


def differences(points: Sequence[FrontierPoint]) -> list[Difference]:
    """The baseline and its family, distilled or not, each against the known networks, those given and the rivals of
    its run at the same cost, unless they are the same network; and what was distilled against the same without a
    teacher."""
    return [
        difference(own, other)
        for own in points
        for other in points
        if own.run == other.run and abs(own.macs / other.macs - 1) <= SAME_COST and _compare(own, other)
    ]


def _compare(own: FrontierPoint, other: FrontierPoint) -> bool:
    if own.role == "distilled" and own.arch_id == other.arch_id:
        return other.role != "distilled"
    return own.role in _OWN and other.role in OTHERS and own.arch_id != other.arch_id


def difference(first: FrontierPoint, second: FrontierPoint) -> Difference:
    """Their difference, with Welch's interval: unequal variances, and degrees of freedom after Satterthwaite (1946)."""
    gain = first.accuracy - second.accuracy
    reach = math.nan
    if min(first.n, second.n) > 1:
        shares = [point.std**2 / point.n for point in (first, second)]
        reach = 0.0
        if sum(shares) > 0:
            freedom = sum(shares) ** 2 / sum(s**2 / (p.n - 1) for s, p in zip(shares, (first, second), strict=True))
            reach = float(stats.t.ppf(0.5 + LEVEL / 2, freedom)) * math.sqrt(sum(shares))
    return Difference(
        first.label, second.label, first.macs / second.macs, first.n, second.n, gain, gain - reach, gain + reach
    )


def differences_csv(found: Sequence[Difference]) -> str:
    """One row a pair."""
    columns = list(Difference.__dataclass_fields__)
    return to_csv(pd.DataFrame([asdict(each) for each in found], columns=columns))
