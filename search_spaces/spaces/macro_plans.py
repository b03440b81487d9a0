"""Plans of whole networks: where the map shrinks and how wide the network is there, before any block is chosen."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from search_spaces.fit import halvings

PLACEMENTS = ("early", "even", "late")
NARROWEST = 8
"""Channels that every stage has at least in a plan's network of the blocks that judge it."""
DETAIL = 32
"""Pixels below which images are not made smaller by choice: at 24 or 16 of CIFAR-10's 32 pixels networks of the same
cost were 2 to 7 points behind (docs/spaces.md)."""


@dataclass(frozen=True)
class MacroPlan:
    """The input size in pixels, and the strides of stem and stages."""

    resolution: int
    strides: tuple[int, ...]

    def widths(self, stem: float) -> list[float]:
        """Channels of stem and stages: doubled where a stage has a stride, as published networks have it."""
        return [stem * factor for factor in itertools.accumulate((1, *self.strides[1:]), lambda a, b: a * b)]


def place_strides(count: int, stages: int, placement: str) -> tuple[int, ...]:
    """The strides of a stem and `stages` stages, `count` of them 2: the first, the last, or from stem to last spread
    evenly.

    Raises ValueError where they are more than the stages.
    """
    if count > stages:
        raise ValueError(f"{count} strides do not fit into {stages} stages")
    spread = [round(place) for place in np.linspace(0, stages, count)]
    strided = {"early": range(count), "even": spread, "late": range(stages + 1 - count, stages + 1)}[placement]
    return tuple(2 if i in strided else 1 for i in range(stages + 1))


@dataclass(frozen=True)
class Menu:
    """What a space offers beside its blocks: resolutions in pixels, ascending, numbers of stages, where strides are."""

    resolutions: tuple[int, ...]
    stages: tuple[int, ...]
    placements: tuple[str, ...]

    def plan(self, resolution: int, stages: int, placement: str) -> MacroPlan:
        """One of the plans; each leaves a final map of 4 to 7 pixels."""
        return MacroPlan(resolution, place_strides(halvings(resolution), stages, placement))

    def plans(self) -> Iterator[MacroPlan]:
        """All of them."""
        for resolution, stages, placement in itertools.product(self.resolutions, self.stages, self.placements):
            yield self.plan(resolution, stages, placement)


def menus(resolutions: Sequence[int]) -> Iterator[Menu]:
    """From the richest to the one with the fewest and widest stages: stages are left out first, then late strides, then
    the largest resolutions. Resolutions below 32 pixels come last, but for one that is the largest of all."""
    sizes = tuple(sorted(resolutions))
    detailed = tuple(pixels for pixels in sizes if pixels >= DETAIL) or sizes[-1:]
    for offered in (detailed, sizes[: len(sizes) - len(detailed)]):
        for count in range(len(offered), 0, -1):
            least = max(2, halvings(offered[count - 1]))
            for more, placements in ((2, PLACEMENTS), (1, PLACEMENTS), (1, PLACEMENTS[:2]), (0, PLACEMENTS[:2])):
                yield Menu(offered[:count], tuple(range(least, least + more + 1)), placements)
