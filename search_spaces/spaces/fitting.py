"""A space fitted to a MACs target: the widths that its members are built around."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from search_spaces.arch import ArchSpec
from search_spaces.fit import resize, solve_width
from search_spaces.spaces.space import StagedSpace
from search_spaces.spaces.table import cost_table

SAMPLE = 150
TOLERANCE = 0.25

Make = Callable[[ArchSpec], StagedSpace]
"""The space around a network."""


def fit_space(make: Make, base: ArchSpec, target_macs: float, median: Callable[[StagedSpace], float]) -> StagedSpace:
    """The space around `base` with all widths scaled so that the `median` member costs `target_macs`.

    Raises ValueError when it would miss that by more than 25 %.
    """
    fitted = solve_width(lambda width: resize(base, width), lambda arch: median(make(arch)), target_macs)
    space = make(fitted)
    cost = median(space)
    if abs(cost / target_macs - 1) > TOLERANCE:
        raise ValueError(
            f"target of {target_macs / 1e6:.3g} M MACs cannot be reached at {base.resolution} pixels: "
            f"the median candidate would cost {cost / 1e6:.3g} M; choose another target or resolution"
        )
    return space


def median_macs(space: StagedSpace, num_classes: int) -> float:
    """The median MACs of one fixed sample of the encodings of a space."""
    rows = space.sample(np.random.default_rng(0), SAMPLE)
    return float(np.median(cost_table(space, num_classes).count(rows)[:, 0]))


def layers_around(layers: int) -> tuple[int, ...]:
    """One fewer, the same, one more; a single layer cannot lose one and gets a second more instead."""
    first = max(1, layers - 1)
    return (first, first + 1, first + 2)
