"""Spaces of whole networks at one cost: the plan of the network beside the blocks of every stage, from a kit of ops."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, NamedTuple

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.ops import Stage
from search_spaces.spaces.choices import OneOf, Varied, vary
from search_spaces.spaces.equal_cost import EqualCostSpace, equal_cost_space, fit_shape
from search_spaces.spaces.macro_plans import NARROWEST, MacroPlan, Menu, menus

_LAYERS = (1, 2, 3)
_FILTERS = (50, 75, 100, 150, 200)
_STEMS = (100, 200)
_HEADS = (0, 2)
_SHAPE = 64
"""The stem's channels in a shape: only their ratios count, and all percentages of this are whole."""
SIZES = (25, 35, 50, 70, 100, 140, 200)
"""Percent of the target's MACs, where a search charges for something else, and the best MACs are yet to be found."""
_UNFITTED = 300e6
_WIDEST = 1024
"""Channels of a stem; the last of five stages then has 16 times as many."""


class Offer(NamedTuple):
    """An op of a kit: its name as a choice, a block of it, its kernels, and how many layers a stage has in the network
    of such blocks alone that a search may start with (0: it starts with none)."""

    name: str
    block: Stage
    kernels: tuple[int, ...] = (3, 5)
    plain: int = 0

    def of(self, layers: int = 1, kernel: int = 3) -> Stage:
        return replace(self.block, layers=layers, kernel=kernel)


@dataclass(frozen=True)
class Kit:
    """What the networks of a space are made of. judge: plans are judged by the network of such blocks, one a stage;
    squeezed: channels from which a stage may have squeeze-excite, whose own are a quarter of them (None: none may)."""

    name: str
    offers: tuple[Offer, ...]
    judge: Stage
    activation: str = "silu"
    squeezed: int | None = None


def whole_networks(
    kit: Kit,
    target_macs: float | None,
    resolution: int | Sequence[int],
    *,
    num_classes: int,
    input_channels: int,
    sizes: tuple[int, ...],
) -> EqualCostSpace:
    """The space of a kit, as `macro_space` says of its own."""
    resolutions = (resolution,) if isinstance(resolution, int) else tuple(resolution)
    return _space(resolutions, _Task(kit, target_macs or _UNFITTED, num_classes, input_channels), sizes)


@dataclass(frozen=True)
class _Task:
    """What networks are made of, and for."""

    kit: Kit
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
            activation=self.kit.activation, input_channels=self.input_channels,
        )  # fmt: skip

    def widths(self, plan: MacroPlan, block: Stage) -> tuple[int, ...]:
        """Channels of stem and stages in that network at the target. Raises ValueError where it cannot be met."""
        fitted = fit_shape(self.shape(plan, block), self.target_macs, self.num_classes)
        return (fitted.stem.channels, *(stage.channels for stage in fitted.stages))


@lru_cache(maxsize=8)  # it takes a second or two, and a run asks for its space in several steps
def _space(resolutions: tuple[int, ...], task: _Task, sizes: tuple[int, ...]) -> EqualCostSpace:
    menu = _menu(resolutions, task)
    space = equal_cost_space(
        task.kit.name,
        OneOf("resolution", menu.resolutions, tuple(_of_stages(menu, pixels, task) for pixels in menu.resolutions)),
        task.target_macs,
        num_classes=task.num_classes,
        sizes=sizes,
    )
    return replace(space, starts=tuple(_starts(task.kit, menu, sizes)))


def _menu(resolutions: tuple[int, ...], task: _Task) -> Menu:
    """The richest whose plans are sound."""
    problem = ""
    for menu in menus(resolutions):
        try:
            widths = [task.widths(plan, task.kit.judge) for plan in menu.plans()]
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
    shape = task.shape(plan, task.kit.judge)
    stems = tuple(replace(shape.stem, channels=_SHAPE * percent // 100) for percent in _STEMS)
    stages = tuple(
        _stage(task.kit, i, stage, {block: widths[i] for block, widths in sound.items()})
        for i, stage in enumerate(shape.stages, 1)
    )
    space = vary(shape, stem=OneOf("stem", _STEMS, stems), stages=stages)
    if task.widths(plan, task.kit.judge)[-1] >= task.num_classes:
        return space
    heads = tuple(HeadSpec(shape.stages[-1].channels * factor) for factor in _HEADS)
    return vary(space, head=OneOf("head", _HEADS, heads))


def _sound(plan: MacroPlan, task: _Task) -> dict[Stage, tuple[int, ...]]:
    """The kinds of blocks that are offered, each with the widths of a network of such blocks at the target. The
    lightest of each op is, in any case."""
    found = {}
    lightest = [offer.of() for offer in task.kit.offers]
    blocks = (o.of(layers, kernel) for o in task.kit.offers for layers in _LAYERS for kernel in o.kernels)
    for block in blocks:
        try:
            widths = task.widths(plan, block)
        except ValueError:
            widths = (0,) * len(plan.strides)
        if block in lightest or min(widths) >= NARROWEST:
            found[block] = widths
    return found


def _stage(kit: Kit, i: int, shape: Stage, offered: Mapping[Stage, int]) -> OneOf:
    """A stage's choices. offered: blocks, each with the channels that the stage has in a network of such blocks."""

    def of_kernel(block: Stage) -> Varied:
        filters = tuple(shape.channels * percent // 100 for percent in _FILTERS)
        squeezes = kit.squeezed is not None and offered[block] >= kit.squeezed
        return vary(
            replace(block, stride=shape.stride),
            channels=OneOf(f"s{i}.filters", _FILTERS, filters),
            **({"se": OneOf(f"s{i}.se", (0.0, 0.25))} if squeezes else {}),
        )

    def of_layers(offer: Offer, layers: int) -> Any:
        blocks = [block for kernel in offer.kernels if (block := offer.of(layers, kernel)) in offered]
        if not blocks:
            return of_layers(offer, layers - 1)
        if len(blocks) == 1:
            return of_kernel(blocks[0])
        return OneOf(f"s{i}.kernel", offer.kernels, tuple(map(of_kernel, blocks)))

    def of_op(offer: Offer) -> OneOf:
        return OneOf(f"s{i}.layers", _LAYERS, tuple(of_layers(offer, layers) for layers in _LAYERS))

    return OneOf(f"s{i}.op", tuple(offer.name for offer in kit.offers), tuple(map(of_op, kit.offers)))


def _starts(kit: Kit, menu: Menu, sizes: tuple[int, ...]) -> Iterator[dict[str, Any]]:
    """What one would write down without a search, of each plain op at each resolution, the largest first: strides
    spread evenly, as few stages as possible, all alike."""
    size = {"size": min(sizes, key=lambda percent: abs(percent - 100))} if len(sizes) > 1 else {}
    plan = {"stages": menu.stages[0], "strides": "even", "stem": 100, "head": 0}
    plain = [(offer.name, offer.plain) for offer in kit.offers if offer.plain]
    for pixels, (op, layers) in itertools.product(reversed(menu.resolutions), plain):
        stages: dict[str, Any] = {}
        for i in range(1, menu.stages[0] + 1):
            stages |= {f"s{i}.op": op, f"s{i}.layers": layers, f"s{i}.kernel": 3, f"s{i}.filters": 100}
            stages |= {} if kit.squeezed is None else {f"s{i}.se": 0.0}
        yield size | {"resolution": pixels} | plan | stages
