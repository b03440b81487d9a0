"""A space whose members cost the same: choices give a network's shape, and its widths are those that meet a target."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from search_spaces.arch import ArchSpec, canonical
from search_spaces.cost import count_macs
from search_spaces.fit import nudged, resize
from search_spaces.ops.base.stage import altered, bare
from search_spaces.spaces.choices import OneOf, Params, active, choices_of, decide
from search_spaces.spaces.space import SearchSpace

DIVISOR = 4
"""What channels are multiples of."""
MOST = 1.1
"""What a member costs at most, as a multiple of its target."""
_RANGE = 1024  # widths are looked for from a 1024th to 1024 times the shape's
_FINE = 1.005  # two widths of a smaller ratio are taken as the same


@dataclass(frozen=True)
class EqualCostSpace(SearchSpace):
    """A space as data whose members all cost about the same: `spec` is an architecture in whose fields choices may
    stand, its widths relative to one another (`equal_cost_space`)."""

    spec: Any

    def active(self, params: Params) -> set[str]:
        """As in SearchSpace; choices in alternatives that are not taken make no difference."""
        return active(self.spec, params)


def equal_cost_space(
    name: str, spec: Any, target_macs: float, *, num_classes: int = 1000, sizes: tuple[int, ...] = (100,)
) -> EqualCostSpace:
    """The space of all networks whose shape `spec`, an ArchSpec with choices in it, may take, each with the widths that
    bring it nearest to `target_macs`; decoding raises what `fit_shape` does.

    Its parameters are the choices in the order in which they are met. sizes: in percent of the target; where they are
    several, `size` is the first choice, and members cost as much as it says.
    """
    several = len(sizes) > 1
    sized = OneOf("size", sizes, (spec,) * len(sizes)) if several else spec

    @lru_cache(maxsize=4096)  # samplers ask for many rows that differ in choices that make no difference
    def fit(shape: ArchSpec, size: int) -> ArchSpec:
        return fit_shape(shape, target_macs * size / 100, num_classes)

    def decode(params: Params) -> ArchSpec:
        return fit(canonical(decide(spec, params)), params["size"] if several else sizes[0])

    return EqualCostSpace(
        name, choices_of(sized), decode, sized, equal_macs=None if several else target_macs * sizes[0] / 100
    )


def fit_shape(shape: ArchSpec, target_macs: float, num_classes: int = 1000) -> ArchSpec:
    """`shape` with all widths scaled alike, so that it costs as near to `target_macs` as multiples of 4 channels allow;
    where that misses by more than 5 %, single widths are moved. A stage that has no shortcut, since its only block
    changes the channels, has none where its widths come out equal either.

    Raises ValueError when the narrowest costs more than 1.1 times the target, or the widest less.
    """

    def cost(arch: ArchSpec) -> int:
        return count_macs(arch, None, num_classes)

    def miss(arch: ArchSpec) -> float:
        return abs(cost(arch) / target_macs - 1)

    low, high = 1 / _RANGE, float(_RANGE)
    while high > low * _FINE:  # cost grows with width, in steps
        middle = math.sqrt(low * high)
        low, high = (middle, high) if cost(_scaled(shape, middle)) <= target_macs else (low, middle)
    below = _scaled(shape, low)
    if cost(_scaled(shape, high)) < target_macs / MOST:
        raise ValueError(f"target of {target_macs / 1e6:.3g} M MACs cannot be met: it takes {_RANGE} times the widths")
    fitted = nudged(min(below, _scaled(shape, high), key=miss), miss, DIVISOR)
    if cost(fitted) > MOST * target_macs:
        fitted = below
    if cost(fitted) > MOST * target_macs:
        raise ValueError(
            f"with {DIVISOR} channels a stage the network costs {cost(fitted) / 1e6:.3g} M MACs, more than "
            f"{target_macs / 1e6:.3g} M"
        )
    return _without_new_shortcuts(shape, fitted)


def _without_new_shortcuts(shape: ArchSpec, fitted: ArchSpec) -> ArchSpec:
    """So that parameters mean the networks that they meant in earlier versions."""
    pairs = zip(shape.fed_stages(), fitted.fed_stages(), strict=True)
    stages = tuple(
        altered(after, skip="none")
        if before.skip == "identity" and bare(before, wide) and not bare(after, inputs)
        else after
        for (before, wide), (after, inputs) in pairs
    )
    return fitted if stages == fitted.stages else replace(fitted, stages=stages)


def _scaled(shape: ArchSpec, width: float) -> ArchSpec:
    return resize(shape, width, divisor=DIVISOR)
