"""Stratified splits and orders of labelled items, by seed. Pure functions of label arrays."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def stratified_order(labels: Indices, seed: int) -> Indices:
    """A shuffled order of 0..n-1 in which every prefix holds the classes in proportion.

    The first as many places as there are classes hold one item of each. Within a class the order is random by seed
    and by the class's label, so another class more or less leaves it as it is.
    """
    place = np.zeros(len(labels), dtype=np.float64)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        shuffled = np.random.default_rng([seed, int(label)]).permutation(members)
        place[shuffled] = (np.arange(len(members)) + 0.5) / len(members)
        place[shuffled[0]] = 0.0
    return np.argsort(place, kind="stable").astype(np.int64)


def stratified_split(labels: Indices, fractions: tuple[float, ...], seed: int) -> tuple[Indices, ...]:
    """Divide 0..n-1 into a rest and one part per fraction; each part holds every class in proportion.

    Returns (rest, part, part ...), each sorted. A class's share of a part is rounded to the nearest, but is at least
    one item where the class has enough to leave one for the rest; earlier parts are served first.
    """
    parts: list[list[int]] = [[] for _ in range(len(fractions) + 1)]
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        left = list(np.random.default_rng([seed, int(label)]).permutation(members))
        for i, fraction in enumerate(fractions, start=1):
            wanted = max(1, round(len(members) * fraction)) if fraction > 0 else 0
            taken = min(wanted, len(left) - 1)
            parts[i] += left[:taken]
            left = left[taken:]
        parts[0] += left
    return tuple(np.sort(np.array(part, dtype=np.int64)) for part in parts)
