"""Fitting a network to a task: strides that leave a useful final map, widths that meet a MACs target."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from search_spaces.arch import ArchSpec
from search_spaces.cost import count_macs
from search_spaces.rounding import round_channels, round_layers, suitable_divisor

MIN_FINAL_MAP = 4
IMAGENET_RESOLUTION = 224


def auto_resolution(native: int) -> int:
    """The training resolution for images of `native` pixels: native / sqrt(2), at most 224.

    The headroom lets the resolution be scaled once and still show real pixels. Even from 16 pixels up, so that strides
    divide it.
    """
    resolution = min(IMAGENET_RESOLUTION, int(native / math.sqrt(2)))
    return max(1, resolution - resolution % 2 if resolution >= 16 else resolution)


def final_map(strides: tuple[int, ...], resolution: int) -> int:
    """The side of the map that is left after `strides`, each rounding up."""
    for stride in strides:
        resolution = -(-resolution // stride)
    return resolution


def fit_strides(arch: ArchSpec, resolution: int) -> ArchSpec:
    """`arch` at `resolution`, its earliest strides dropped until the final map is 4x4 or no stride is left.

    ImageNet plans divide by 32 and would turn 32x32 into a single pixel. The early strides go first, because it is the
    early layers that see the detail of a small image.
    """
    strides = [arch.stem.stride, *(stage.stride for stage in arch.stages)]
    for i in range(len(strides)):
        if final_map(tuple(strides), resolution) >= MIN_FINAL_MAP:
            break
        strides[i] = 1
    stages = tuple(replace(stage, stride=stride) for stage, stride in zip(arch.stages, strides[1:], strict=True))
    return replace(arch, stem=replace(arch.stem, stride=strides[0]), stages=stages, resolution=resolution)


def stride_plan(arch: ArchSpec) -> str:
    """The plan in words, such as "22 > 22 > 11 > 6 (strides 1 1 1 1 2 1 2 1)"."""
    strides = (arch.stem.stride, *(stage.stride for stage in arch.stages))
    sizes = [arch.resolution]
    for stride in strides:
        if stride > 1:
            sizes.append(-(-sizes[-1] // stride))
    return f"{' > '.join(map(str, sizes))} pixels (strides {' '.join(map(str, strides))})"


def resize(arch: ArchSpec, width: float = 1.0, depth: float = 1.0, divisor: int | None = None) -> ArchSpec:
    """All channel counts (stem and head too) times `width`, rounded to `divisor`; layers times `depth`, rounded up.

    divisor None takes the one that suits the narrowest stage. With divisor 8 this is EfficientNet's scaling.
    """
    if divisor is None:
        divisor = suitable_divisor(stage.channels * width for stage in arch.stages)

    def scaled(channels: int) -> int:
        return channels if width == 1 else round_channels(channels * width, divisor)

    stages = tuple(
        replace(stage, channels=scaled(stage.channels), layers=round_layers(stage.layers * depth))
        for stage in arch.stages
    )
    return replace(
        arch,
        stem=replace(arch.stem, channels=scaled(arch.stem.channels)),
        head=replace(arch.head, channels=scaled(arch.head.channels) if arch.head.channels else 0),
        stages=stages,
    )


def fit_arch(
    arch: ArchSpec, resolution: int, target_macs: float | None = None, *, width: float = 1.0, num_classes: int = 1000
) -> ArchSpec:
    """`arch` for images of `resolution` pixels, with the widths that bring it closest to `target_macs`.

    Without a target the widths are multiplied by `width`. Raises ValueError when the narrowest network costs more than
    1.1 times the target.
    """
    strided = fit_strides(arch, resolution)
    if target_macs is None:
        return resize(strided, width)
    fitted = solve_width(
        lambda w: resize(strided, w), lambda a: count_macs(a, None, num_classes), target_macs, fine=True
    )
    cost = count_macs(fitted, None, num_classes)
    if cost > 1.1 * target_macs:
        raise ValueError(
            f"target of {target_macs / 1e6:.3g} M MACs cannot be reached at {resolution} pixels: "
            f"the narrowest network costs {cost / 1e6:.3g} M; raise the target or lower the resolution"
        )
    return fitted


def solve_width(
    make: Callable[[float], ArchSpec], cost: Callable[[ArchSpec], float], target: float, *, fine: bool = False
) -> ArchSpec:
    """make(width) whose cost is nearest to `target`, over widths from 1/64 to 64.

    Cost grows about as the square of width, which leads near the target in a few steps. Rounded channels make it a
    staircase, so `fine` looks at the steps around that one by one.
    """
    tried: dict[float, tuple[ArchSpec, float]] = {}
    width = 1.0
    for _ in range(8):
        made = make(width)
        tried[width] = (made, cost(made))
        width = min(max(width * math.sqrt(target / tried[width][1]), 1 / 64), 64)
        if width in tried:
            break
    nearest = min(tried, key=lambda w: abs(tried[w][1] - target))
    if fine:
        for step in range(-20, 21):
            made = make(nearest * 1.005**step)
            tried[nearest * 1.005**step] = (made, cost(made))
    return min(tried.values(), key=lambda made_and_cost: abs(made_and_cost[1] - target))[0]
