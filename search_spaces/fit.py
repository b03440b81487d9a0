"""Fitting a network to a task: strides that leave a useful final map, widths that meet a MACs target."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from search_spaces.arch import ArchSpec
from search_spaces.checks import ArchError, integer
from search_spaces.cost import count_macs, stage_costs
from search_spaces.rounding import round_channels, round_layers, suitable_divisor

MIN_FINAL_MAP = 4
IMAGENET_RESOLUTION = 224


def auto_resolution(native: int) -> int:
    """The training resolution for images of `native` pixels: native / sqrt(2), at most 224.

    The headroom lets the resolution be scaled once and still show real pixels. Even from 16 pixels up, so that strides
    divide it. Raises ArchError where `native` is not from 1 to 1,000,000.
    """
    integer("native", native)
    resolution = min(IMAGENET_RESOLUTION, int(native / math.sqrt(2)))
    return max(1, resolution - resolution % 2 if resolution >= 16 else resolution)


def resolutions_up_to(largest: int) -> tuple[int, ...]:
    """`largest` pixels, three quarters and half of them, in multiples of 4 from 8 pixels up, the largest first."""
    smaller = (max(8, 4 * round(largest * share / 4)) for share in (0.75, 0.5))
    return (largest, *sorted({pixels for pixels in smaller if pixels < largest}, reverse=True))


def halvings(resolution: int) -> int:
    """How often a map of `resolution` pixels may be halved until its side is below twice MIN_FINAL_MAP."""
    return max(0, int(math.log2(resolution / MIN_FINAL_MAP)))


def final_map(arch: ArchSpec) -> int:
    """The side of the map that leaves the last stage; 0 where the image is too small for the network."""
    try:
        return stage_costs(arch)[-2].output.size
    except ValueError:
        return 0


def fit_strides(arch: ArchSpec, resolution: int) -> ArchSpec:
    """`arch` at `resolution`, its earliest strides dropped until the final map is 4x4 or no stride is left.

    ImageNet plans divide by 32 and would turn 32x32 into a single pixel. The early strides go first, because it is the
    early layers that see the detail of a small image. A stem that loses its stride gets a kernel of at most 3 pixels,
    as ResNets for small images have.
    """
    strides = strides_of(arch)
    fitted = replace(arch, resolution=resolution)
    for i in range(len(strides)):
        if final_map(fitted) >= MIN_FINAL_MAP:
            break
        strides[i] = 1
        fitted = with_strides(fitted, strides)
    return fitted


def stride_plan(arch: ArchSpec) -> str:
    """The plan in words, such as "22 > 11 > 6 pixels (strides 1 1 1 1 2 1 2 1)"; a pooled stem has two strides."""
    sizes = [arch.resolution]
    for row in stage_costs(arch)[:-1]:
        if row.output.size != sizes[-1]:
            sizes.append(row.output.size)
    return f"{' > '.join(map(str, sizes))} pixels (strides {' '.join(map(str, strides_of(arch)))})"


def strides_of(arch: ArchSpec) -> list[int]:
    """Of the stem, of its pool if there is one, and of every stage."""
    pool = [arch.stem.pool] if arch.stem.pool > 1 else []
    return [arch.stem.stride, *pool, *(stage.stride for stage in arch.stages)]


def with_strides(arch: ArchSpec, strides: Sequence[int]) -> ArchSpec:
    """`arch` with the strides that `strides_of` gives; a stem that loses its own gets a kernel of at most 3 pixels."""
    first, *middle = strides[: len(strides) - len(arch.stages)]
    kernel = arch.stem.kernel if first == arch.stem.stride else min(arch.stem.kernel, 3)
    stem = replace(arch.stem, stride=first, kernel=kernel, pool=middle[0] if middle else 1)
    last = strides[len(strides) - len(arch.stages) :]
    stages = tuple(replace(stage, stride=stride) for stage, stride in zip(arch.stages, last, strict=True))
    return replace(arch, stem=stem, stages=stages)


def resize(arch: ArchSpec, width: float = 1.0, depth: float = 1.0, divisor: int | None = None) -> ArchSpec:
    """All channel counts (stem's and head's too) times `width`, rounded to `divisor`; layers times `depth`, rounded up.

    divisor None takes the one that suits the narrowest of them. With divisor 8 this is EfficientNet's scaling. Where
    convolutions are grouped, channels are multiples of the groups too.
    """
    step = _step(arch, width, divisor)

    def scaled(channels: int) -> int:
        return channels if width == 1 else round_channels(channels * width, step)

    stem = replace(arch.stem, channels=scaled(arch.stem.channels))
    stages = []
    inputs = stem.channels
    for stage in arch.stages:
        channels = max(scaled(stage.channels), stage.least_channels(inputs, step))
        stages.append(replace(stage, channels=channels, layers=round_layers(stage.layers * depth)))
        inputs = channels
    head, pooled = (scaled(channels) if channels else 0 for channels in (arch.head.channels, arch.head.pooled))
    return replace(arch, stem=stem, head=replace(arch.head, channels=head, pooled=pooled), stages=tuple(stages))


def _step(arch: ArchSpec, width: float, divisor: int | None = None) -> int:
    """What channels of `arch` times `width` are rounded to."""
    groups = math.lcm(*(stage.groups for stage in arch.stages))
    if divisor is not None:
        return math.lcm(divisor, groups)
    channels = (arch.stem.channels, *(stage.channels for stage in arch.stages))
    return suitable_divisor((width * value for value in channels), groups)


def fit_arch(
    arch: ArchSpec, resolution: int, target_macs: float | None = None, *, width: float = 1.0, num_classes: int = 1000
) -> ArchSpec:
    """`arch` for images of `resolution` pixels, with the widths that bring it closest to `target_macs`.

    Without a target the widths are multiplied by `width`. Raises ValueError when the narrowest network costs more than
    1.1 times the target.
    """
    strided = fit_strides(arch, resolution)
    return resize(strided, width) if target_macs is None else fit_widths(strided, target_macs, num_classes)


def fit_widths(arch: ArchSpec, target_macs: float, num_classes: int = 1000) -> ArchSpec:
    """`arch` with the widths that bring it closest to `target_macs`, at its resolution and with its strides.

    Raises ValueError when the narrowest network costs more than 1.1 times the target.
    """

    def macs(candidate: ArchSpec) -> int:
        return count_macs(candidate, None, num_classes)

    fitted = solve_width(lambda w: resize(arch, w), macs, target_macs, fine=True)
    fitted = nudged(fitted, lambda candidate: abs(macs(candidate) / target_macs - 1), _step(fitted, 1.0))
    cost = macs(fitted)
    if cost > 1.1 * target_macs:
        raise ValueError(
            f"target of {target_macs / 1e6:.3g} M MACs cannot be reached at {arch.resolution} pixels: "
            f"the narrowest network costs {cost / 1e6:.3g} M; raise the target or lower the resolution"
        )
    return fitted


def nudged(arch: ArchSpec, miss: Callable[[ArchSpec], float], step: int) -> ArchSpec:
    """`arch`, or where it misses by more than 5 % one with single stages' widths moved by steps of so many channels.

    miss: how far a network is from the target, relative to that.

    Narrow networks whose stages' widths are multiples of each other have stairs of half their cost.
    """
    while miss(arch) > 0.05:
        best = min(_one_width_changed(arch, step), key=miss, default=arch)
        if miss(best) >= miss(arch):
            break
        arch = best
    return arch


def _one_width_changed(arch: ArchSpec, step: int) -> Iterator[ArchSpec]:
    for i, stage in enumerate(arch.stages):
        for channels in (stage.channels - step, stage.channels + step):
            with suppress(ArchError):  # no channels left, or fewer than a stage needs
                changed = replace(stage, channels=channels)
                yield replace(arch, stages=(*arch.stages[:i], changed, *arch.stages[i + 1 :]))


def solve_width(
    make: Callable[[float], ArchSpec], cost: Callable[[ArchSpec], float], target: float, *, fine: bool = False
) -> ArchSpec:
    """make(width) whose cost is nearest to `target`, over widths from 1/64 to 64.

    Cost grows about as the square of width, which leads near the target in a few steps. Rounded channels make it a
    staircase, so `fine` looks at the steps around that one by one, and farther off where none comes within 5 %.
    """
    tried: dict[float, tuple[ArchSpec, float]] = {}

    def distance(width: float) -> float:
        if width not in tried:
            made = make(width)
            tried[width] = (made, cost(made))
        return abs(tried[width][1] - target)

    width = 1.0
    for _ in range(8):
        distance(width)
        width = min(max(width * math.sqrt(target / tried[width][1]), 1 / 64), 64)
        if width in tried:
            break
    nearest = min(tried, key=distance)
    for steps in (20, 80) if fine else ():
        centre = nearest
        nearest = min(tried | {centre * 1.005**step: None for step in range(-steps, steps + 1)}, key=distance)
        if distance(nearest) <= 0.05 * target:
            break
    return tried[nearest][0]
