"""The nearest network that can be built to a wanted growth of cost, divided in wanted shares.

Distances are measured in doublings of counted cost. What a dimension contributes is the logarithm of the cost ratio
that it has when it alone is grown. To shrink is the same with halvings in place of doublings, and with an end: every
stage keeps a layer, every width a step of its divisor, and the image LEAST_PIXELS.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property, lru_cache
from typing import NamedTuple

import numpy as np

from scaling_search.coefficients import Shares
from scaling_search.surface.triangle import Floats
from search_spaces import ArchSpec, count_macs
from search_spaces.fit import strides_of
from search_spaces.rounding import apportion, round_channels, suitable_divisor

COUNTED = 40
"""Candidates are counted in batches of this size, the most promising first by predicted cost."""
MOST_COUNTED = 400
ROUNDS = 4
"""How often the prediction is corrected before that."""
WIDER = 1.001
"""The finest growth of the width that is tried."""
ASTRAY = 0.3
"""Distance from the wanted shares beyond which a network answers another question, whatever it costs."""
DEAR = 10.0
"""What a part of the cost beyond the tolerance counts, in distances, against shares that are astray."""
LEAST_PIXELS, _ENDLESS = 8, 1 << 62
WASTEFUL = 0.2
"""A resolution that wastes more of the cost, in doublings, counts as astray. Chosen by trainings of two networks
(benchmarks/scaling/resolutions.py)."""
MISSED = 0.2
"""By such a share of the wanted cost a network that shrinks may miss it; beyond that it counts as not shrinkable."""


class CannotShrinkError(ValueError):
    """A network that is too small to be made so much smaller."""


@dataclass(frozen=True)
class Baseline:
    """A network that grows, and the number of classes that it and all grown from it are counted with."""

    arch: ArchSpec
    num_classes: int = 1000

    @cached_property
    def macs(self) -> int:
        return self.count(self.arch)

    def count(self, arch: ArchSpec) -> int:
        """MACs of a network with these classes."""
        return count_macs(arch, num_classes=self.num_classes)

    def doublings(self, grown: ArchSpec) -> float:
        """How often the baseline's cost doubles up to that of a grown network."""
        return math.log2(self.count(grown) / self.macs)

    def wasted(self, pixels: int) -> float:
        """What the baseline's convolutions cost at this resolution beyond its worth in pixels, in doublings.

        Maps are rounded up where a stride does not divide them. The worth is the cost at the next resolution that all
        strides divide, in proportion to the pixels; what costs the same at every resolution, such as the classifier, is
        left out of both. Below 0 where maps are rounded down, as by convolutions without padding.
        """
        stride = math.prod(strides_of(self.arch))
        divided = -(-pixels // stride) * stride
        cost, whole, larger = (
            self.count(replace(self.arch, resolution=side)) for side in (pixels, divided, 2 * divided)
        )
        fixed = (4 * whole - larger) / 3  # convolutions cost four times as much at twice the resolution
        return math.log2((cost - fixed) / (whole - fixed) * (divided / pixels) ** 2)

    def shares_of(self, grown: ArchSpec) -> Shares:
        """How the growth to `grown` (same stages) was divided: each dimension's own log cost ratio, sum 1.

        Raises ValueError when the two cost the same.
        """
        alone = (
            with_layers(self.arch, [stage.layers for stage in grown.stages]),
            _with_channels_of(self.arch, grown),
            replace(self.arch, resolution=grown.resolution),
        )
        logs = [self.doublings(arch) for arch in alone]
        total = sum(logs)
        if total <= 0:
            raise ValueError("the network has not grown: shares of nothing cannot be told")
        return Shares(*(value / total for value in logs))


def nearest_network(
    baseline: Baseline, shares: Shares, cost: float, *, tolerance: float = 0.03, thrifty: bool
) -> ArchSpec:
    """The network grown from the baseline that is nearest to `cost` times its MACs, divided in `shares`.

    No dimension is below the baseline's, or above it where `cost` is below 1. Layers are added in total and apportioned
    over the stages by largest remainder; channels are multiples of a divisor that suits the width; the resolution is
    even. A network whose realised cost is within `tolerance` (a ratio) is preferred to a nearer one that is not, unless
    its shares are astray: a width of two channels grows to four or not at all, and no depth or resolution stands in for
    it. If `thrifty`, a WASTEFUL resolution that is not the baseline's own is astray, too. Raises CannotShrinkError
    where none below the baseline's cost is near enough in both.
    """
    ladder = _ladder(baseline, cost < 1)
    wanted, log_cost = np.array(shares), abs(math.log2(cost))

    def wasteful(step: int) -> float:
        return ASTRAY if thrifty and ladder.wasted(step) > WASTEFUL else 0.0

    # Grown together, dimensions cost more or less than the product of what each costs alone.
    interaction = 0.0
    for _ in range(ROUNDS):
        options = _around(ladder, wanted * (log_cost - interaction))
        alone = _product([[ladder.alone(k, step) for step in steps] for k, steps in enumerate(options)])
        pixels_vary_first = [wasteful(step) for step in options[2]] * len(options[0]) * len(options[1])
        astray = _astray(alone, wanted) + np.array(pixels_vary_first)
        order = np.argsort(np.hypot(log_cost * astray, alone.sum(axis=1) + interaction - log_cost), kind="stable")
        ranked = [_Steps(*steps) for steps in _product(options)[order[:MOST_COUNTED]].astype(int).tolist()]
        interaction = ladder.doublings(ranked[0]) - float(alone[order[0]].sum())

    def counted(steps: _Steps) -> tuple[bool, float]:
        reached = ladder.doublings(steps)
        astray = float(_astray(np.array([ladder.alone_all(steps)]), wanted)[0]) + wasteful(steps.resolution)
        excess = max(0.0, abs(2 ** (reached - log_cost) - 1) - tolerance)
        return excess > 0 or astray > ASTRAY, math.hypot(log_cost * astray, reached - log_cost) + DEAR * excess

    best = ranked[0]
    for start in range(0, len(ranked), COUNTED):
        best = min(best, *ranked[start : start + COUNTED], key=counted)
        if not counted(best)[0]:
            return ladder.build(best)
    # The prediction led astray, as it does where maps round up at once: meet the cost by the width, whatever the rest.
    solved = [
        steps for layers in options[0] for pixels in options[2] for steps in ladder.at_cost(layers, pixels, log_cost)
    ]
    best = min([best, *solved], key=counted)
    if cost < 1:
        _check_shrunk(ladder, best, wanted, log_cost)
    return ladder.build(best)


def _check_shrunk(ladder: _Ladder, steps: _Steps, wanted: Floats, halvings: float) -> None:
    """Raise CannotShrinkError for a network that is off in cost, or shrunk in other dimensions than was wanted."""
    astray, reached = _astray(np.array([ladder.alone_all(steps)]), wanted)[0], ladder.doublings(steps)
    if abs(2 ** (halvings - reached) - 1) > MISSED or astray > ASTRAY:
        least = [name for name, end in zip(Shares._fields, ladder.ends, strict=True) if end == 0]
        why = "its layers and channels come in too few steps for that"
        if least:
            why = f"it has no {' and no '.join(least)} to spare"
        raise CannotShrinkError(f"the network cannot be shrunk to {2.0**-halvings:.3g} of its cost in this way: {why}")


def _astray(alone: Floats, shares: Floats) -> Floats:
    """(n,): the distance of (n, 3) growths alone, divided to the realised shares, from the (3,) wanted."""
    total = alone.sum(axis=1, keepdims=True)
    astray: Floats = np.linalg.norm(alone / np.where(total > 0, total, 1) - shares, axis=1)
    return astray


def with_layers(arch: ArchSpec, layers: Sequence[int]) -> ArchSpec:
    """`arch` with this many layers in each stage."""
    return replace(arch, stages=tuple(replace(s, layers=n) for s, n in zip(arch.stages, layers, strict=True)))


class _Steps(NamedTuple):
    """How far each dimension is grown: layers added, widths multiplied by WIDER that often, even resolutions up. Or
    shrunk: layers taken away, widths divided, even resolutions down."""

    layers: int
    width: int
    resolution: int


class _Ladder:
    """The three ways to grow one baseline, or to shrink it, in steps, with their counted costs. ends: the last step of
    each that changes anything."""

    def __init__(self, baseline: Baseline, shrinks: bool) -> None:
        self.arch = arch = baseline.arch
        self._sign = -1 if shrinks else 1
        self._layers = [stage.layers for stage in arch.stages]
        body = (arch.stem.channels, *(stage.channels for stage in arch.stages))
        self._channels = (*body, arch.head.channels, arch.head.pooled)
        narrowest = min(body) / 2 if shrinks else min(body)  # by two halvings of the cost the widths are halved
        self._divisor = suitable_divisor([narrowest], math.lcm(*(stage.groups for stage in arch.stages)))
        self.doublings: Callable[[_Steps], float] = cache(
            lambda steps: self._sign * baseline.doublings(self.build(steps))
        )
        self.channels: Callable[[int], tuple[int, ...]] = cache(self._channels_at)
        self.wasted: Callable[[int], float] = cache(lambda step: baseline.wasted(self._pixels(step)) if step else 0.0)
        self.ends = self._ends() if shrinks else (_ENDLESS, _ENDLESS, _ENDLESS)

    def _ends(self) -> tuple[int, int, int]:
        widest = math.log(max(self._channels) / self._divisor)
        return (
            sum(self._layers) - len(self._layers),
            max(0, math.ceil(widest / math.log(WIDER))),
            max(0, (self.arch.resolution - LEAST_PIXELS) // 2),
        )

    def build(self, steps: _Steps) -> ArchSpec:
        stem, *stages, head, pooled = self.channels(steps.width)
        layers = apportion(self._layers, sum(self._layers) + self._sign * steps.layers)
        return replace(
            self.arch,
            stem=replace(self.arch.stem, channels=stem),
            stages=tuple(
                replace(stage, channels=wide, layers=deep)
                for stage, wide, deep in zip(self.arch.stages, stages, layers, strict=True)
            ),
            head=replace(self.arch.head, channels=head, pooled=pooled),
            resolution=self._pixels(steps.resolution),
        )

    def _pixels(self, step: int) -> int:
        own = self.arch.resolution
        return own // 2 * 2 + self._sign * 2 * step if step else own

    def alone(self, dimension: int, step: int) -> float:
        """Doublings of cost when this dimension alone is grown so far (or halvings: see `_Ladder`)."""
        return self.doublings(_Steps(*(step if k == dimension else 0 for k in range(3))))

    def alone_all(self, steps: _Steps) -> list[float]:
        """`alone` for the three dimensions in turn."""
        return [self.alone(k, step) for k, step in enumerate(steps)]

    def step_at(self, dimension: int, doublings: float) -> int:
        """The first step at which the dimension alone costs this much, by bisection; its end where none does."""
        end = self.ends[dimension]
        low, high = -1, min(1, end)
        if doublings <= 0:
            return 0
        while high < end and self.alone(dimension, high) < doublings:
            low, high = high, min(2 * high, end)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.alone(dimension, middle) < doublings else (low, middle)
        return high

    def at_cost(self, layers: int, pixels: int, doublings: float) -> list[_Steps]:
        """The two networks with these layers and pixels whose width brings the joint cost just below and up to this."""
        low, high, end = 0, 1, self.ends[1]
        if end == 0 or self.doublings(_Steps(layers, 0, pixels)) >= doublings:
            return [_Steps(layers, 0, pixels)]
        while high < end and self.doublings(_Steps(layers, high, pixels)) < doublings:
            low, high = high, min(2 * high, end)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.doublings(_Steps(layers, middle, pixels)) < doublings else (low, middle)
        return [_Steps(layers, low, pixels), _Steps(layers, high, pixels)]

    def _channels_at(self, step: int) -> tuple[int, ...]:
        """Every width grown and rounded to the divisor, none below the baseline's; shrunk, none above."""
        if step == 0:
            return self._channels
        factor, bound = WIDER ** (self._sign * step), min if self._sign < 0 else max
        return tuple(bound(n, round_channels(factor * n, self._divisor)) if n else 0 for n in self._channels)


@lru_cache(maxsize=8)
def _ladder(baseline: Baseline, shrinks: bool) -> _Ladder:
    """Kept, because the points of a search grow the same baseline."""
    return _Ladder(baseline, shrinks)


def _around(ladder: _Ladder, doublings: Floats) -> list[list[int]]:
    """For each dimension the steps that grow it by about `doublings`, one of each buildable kind.

    Cost is a staircase in the resolution (maps are rounded up at every stride), hence the wide range of pixels; and in
    the width of narrow networks.
    """
    layers, width, resolution = (ladder.step_at(k, float(value)) for k, value in enumerate(doublings))
    ends = ladder.ends
    deep = {min(max(0, layers + step), ends[0]) for step in range(-3, 4)}
    wide = {min(max(0, width + step), ends[1]) for step in (*range(-96, 97), *range(-384, 385, 48))}
    pixels = {min(max(0, resolution + step), ends[2]) for step in range(-8, 9)}
    different = {ladder.channels(step): step for step in sorted(wide, reverse=True)}
    return [sorted(deep), sorted(different.values()), sorted(pixels)]


def _product(options: Sequence[Sequence[float]]) -> Floats:
    """(n, 3): every combination of the three options."""
    combined: Floats = np.stack(np.meshgrid(*options, indexing="ij"), axis=-1).reshape(-1, 3)
    return combined


def _with_channels_of(arch: ArchSpec, other: ArchSpec) -> ArchSpec:
    stages = zip(arch.stages, other.stages, strict=True)
    return replace(
        arch,
        stem=replace(arch.stem, channels=other.stem.channels),
        stages=tuple(replace(stage, channels=wide.channels) for stage, wide in stages),
        head=replace(arch.head, channels=other.head.channels, pooled=other.head.pooled),
    )
