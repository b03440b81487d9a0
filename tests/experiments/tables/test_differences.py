"""Differences at equal cost: who is compared, and intervals that cover as often as they say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from experiments.tables.differences import Difference, difference, differences, differences_csv
from experiments.tables.frontier import SAME_COST, FrontierPoint

POINT = FrontierPoint("net", "baseline", "mine", "digits", "test", 3, "fast", 3, 0.5, 0.01, 10**6, 10**4, 16, "0")


def point(label: str, role: str, values: list[float], macs: int = 10**6, arch_id: str = "") -> FrontierPoint:
    std = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    measured = replace(POINT, accuracy=float(np.mean(values)), std=std, n=len(values))
    return replace(measured, label=label, role=role, macs=macs, arch_id=arch_id or label)


def test_the_interval_is_welchs() -> None:
    ours, theirs = [0.61, 0.64, 0.66], [0.55, 0.58, 0.60, 0.52]
    found = difference(point("a", "baseline", ours), point("b", "reference", theirs))
    wanted = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    assert found.gain == pytest.approx(np.mean(ours) - np.mean(theirs))
    assert (found.low, found.high) == pytest.approx((wanted.low, wanted.high))


def test_intervals_cover_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        a, b = rng.normal(0.6, 0.01, 3).tolist(), rng.normal(0.5, 0.03, 3).tolist()
        found = difference(point("a", "family", a), point("b", "rival", b))
        hits += found.low <= 0.1 <= found.high
    assert 930 <= hits <= 985


@pytest.mark.parametrize(("ours", "theirs"), [([0.6], [0.5, 0.6]), ([0.6, 0.7], [0.5])])
def test_one_seed_has_no_interval(ours: list[float], theirs: list[float]) -> None:
    found = difference(point("a", "baseline", ours), point("b", "reference", theirs))
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    assert str(found).endswith("(one seed: no interval)")


def test_seeds_that_agree_to_the_bit_leave_no_doubt() -> None:
    found = difference(point("a", "baseline", [0.6, 0.6]), point("b", "reference", [0.5, 0.5]))
    assert (found.low, found.high) == pytest.approx((0.1, 0.1))


def test_only_what_costs_the_same_in_the_same_run_is_compared() -> None:
    values = [0.5, 0.6]
    far = round(10**6 * (1 + 2 * SAME_COST))
    points = [
        point("baseline", "baseline", values),
        point("phi 1", "family", values, 2 * 10**6),
        point("b0", "reference", values, round(10**6 * (1 + SAME_COST / 2))),
        point("too dear", "reference", values, far),
        point("depth only, phi 1", "rival", values, 2 * 10**6),
        point("trial 3", "candidate", values),
        point("published", "published", values),
        replace(point("elsewhere", "reference", values), run="other"),
        point("dWr, phi 1", "rival", values, 2 * 10**6, arch_id="phi 1"),
    ]
    assert [(each.label, each.other) for each in differences(points)] == [
        ("baseline", "b0"),
        ("phi 1", "depth only, phi 1"),
    ]


def test_it_says_what_it_cannot_tell_apart() -> None:
    sure = Difference("a", "b", 1.004, 3, 3, 0.05, 0.02, 0.08)
    assert str(sure) == "a against b at 1.00 of its MACs: +5.0 points (95 %: +2.0 to +8.0)"
    assert str(replace(sure, low=-0.01)).endswith("(95 %: -1.0 to +8.0, not distinguishable)")
    assert differences_csv([sure]).splitlines() == [
        "label,other,cost,n,n_other,gain,low,high", "a,b,1.004,3,3,0.05,0.02,0.08"
    ]  # fmt: skip
    assert differences_csv([]).splitlines() == ["label,other,cost,n,n_other,gain,low,high"]
