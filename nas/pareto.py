"""Which points no other point beats."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence


def pareto_front(costs: Sequence[float], values: Sequence[float], same: float = 0.0) -> list[int]:
    """Indices of the points that no other beats on both axes (lower cost, higher value), by rising cost.

    Of equal points the first stays. same: a point is also beaten by one of a higher value that costs more by no more
    than this share. Raises ValueError when the lengths differ.
    """
    if len(costs) != len(values):
        raise ValueError(f"{len(costs)} costs for {len(values)} values")
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i], i))
    front: list[int] = []
    for i in order:
        if not front or values[i] > values[front[-1]]:
            front.append(i)
    beaten = {i for i, better in itertools.pairwise(front) if same and costs[better] <= (1 + same) * costs[i]}
    return [i for i in front if i not in beaten]


def hypervolume(costs: Sequence[float], values: Sequence[float], reference: tuple[float, float]) -> float:
    """The area that the points dominate on a plane of ln(cost) and value, up to `reference` = (cost, value).

    Points beyond the reference on either axis add nothing. Unit: that of the values (times e-folds of cost); two fronts
    compare only at the same reference. Source: Zitzler and Thiele 1998, in two dimensions. Costs are above 0.
    """
    worst_cost, worst_value = reference
    area, floor = 0.0, worst_value
    for i in pareto_front(costs, values):
        if costs[i] < worst_cost and values[i] > floor:
            area += (math.log(worst_cost) - math.log(costs[i])) * (values[i] - floor)
            floor = values[i]
    return area


def knee(costs: Sequence[float], values: Sequence[float], same: float = 0.0) -> int | None:
    """The index of the front's point farthest above the straight line between its ends, on a log axis of cost.

    Beyond it more cost brings less than the front's average. None for a front of fewer than three points, or one that
    nowhere rises above that line. same: see pareto_front. Source: Branke et al. 2004 and Satopaa et al. 2011
    ("Kneedle"), for a maximum.
    """
    front = pareto_front(costs, values, same)
    if len(front) < 3:
        return None
    first, last = front[0], front[-1]
    slope = (values[last] - values[first]) / (math.log(costs[last]) - math.log(costs[first]))
    heights = [values[i] - values[first] - slope * (math.log(costs[i]) - math.log(costs[first])) for i in front]
    best = max(range(len(front)), key=lambda k: heights[k])
    return front[best] if heights[best] > 1e-12 else None
