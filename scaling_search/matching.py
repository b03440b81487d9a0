"""The nearest network that can be built to a wanted growth of cost, divided in wanted shares.

Distances are measured in doublings of counted cost. What a dimension contributes is the logarithm of the cost ratio
that it has when it alone is grown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import NamedTuple

from scaling_search.coefficients import Shares
from search_spaces import ArchSpec, count_macs
from search_spaces.rounding import round_channels, suitable_divisor

COUNTED = 40
"""Candidates are counted in batches of this size, the most promising first by predicted cost."""
ROUNDS = 4
"""How often the prediction is corrected before that."""


def realised_shares(baseline: ArchSpec, grown: ArchSpec, *, num_classes: int = 1000) -> Shares:
    """How the growth from `baseline` to `grown` (same stages) was divided: each dimension's own log cost ratio, sum 1.

    Raises ValueError when the two cost the same.
    """
    base = count_macs(baseline, num_classes=num_classes)
    alone = (
        with_layers(baseline, [stage.layers for stage in grown.stages]),
        _with_channels_of(baseline, grown),
        replace(baseline, resolution=grown.resolution),
    )
    logs = [math.log2(count_macs(arch, num_classes=num_classes) / base) for arch in alone]
    total = sum(logs)
    if total <= 0:
        raise ValueError("the network has not grown: shares of nothing cannot be told")
    return Shares(*(value / total for value in logs))


def nearest_network(
    arch: ArchSpec, shares: Shares, cost: float, *, num_classes: int = 1000, tolerance: float = 0.03
) -> ArchSpec:
    """The network grown from `arch` that is nearest to `cost` times its MACs (cost >= 1), divided in `shares`.

    No dimension is below the baseline's. Layers are added in total and apportioned over the stages by largest
    remainder; channels are multiples of a divisor that suits the width; the resolution is even. A network whose
    realised cost is within `tolerance` (a ratio) is preferred to a nearer one that is not.
    """
    dimensions = _Dimensions(arch, num_classes)
    log_cost = math.log2(cost)

    def distance(alone: Sequence[float], reached: float) -> float:
        total = sum(alone)
        realised = [value / total if total > 0 else 0.0 for value in alone]
        off = [log_cost * (got - want) for got, want in zip(realised, shares, strict=True)]
        return math.hypot(*off, reached - log_cost)

    # Grown together, dimensions cost more or less than the product of what each costs alone.
    interaction = 0.0
    ranked: list[_Sizes] = []
    for _ in range(ROUNDS):
        candidates = _around(dimensions, [share * (log_cost - interaction) for share in shares])
        ranked = sorted(candidates, key=lambda sizes: distance(c := dimensions.alone_all(sizes), sum(c) + interaction))
        interaction = math.log2(dimensions.ratio(*ranked[0])) - sum(dimensions.alone_all(ranked[0]))

    def counted(sizes: _Sizes) -> tuple[bool, float]:
        ratio = dimensions.ratio(*sizes)
        return abs(ratio / cost - 1) > tolerance, distance(dimensions.alone_all(sizes), math.log2(ratio))

    best = ranked[0]
    for start in range(0, len(ranked), COUNTED):
        best = min(best, *ranked[start : start + COUNTED], key=counted)
        if abs(dimensions.ratio(*best) / cost - 1) <= tolerance:
            break
    return dimensions.build(*best)


def with_layers(arch: ArchSpec, layers: Sequence[int]) -> ArchSpec:
    """`arch` with this many layers in each stage."""
    return replace(arch, stages=tuple(replace(s, layers=n) for s, n in zip(arch.stages, layers, strict=True)))


def apportion(weights: Sequence[int], total: int) -> list[int]:
    """`total` whole layers divided in proportion to `weights` by largest remainder; the first of equals wins."""
    quotas = [total * weight / sum(weights) for weight in weights]
    whole = [int(quota + 1e-9) for quota in quotas]
    by_remainder = sorted(range(len(weights)), key=lambda i: (round(whole[i] - quotas[i], 9), i))
    for i in by_remainder[: total - sum(whole)]:
        whole[i] += 1
    return whole


def widened(arch: ArchSpec, factor: float, divisor: int) -> ArchSpec:
    """`arch` with every width times `factor` (>= 1), rounded to `divisor` and never below the baseline's."""

    def channels(value: int) -> int:
        return value if factor == 1 or value == 0 else max(value, round_channels(factor * value, divisor))

    return replace(
        arch,
        stem=replace(arch.stem, channels=channels(arch.stem.channels)),
        stages=tuple(replace(stage, channels=channels(stage.channels)) for stage in arch.stages),
        head=replace(arch.head, channels=channels(arch.head.channels)),
    )


