"""A space cut out of one network, its parent: fewer layers, channels and pixels, at one cost.

What is found in it can begin with the parent's weights (search_spaces.weights.inherit).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from search_spaces.arch import ArchSpec
from search_spaces.cost import count_macs
from search_spaces.fit import final_map
from search_spaces.ops import Stage
from search_spaces.spaces.choices import OneOf, Varied, vary
from search_spaces.spaces.equal_cost import EqualCostSpace, equal_cost_space, fit_shape

NAME = "around"
_FILTERS = (50, 75, 100, 150)
"""Percent of the parent's channels, relative to the other stages."""
_LEFT_OUT = 2
"""So many of the parent's last stages may be left out."""
_SMALLEST_MAP = 2
_NARROWEST = 8
_UNSTEADY = ("xception",)
"""Ops whose blocks have other layers at other widths, so that parts of them are not such blocks."""


def around_space(
    parent: ArchSpec,
    target_macs: float,
    resolutions: Sequence[int],
    *,
    num_classes: int = 1000,
    sizes: tuple[int, ...] = (100,),
) -> EqualCostSpace:
    """Parts of `parent` that cost `target_macs`, or percentages of that with several `sizes`.

    The choices are `resolution` (of those given, up to the parent's), how many of its `stages` there are (all, or one
    or two less, then without the head), and of each stage the layers (1 to the parent's), the filters (50 to 150 % of
    the parent's beside the other stages), a kernel of 3 where the parent's is larger, and half the expansion. All
    widths are then scaled alike. Raises ValueError where blocks of the parent change with their widths, and where the
    target is too small for the parent's shape at any resolution, with 8 channels in every stage, a layer each and a
    final map of 2 pixels.
    """
    unsteady = next((stage.op for stage in parent.stages if stage.op in _UNSTEADY), None)
    if unsteady is not None:
        raise ValueError(f"{unsteady} blocks have other layers at other widths: nothing can be cut out of this network")
    shapes: dict[int, dict[int, ArchSpec]] = {}
    for pixels in sorted({pixels for pixels in resolutions if pixels <= parent.resolution} or {parent.resolution}):
        sound = {count: shape for count, shape in _shapes(parent, pixels) if _fits(shape, target_macs, num_classes)}
        if sound:
            shapes[pixels] = sound
    if not shapes:
        raise ValueError(
            f"target of {target_macs / 1e6:.3g} M MACs cannot be reached by parts of this network at "
            f"{min(resolutions)} to {max(resolutions)} pixels: raise the target, or take a smaller network"
        )
    counts = sorted(set().union(*shapes.values()))
    spec = OneOf("resolution", tuple(shapes), tuple(_of_stages(counts, sound) for sound in shapes.values()))
    space = equal_cost_space(NAME, spec, target_macs, num_classes=num_classes, sizes=sizes)
    size = {"size": min(sizes, key=lambda percent: abs(percent - 100))} if len(sizes) > 1 else {}
    return replace(space, starts=tuple(size | start for start in _starts(space, shapes, target_macs, num_classes)))


def _shapes(parent: ArchSpec, pixels: int) -> Iterator[tuple[int, ArchSpec]]:
    """The parent's first stages, how many and the whole network, at a resolution."""
    whole = len(parent.stages)
    for count in range(max(1, whole - _LEFT_OUT), whole + 1):
        head = parent.head if count == whole else replace(parent.head, channels=0)
        shape = replace(parent, resolution=pixels, stages=parent.stages[:count], head=head)
        if final_map(shape) >= _SMALLEST_MAP:
            yield count, shape


def _fits(shape: ArchSpec, target_macs: float, num_classes: int) -> bool:
    """Whether the shape with a layer a stage is at the target without stages that are too narrow."""
    lean = replace(shape, stages=tuple(replace(stage, layers=1) for stage in shape.stages))
    try:
        fitted = fit_shape(lean, target_macs, num_classes)
    except ValueError:
        return False
    return min(stage.channels for stage in fitted.stages) >= _NARROWEST


def _of_stages(counts: Sequence[int], sound: dict[int, ArchSpec]) -> OneOf:
    """Every count stands for the nearest that is sound."""
    nearest = (min(sound, key=lambda other: abs(other - count)) for count in counts)
    return OneOf("stages", tuple(counts), tuple(_cuts(sound[count]) for count in nearest))


def _cuts(shape: ArchSpec) -> Varied:
    return vary(shape, stages=tuple(_cut(i, stage) for i, stage in enumerate(shape.stages, 1)))


def _cut(i: int, stage: Stage) -> Any:
    """A stage's choices. Those with one value are none."""
    options: dict[str, tuple[tuple[Any, ...], tuple[Any, ...]]] = {
        "filters": (_FILTERS, tuple(max(1, stage.channels * percent // 100) for percent in _FILTERS)),
    }
    fields = {"filters": "channels"}
    if stage.layers > 1:
        options["layers"] = (tuple(range(1, stage.layers + 1)),) * 2
    if stage.kernel > 3:
        options["kernel"] = ((3, stage.kernel),) * 2
    if stage.expand > 2 and stage.expand % 2 == 0:  # an expansion of 1 is none: blocks of another kind
        options["expand"] = ((int(stage.expand) // 2, int(stage.expand)),) * 2
    nodes = {fields.get(name, name): OneOf(f"s{i}.{name}", *each) for name, each in options.items()}
    return vary(stage, **nodes)


def _starts(
    space: EqualCostSpace, shapes: dict[int, dict[int, ArchSpec]], target_macs: float, num_classes: int
) -> Iterator[dict[str, Any]]:
    """The whole parent at the resolution that brings it nearest to the target, then made narrower, whole and with few
    layers, at each resolution, the largest first."""
    plain = {choice.name: 100 if choice.name.endswith("filters") else choice.values[-1] for choice in space.choices}

    def miss(pixels: int) -> float:
        """Of the most stages that there are at a resolution."""
        whole = shapes[pixels][max(shapes[pixels])]
        return abs(math.log(count_macs(whole, None, num_classes) / target_macs))

    nearest = min(shapes, key=miss)
    yield plain | {"resolution": nearest, "stages": max(shapes[nearest])}
    few = {choice.name: min(2, choice.values[-1]) for choice in space.choices if choice.name.endswith("layers")}
    for pixels in reversed(shapes):
        for count in (min(shapes[pixels]), max(shapes[pixels])):
            yield plain | few | {"resolution": pixels, "stages": count}
