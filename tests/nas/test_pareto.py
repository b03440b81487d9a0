"""Fronts against their definition."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.pareto import knee, pareto_front

points = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 20)), max_size=15)


@given(points, st.sampled_from([0.0, 0.05, 0.5]))
def test_the_front_is_what_nothing_beats(drawn: list[tuple[int, int]], same: float) -> None:
    costs, values = ([float(point[k]) for point in drawn] for k in (0, 1))

    def beats(j: int, i: int) -> bool:
        if values[j] > values[i]:
            return costs[j] <= (1 + same) * costs[i]
        return values[j] == values[i] and (costs[j], j) < (costs[i], i)

    everything = range(len(drawn))
    expected = [i for i in everything if not any(beats(j, i) for j in everything)]
    front = pareto_front(costs, values, same)
    assert sorted(front) == expected
    assert [costs[i] for i in front] == sorted(costs[i] for i in front)


def test_a_hair_of_cost_is_no_reason_to_stay_on_the_front() -> None:
    costs, values = [100.0, 101.0, 102.0, 200.0], [0.4, 0.6, 0.7, 0.8]
    assert pareto_front(costs, values) == [0, 1, 2, 3]
    assert pareto_front(costs, values, same=0.05) == [2, 3]
    with pytest.raises(ValueError, match="3 costs for 4 values"):
        pareto_front(costs[:3], values)


def test_the_knee_is_farthest_above_the_line_between_the_ends() -> None:
    costs, values = [1.0, 10.0, 100.0], [0.0, 0.9, 1.0]
    assert knee(costs, values) == 1
    assert knee(costs, [0.0, 0.5, 1.0]) is None
    assert knee(costs[:2], values[:2]) is None
    assert knee([1.0, 1.01, 10.0, 100.0], [0.0, 0.1, 0.9, 1.0], same=0.05) == 2
