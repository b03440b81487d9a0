"""Which points no other point beats."""

from __future__ import annotations

from collections.abc import Sequence


def pareto_front(costs: Sequence[float], values: Sequence[float]) -> list[int]:
    """Indices of the points that no other beats on both axes (lower cost, higher value), by rising cost.

    Of equal points the first stays. Raises ValueError when the lengths differ.
    """
    if len(costs) != len(values):
        raise ValueError(f"{len(costs)} costs for {len(values)} values")
    order = sorted(range(len(costs)), key=lambda i: (costs[i], -values[i], i))
    front: list[int] = []
    for i in order:
        if not front or values[i] > values[front[-1]]:
            front.append(i)
    return front
