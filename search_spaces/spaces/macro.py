"""The default space: the plan of the whole network beside the blocks of every stage, at one cost."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.ops import Stage
from search_spaces.ops.basic import Basic
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.sepconv import SepConv
from search_spaces.spaces.choices import OneOf, Varied, vary
from search_spaces.spaces.equal_cost import EqualCostSpace, equal_cost_space, fit_shape
from search_spaces.spaces.macro_plans import NARROWEST, MacroPlan, Menu, menus

_OPS: dict[str, Stage] = {
    "basic": Basic(skip="pool"),
    "mbconv3": MBConv(expand=3, skip="pool"),
    "mbconv6": MBConv(expand=6, skip="pool"),
    "sepconv": SepConv(skip="pool"),
}
"""All with average-pooled shortcuts around strides, without which networks were worse (docs/spaces.md)."""
_LAYERS = (1, 2, 3)
_KERNELS = {"basic": (3,)}
"""Of a basic block a 5x5 kernel would cost 2.8 times as much; others have 3 and 5."""
_FILTERS = (50, 75, 100, 150, 200)
_STEMS = (100, 200)
_HEADS = (0, 2)
_SQUEEZED = 32
"""Channels from which a stage may have squeeze-excite, whose own are a quarter of them."""
_SHAPE = 64
"""The stem's channels in a shape: only their ratios count, and all percentages of this are whole."""
_PLAIN = {"basic": 1, "mbconv3": 2}
"""Ops and layers of the networks to start with."""
SIZES = (25, 35, 50, 70, 100, 140, 200)
"""Percent of the target's MACs, where a search charges for something else, and the best MACs are yet to be found."""
_UNFITTED = 300e6
_WIDEST = 1024
"""Channels of a stem; the last of five stages then has 16 times as many."""


def macro_space(
    target_macs: float | None = None,
    resolution: int | Sequence[int] = 224,
    *,
    num_classes: int = 1000,
    input_channels: int = 3,
    sizes: tuple[int, ...] = (100,),
) -> EqualCostSpace:
    """Whole networks at one cost: their input size, where strides are, how many stages, and the blocks of each.

    First come the choices of the plan: `resolution` (where it is given as several, in pixels), `stages`, whether the
    `strides` come early, evenly or late, and the width of the `stem` {100, 200 %}. Every plan leaves a final map of 4
    to 7 pixels, and widths double with every stride of a stage. Then come the choices of each stage: op {basic, MBConv
    3, MBConv 6, sepconv}, layers {1, 2, 3}, kernel {3, 5}, filters {50 to 200 %} and, from 32 channels up, SE {0,
    0.25}; and where the classifier would have fewer features than classes, the width of a `head` before it {0, 2 times
    the plan's last}. Shortcuts around strides are average-pooled.

    These make the shape of a network; all its widths are then scaled alike, to multiples of 4 channels, so that it
    costs `target_macs` (without one: 300 M), or percentages of that with several `sizes`. A plan offers the kinds of
    blocks of which a whole network would have 8 channels or more everywhere, and of plans those in which a network of
    single basic blocks would: stages, late strides and at last the largest resolutions are left out. Raises ValueError
    when the target is too small even for what is left then, or so large that a stem would have more than 1024 channels.
    """
    resolutions = (resolution,) if isinstance(resolution, int) else tuple(resolution)
    return _space(resolutions, _Task(target_macs or _UNFITTED, num_classes, input_channels), sizes)


@dataclass(frozen=True)
class _Task:
    """What networks are for."""

    target_macs: float
    num_classes: int
    input_channels: int

    def shape(self, plan: MacroPlan, block: Stage) -> ArchSpec:
        """The plan's network of such blocks throughout."""
        stem, *widths = map(round, plan.widths(_SHAPE))
        stages = (
            replace(block, channels=width, stride=stride)
            for width, stride in zip(widths, plan.strides[1:], strict=True)
        )
        return ArchSpec(
            tuple(stages), StemSpec(stem, stride=plan.strides[0]), HeadSpec(0), resolution=plan.resolution,
            input_channels=self.input_channels,
        )  # fmt: skip

    def widths(self, plan: MacroPlan, block: Stage) -> tuple[int, ...]:
        """Channels of stem and stages in that network at the target. Raises ValueError where it cannot be met."""
        fitted = fit_shape(self.shape(plan, block), self.target_macs, self.num_classes)
        return (fitted.stem.channels, *(stage.channels for stage in fitted.stages))


@lru_cache(maxsize=8)  # it takes a second or two, and a run asks for its space in several steps
def _space(resolutions: tuple[int, ...], task: _Task, sizes: tuple[int, ...]) -> EqualCostSpace:
    menu = _menu(resolutions, task)
    space = equal_cost_space(
        "macro",
        OneOf("resolution", menu.resolutions, tuple(_of_stages(menu, pixels, task) for pixels in menu.resolutions)),
        task.target_macs,
        num_classes=task.num_classes,
        sizes=sizes,
    )
    return replace(space, starts=tuple(_starts(menu, sizes)))


