"""Who the best opponent is, and which of the two is to be taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.tables.frontier import SAME_COST, FrontierPoint
from experiments.tables.standing import standing
from experiments.wording import FOUND

POINT = FrontierPoint("net", "baseline", "mine", "digits", "test", 3, "fast", 3, 0.9, 0.001, 10**6, 10**4, 16, "0")


def point(label: str, accuracy: float, macs: int = 10**6, role: str = "reference", **more: object) -> FrontierPoint:
    other = replace(POINT, label=label, role=role, accuracy=accuracy, macs=macs, arch_id=label)
    return replace(other, **more)  # type: ignore[arg-type]


def verdict(*others: FrontierPoint, own: FrontierPoint = POINT) -> str:
    found = standing([own, *others])
    assert found is not None
    return found.sentence("the network found")


def test_a_clear_win_is_over_the_best_of_all_that_cost_no_more() -> None:
    far = round(10**6 * (1 + SAME_COST)) + 1
    assert verdict(
        point("cheap", 0.85, 10**5),
        point("better and dearer", 0.95, far),
        point("plain", 0.88, far - 1),
        point("width only", 0.87, role="rival"),
        point("trial 3", 0.95, role="candidate"),
        point("phi 1", 0.95, role="family"),
        point("published", 0.99, role="published"),
        point("elsewhere", 0.99, run="other"),
    ) == (
        "The network found beats plain, the best network beside it at about its cost or less: 90.0 % ± 0.1 at 1 M "
        "multiply-adds and 10 k parameters on test against 88.0 % ± 0.1 at 1.05 M multiply-adds and 10 k "
        "parameters, +2.0 points (95 %: +1.8 to +2.2)."
    )


@pytest.mark.parametrize(
    ("other", "own", "words"),
    [
        (point("plain", 0.92, 670_000), POINT,
         "Take plain (92.0 % ± 0.1 at 670 k multiply-adds and 10 k parameters on test) "
         "instead of the network found (90.0 % ± 0.1 at 1 M "
         "multiply-adds and 10 k parameters), "
         "which is worse: -2.0 points (95 %: -2.2 to -1.8)."),
        (point("plain", 0.89, std=0.02), replace(POINT, std=0.02),
         "Take plain (89.0 % ± 2.0 at 1 M multiply-adds and 10 k parameters on test) "
         "instead of the network found (90.0 % ± 2.0 at 1 M "
         "multiply-adds and 10 k parameters), "
         "which took a search and is not shown to be better: +1.0 points (95 %: -3.5 to +5.5, not distinguishable)."),
        (point("plain", 0.91, n=1, std=0.0), replace(POINT, n=1, std=0.0),
         "Take plain (91.0 % at 1 M multiply-adds and 10 k parameters on test) "
         "instead of the network found (90.0 % at 1 M "
         "multiply-adds and 10 k parameters), "
         "which took a search and is not shown to be better: -1.0 points (one seed: no interval)."),
        (point("plain", 0.89, n=1, std=0.0), replace(POINT, n=1, std=0.0),
         "Take plain (89.0 % at 1 M multiply-adds and 10 k parameters on test) "
         "instead of the network found (90.0 % at 1 M "
         "multiply-adds and 10 k parameters), "
         "which took a search and is not shown to be better: +1.0 points (one seed: no interval)."),
        (point("plain", 0.90, n=1, std=0.0), replace(POINT, n=1, std=0.0),
         "Take plain (90.0 % at 1 M multiply-adds and 10 k parameters on test) "
         "instead of the network found (90.0 % at 1 M "
         "multiply-adds and 10 k parameters), "
         "which took a search and is not shown to be better: +0.0 points (one seed: no interval)."),
    ],
)  # fmt: skip
def test_the_opponent_is_to_be_taken_unless_it_is_clearly_beaten(
    other: FrontierPoint, own: FrontierPoint, words: str
) -> None:
    assert verdict(other, own=own) == words


def test_only_what_was_searched_for_took_a_search() -> None:
    equal = point("plain", 0.9, std=0.02)
    own = replace(POINT, std=0.02)
    given = replace(equal, role="given", label="runs/other")
    for other, called, searched in ((equal, FOUND, True), (equal, "the network given", False), (given, FOUND, False)):
        placed = standing([own, other])
        assert placed is not None
        assert ("took a search" in placed.sentence(called)) == searched


def test_the_one_advised_is_that_of_the_sentence() -> None:
    for other in (point("plain", 0.88), point("plain", 0.92)):
        placed = standing([POINT, other])
        assert placed is not None
        assert placed.sentence("the network found").startswith(f"Take {placed.advised.label} ") == (
            other.accuracy > 0.9
        )
        assert placed.advised == max(POINT, other, key=lambda each: each.accuracy)


def test_without_a_baseline_or_an_opponent_nothing_is_said() -> None:
    assert standing([]) is None
    assert standing([point("plain", 0.9)]) is None
    assert standing([POINT, point("phi 1", 0.9, role="family"), point("dear", 0.9, 2 * 10**6)]) is None
    assert standing([POINT, point("the same network", 0.9, arch_id=POINT.arch_id)]) is None


others = st.builds(
    point,
    st.just("other"),
    st.floats(0, 1),
    st.integers(1, 2 * 10**6),
    st.sampled_from(["reference", "rival", "family", "candidate"]),
)


@given(st.lists(others, max_size=8))
def test_nobody_who_costs_no_more_is_more_accurate_than_the_best(points: list[FrontierPoint]) -> None:
    rivals = [p for p in points if p.role in ("reference", "rival") and p.macs <= 10**6 * (1 + SAME_COST)]
    found = standing([*points, POINT])
    assert (found is None) == (not rivals)
    if found is not None:
        assert found.own == POINT
        assert found.best in rivals
        assert all((p.accuracy, -p.macs) <= (found.best.accuracy, -found.best.macs) for p in rivals)
