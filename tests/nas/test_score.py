"""The score in its three forms, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest

from nas.score import Score


def test_the_soft_form_is_the_papers() -> None:
    # MnasNet, eq. 2 with alpha = beta = -0.07: twice the cost for 5 % more accuracy scores the same.
    score = Score(100.0)
    assert score(0.5, 100) == 0.5
    assert score(0.5, 200) == pytest.approx(0.5 * 2**-0.07)
    assert score(0.5, 50) == pytest.approx(0.5 * 2**0.07)


def test_the_hard_form_charges_above_the_target_alone() -> None:
    # MnasNet, section 4.1: alpha = 0, beta = -1.
    score = Score(100.0, 0.0, -1.0)
    assert [score(0.5, macs) for macs in (1, 50, 100)] == [0.5, 0.5, 0.5]
    assert [score(0.5, macs) for macs in (200, 400)] == [0.25, 0.125]


def test_each_side_of_the_target_has_its_exponent() -> None:
    score = Score(100.0, -0.5, -2.0)
    assert score(0.5, 25) == pytest.approx(1.0)
    assert score(0.5, 100) == 0.5
    assert score(0.5, 200) == pytest.approx(0.125)


def test_the_absolute_form_charges_for_the_distance() -> None:
    # TuNAS, eq. 3: accuracy + beta |cost / target - 1|.
    score = Score(100.0, -0.1, form="absolute")
    assert score(0.5, 100) == 0.5
    assert score(0.5, 150) == score(0.5, 50) == pytest.approx(0.45)
    assert score(0.5, 300) == pytest.approx(0.3)
    assert Score(100.0, -0.1, -0.2, form="absolute")(0.5, 150) == pytest.approx(0.4)
    assert Score(100.0, -0.1, -0.2, form="absolute")(0.5, 50) == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"target_macs": 0}, "target_macs must be above 0"),
        ({"target_macs": -1e6}, "target_macs must be above 0"),
        ({"target_macs": math.inf}, "target_macs must be above 0"),
        ({"target_macs": math.nan}, "target_macs must be above 0"),
        ({"target_macs": "20M"}, "target_macs must be above 0 .*'20M'"),
        ({"target_macs": 10**400}, "target_macs must be above 0 and at most"),
        ({"target_macs": 1, "exponent": 0.1}, "exponent must be at most 0"),
        ({"target_macs": 1, "exponent": None}, "exponent must be at most 0"),
        ({"target_macs": 1, "exponent": -1e5}, "exponent must be at most 0 .+ and at least -10"),
        ({"target_macs": 1, "exponent_above": 1}, "exponent_above must be at most 0"),
        ({"target_macs": 1, "form": "soft"}, "form must be one of power, absolute, not 'soft'"),
    ],
)
def test_a_score_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Score(**given)


@pytest.mark.parametrize("macs", [0, -1, -math.inf])
def test_a_cost_that_cannot_be_is_refused(macs: float) -> None:
    with pytest.raises(ValueError, match=r"^macs must be above 0"):
        Score(1e6)(0.5, macs)


def test_an_unknown_cost_has_no_score() -> None:
    assert math.isnan(Score(1e6)(0.5, math.nan))


@pytest.mark.parametrize("exponent", [0, -0.07, -10])
def test_every_score_is_a_number(exponent: float) -> None:
    for target in (1, 1e18):
        for macs in (1, 1e18):
            assert math.isfinite(Score(target, exponent)(1.0, macs))