class _Sizes(NamedTuple):
    """Total layers, width factor, pixels."""

    layers: float
    width: float
    resolution: float


class _Dimensions:
    """The three ways to grow one baseline, with their counted costs."""

    def __init__(self, arch: ArchSpec, num_classes: int) -> None:
        self.arch = arch
        self.baseline = _Sizes(sum(stage.layers for stage in arch.stages), 1.0, arch.resolution)
        self._layers = [stage.layers for stage in arch.stages]
        channels = [arch.stem.channels, *(stage.channels for stage in arch.stages)]
        self._divisor = suitable_divisor(channels, math.lcm(*(stage.groups for stage in arch.stages)))
        base = count_macs(arch, num_classes=num_classes)
        self.ratio: Callable[[float, float, float], float] = cache(
            lambda *sizes: count_macs(self.build(*sizes), num_classes=num_classes) / base
        )

    def build(self, layers: float, width: float, resolution: float) -> ArchSpec:
        grown = widened(self.arch, width, self._divisor)
        pixels = self.arch.resolution if resolution == self.arch.resolution else _even(resolution)
        return replace(with_layers(grown, apportion(self._layers, round(layers))), resolution=pixels)

    def alone(self, dimension: int, size: float) -> float:
        """Doublings of cost when this dimension alone has this size."""
        sizes = list(self.baseline)
        sizes[dimension] = size
        return math.log2(self.ratio(*sizes))

    def alone_all(self, sizes: _Sizes) -> list[float]:
        """`alone` for the three dimensions in turn."""
        return [self.alone(k, size) for k, size in enumerate(sizes)]

    def size_at(self, dimension: int, doublings: float) -> float:
        """The size (unrounded) at which the dimension alone costs about this much, by bisection."""
        low = high = self.baseline[dimension]
        if doublings <= 0:
            return low
        while self.alone(dimension, high) < doublings:
            low, high = high, high * 1.5
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if self.alone(dimension, middle) < doublings else (low, middle)
        return (low + high) / 2


def _around(dimensions: _Dimensions, doublings: Sequence[float]) -> Iterable[_Sizes]:
    """Sizes that grow each dimension by about `doublings`, one of each buildable kind, none below the baseline's.

    Cost is a staircase in the resolution (maps are rounded up at every stride), hence the wide range of pixels.
    """
    layers, width, resolution = (dimensions.size_at(k, value) for k, value in enumerate(doublings))
    base = dimensions.baseline
    depths = {max(base.layers, round(layers) + step) for step in range(-3, 4)}
    widths = {max(1.0, width * (1 + step / 125)) for step in (*range(-12, 13), *range(-48, 49, 6))}
    pixels = {max(base.resolution, _even(resolution) + 2 * step) for step in range(-8, 9)}
    different = {dimensions.build(base.layers, w, base.resolution): w for w in sorted(widths, reverse=True)}
    return (_Sizes(*sizes) for sizes in product(sorted(depths), sorted(different.values()), sorted(pixels)))


def _even(value: float) -> int:
    return 2 * round(value / 2)


def _with_channels_of(arch: ArchSpec, other: ArchSpec) -> ArchSpec:
    stages = zip(arch.stages, other.stages, strict=True)
    return replace(
        arch,
        stem=replace(arch.stem, channels=other.stem.channels),
        stages=tuple(replace(stage, channels=wide.channels) for stage, wide in stages),
        head=replace(arch.head, channels=other.head.channels),
    )