def _menu(resolutions: tuple[int, ...], task: _Task) -> Menu:
    """The richest whose plans are sound."""
    problem = ""
    for menu in menus(resolutions):
        try:
            widths = [task.widths(plan, _block("basic")) for plan in menu.plans()]
        except ValueError as error:
            problem = str(error)
            continue
        if max(stem for stem, *_ in widths) > _WIDEST:
            raise ValueError(
                f"target of {task.target_macs / 1e6:.3g} M MACs cannot be reached at {max(resolutions)} pixels: "
                f"a plain network would have a stem of {max(widths)[0]} channels, more than {_WIDEST}; lower the target"
            )
        if min(map(min, widths)) >= NARROWEST:
            return menu
        problem = f"a plain network would have stages of {min(map(min, widths))} channels"
    raise ValueError(
        f"target of {task.target_macs / 1e6:.3g} M MACs cannot be reached at {min(resolutions)} pixels: {problem}; "
        "raise the target or lower the resolution"
    )


def _of_stages(menu: Menu, pixels: int, task: _Task) -> OneOf:
    def of_strides(stages: int) -> OneOf:
        plans = (menu.plan(pixels, stages, placement) for placement in menu.placements)
        return OneOf("strides", menu.placements, tuple(_around(plan, task) for plan in plans))

    return OneOf("stages", menu.stages, tuple(map(of_strides, menu.stages)))


def _around(plan: MacroPlan, task: _Task) -> Varied:
    """All networks of a plan."""
    sound = _sound(plan, task)
    shape = task.shape(plan, _block("basic"))
    stems = tuple(replace(shape.stem, channels=_SHAPE * percent // 100) for percent in _STEMS)
    stages = tuple(
        _stage(i, stage, {block: widths[i] for block, widths in sound.items()})
        for i, stage in enumerate(shape.stages, 1)
    )
    space = vary(shape, stem=OneOf("stem", _STEMS, stems), stages=stages)
    if sound[_block("basic")][-1] >= task.num_classes:
        return space
    heads = tuple(HeadSpec(shape.stages[-1].channels * factor) for factor in _HEADS)
    return vary(space, head=OneOf("head", _HEADS, heads))


def _sound(plan: MacroPlan, task: _Task) -> dict[Stage, tuple[int, ...]]:
    """The kinds of blocks that are offered, each with the widths of a network of such blocks at the target. The
    lightest of each op is, in any case."""
    found = {}
    blocks = (_block(op, layers, kernel) for op in _OPS for layers in _LAYERS for kernel in _kernels(op))
    for block in blocks:
        try:
            widths = task.widths(plan, block)
        except ValueError:
            widths = (0,) * len(plan.strides)
        if block in map(_block, _OPS) or min(widths) >= NARROWEST:
            found[block] = widths
    return found


def _kernels(op: str) -> tuple[int, ...]:
    return _KERNELS.get(op, (3, 5))


def _block(op: str, layers: int = 1, kernel: int = 3) -> Stage:
    return replace(_OPS[op], layers=layers, kernel=kernel)


def _stage(i: int, shape: Stage, offered: Mapping[Stage, int]) -> OneOf:
    """A stage's choices. offered: blocks, each with the channels that the stage has in a network of such blocks."""

    def of_kernel(block: Stage) -> Varied:
        filters = tuple(shape.channels * percent // 100 for percent in _FILTERS)
        squeeze = {"se": OneOf(f"s{i}.se", (0.0, 0.25))} if offered[block] >= _SQUEEZED else {}
        return vary(
            replace(block, stride=shape.stride),
            channels=OneOf(f"s{i}.filters", _FILTERS, filters),
            **squeeze,
        )

    def of_layers(op: str, layers: int) -> Any:
        blocks = [block for kernel in _kernels(op) if (block := _block(op, layers, kernel)) in offered]
        if not blocks:
            return of_layers(op, layers - 1)
        if len(blocks) == 1:
            return of_kernel(blocks[0])
        return OneOf(f"s{i}.kernel", _kernels(op), tuple(map(of_kernel, blocks)))

    def of_op(op: str) -> OneOf:
        return OneOf(f"s{i}.layers", _LAYERS, tuple(of_layers(op, layers) for layers in _LAYERS))

    return OneOf(f"s{i}.op", tuple(_OPS), tuple(map(of_op, _OPS)))


def _starts(menu: Menu, sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """What one would write down without a search, of each plain op at each resolution, the largest first: strides
    spread evenly, as few stages as possible, all alike."""
    size = {"size": min(sizes, key=lambda percent: abs(percent - 100))} if len(sizes) > 1 else {}
    plan = {"stages": menu.stages[0], "strides": "even", "stem": 100, "head": 0}
    for pixels, (op, layers) in itertools.product(reversed(menu.resolutions), _PLAIN.items()):
        stages: dict[str, Any] = {}
        for i in range(1, menu.stages[0] + 1):
            stages |= {f"s{i}.op": op, f"s{i}.layers": layers, f"s{i}.kernel": 3, f"s{i}.filters": 100, f"s{i}.se": 0.0}
        yield size | {"resolution": pixels} | plan | stages
