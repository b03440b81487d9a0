"""The default space: the plan of the whole network beside the blocks of every stage, fitted to a MACs target."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.cost import count_macs
from search_spaces.ops import Stage
from search_spaces.ops.basic import Basic
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.sepconv import SepConv
from search_spaces.spaces.choices import OneOf, Varied, vary
from search_spaces.spaces.fitting import TOLERANCE, median_macs
from search_spaces.spaces.macro_plans import DIVISOR, NARROWEST, MacroPlan, Menu, menus, rounded, solve
from search_spaces.spaces.space import StagedSpace, staged_space

_OPS: dict[str, Stage] = {
    "basic": Basic(),
    "mbconv3": MBConv(expand=3),
    "mbconv6": MBConv(expand=6),
    "sepconv": SepConv(),
}
_PLAIN = ("basic", "mbconv3")
"""Ops of the networks to start with."""
_KERNELS = {"basic": (3,)}
"""Of a basic block a 5x5 kernel would cost 2.8 times as much; others have 3 and 5."""
_LAYERS = {"fewer": 2, "more": 3}
_BASIC_LAYERS = {"fewer": 1, "more": 2}
"""A basic block has two whole convolutions; of the others, single ones a stage are too shallow."""
_FILTERS = (50, 75, 100, 150, 200)
_HEADS = (0, 2)
_SQUEEZED = 32
"""Channels from which a stage may have squeeze-excite, whose own are a quarter of them."""
_UNFITTED = 300e6
_WIDEST = 1024
"""Channels of a stem; the last of five stages then has 16 times as many."""
_CORRECTIONS, _CLOSE = 8, 0.05


def macro_space(
    target_macs: float | None = None,
    resolution: int | Sequence[int] = 224,
    *,
    num_classes: int = 1000,
    input_channels: int = 3,
) -> StagedSpace:
    """Whole networks at about one cost: their input size, where strides are, how many stages, and the blocks of each.

    First come the choices of the plan: `resolution` (where it is given as several, in pixels), `stages`, and whether
    the `strides` come early, evenly or late. Every plan leaves a final map of 4 to 7 pixels, and widths double with
    every stride of a stage. Then come those of each stage: op {basic, MBConv 3, MBConv 6, sepconv}, layers (one or two
    basic blocks, two or three others), kernel {3, 5}, skip {pool, identity}, filters {50 to 200 %} and, from 32
    channels up, SE {0, 0.25}; and the `head`'s channels in multiples of the last stage's.

    At 100 % of the filters each kind of block has the width at which a network of such blocks throughout costs as much
    as one of any other kind, so that fewer layers are wider ones; all are such that the median of random members costs
    `target_macs` (without one: 300 M). So that a network of single basic blocks has 8 channels or more in each of its
    stages at that cost, numbers of stages, late strides and at last the largest resolutions are left out. Raises
    ValueError when the target is too small even for what is left then, or so large that a stem would have more than
    1024 channels.
    """
    sizes = (resolution,) if isinstance(resolution, int) else tuple(resolution)
    return _fitted(target_macs or _UNFITTED, sizes, _Task(num_classes, input_channels))


@dataclass(frozen=True)
class _Task:
    """What networks are for."""

    num_classes: int
    input_channels: int

    def stem(self, plan: MacroPlan, target: float) -> float:
        """The stem's width in a network of single basic blocks that costs `target`, not rounded."""
        block = replace(_OPS["basic"], layers=1)
        return solve(lambda stem: self.cost(self.uniform(plan, stem, block)), target, 2.0 * NARROWEST)

    def share(self, plan: MacroPlan, stem: float, block: Stage) -> float:
        """Widths of `block` relative to those of a single basic block, at which both networks cost the same."""
        wanted = self.cost(self.uniform(plan, stem, replace(_OPS["basic"], layers=1)))
        return solve(lambda share: self.cost(self.uniform(plan, stem, block, share)), wanted, 1.0)

    def uniform(self, plan: MacroPlan, stem: float, block: Stage, share: float = 1.0) -> ArchSpec:
        """The plan's network of such blocks throughout."""
        first, *widths = plan.widths(stem)
        stages = tuple(
            replace(block, channels=rounded(width * share), stride=stride)
            for width, stride in zip(widths, plan.strides[1:], strict=True)
        )
        return ArchSpec(
            stages, StemSpec(rounded(first), stride=plan.strides[0]), HeadSpec(0),
            resolution=plan.resolution, input_channels=self.input_channels,
        )  # fmt: skip

    def cost(self, arch: ArchSpec) -> int:
        return count_macs(arch, None, self.num_classes)


@lru_cache(maxsize=8)  # it takes a second or two, and a run asks for its space in several steps
def _fitted(target: float, sizes: tuple[int, ...], task: _Task) -> StagedSpace:
    """The space of the first menu whose plans are sound, with the median member at the target."""
    for menu in menus(sizes):
        stems = {plan: task.stem(plan, target) for plan in menu.plans()}
        if min(stems.values()) >= NARROWEST - DIVISOR / 2:
            break
    if max(stems.values()) > _WIDEST:
        raise ValueError(
            f"target of {target / 1e6:.3g} M MACs cannot be reached at {max(sizes)} pixels: a plain network would have "
            f"a stem of {max(stems.values()):.0f} channels, more than {_WIDEST}; lower the target"
        )
    typical = target
    for _ in range(_CORRECTIONS):
        space = _space(menu, {plan: task.stem(plan, typical) for plan in menu.plans()}, task)
        cost = median_macs(space, task.num_classes)
        if abs(cost / target - 1) < _CLOSE:
            break
        typical *= target / cost
    if abs(cost / target - 1) > TOLERANCE:
        raise ValueError(
            f"target of {target / 1e6:.3g} M MACs cannot be reached at {min(sizes)} pixels: with {NARROWEST} channels "
            f"a stage the median network costs {cost / 1e6:.3g} M; raise the target or lower the resolution"
        )
    return replace(space, starts=tuple(_plain_members(space, menu, target, task.num_classes)))


def _space(menu: Menu, stems: dict[MacroPlan, float], task: _Task) -> StagedSpace:
    def of_strides(pixels: int, stages: int) -> OneOf:
        plans = [menu.plan(pixels, stages, placement) for placement in menu.placements]
        return OneOf("strides", menu.placements, tuple(_around(plan, stems[plan], task) for plan in plans))

    def of_stages(pixels: int) -> OneOf:
        return OneOf("stages", menu.stages, tuple(of_strides(pixels, stages) for stages in menu.stages))

    return staged_space("macro", OneOf("resolution", menu.resolutions, tuple(map(of_stages, menu.resolutions))))


def _around(plan: MacroPlan, stem: float, task: _Task) -> Varied:
    """All networks of a plan."""
    widths = plan.widths(stem)[1:]
    shares = {block: task.share(plan, stem, block) for op in _OPS for block in _blocks(op)}
    stages = tuple(
        _stage(i, {block: width * share for block, share in shares.items()}, stride)
        for i, (width, stride) in enumerate(zip(widths, plan.strides[1:], strict=True), 1)
    )
    heads = tuple(HeadSpec(rounded(widths[-1] * factor) if factor else 0) for factor in _HEADS)
    plain = task.uniform(plan, stem, replace(_OPS["basic"], layers=1))
    return vary(plain, stages=stages, head=OneOf("head", _HEADS, heads))


def _blocks(op: str) -> list[Stage]:
    """The kinds of blocks with an op."""
    return [
        replace(_OPS[op], layers=layers, kernel=kernel)
        for layers, kernel in itertools.product(_layers(op).values(), _KERNELS.get(op, (3, 5)))
    ]


def _layers(op: str) -> Mapping[str, int]:
    return _BASIC_LAYERS if op == "basic" else _LAYERS


def _stage(i: int, widths: Mapping[Stage, float], stride: int) -> OneOf:
    """A stage's choices. widths: of each kind of block at 100 % of the filters."""

    def of_kernel(op: str, layers: int, kernel: int) -> Varied:
        block = replace(_OPS[op], layers=layers, kernel=kernel)
        filters = tuple(rounded(widths[block] * percent / 100) for percent in _FILTERS)
        squeeze = {"se": OneOf(f"s{i}.se", (0.0, 0.25))} if widths[block] >= _SQUEEZED else {}
        return vary(
            replace(block, stride=stride),
            channels=OneOf(f"s{i}.filters", _FILTERS, filters),
            **squeeze,
            skip=OneOf(f"s{i}.skip", ("pool", "identity")),
        )

    def of_layers(op: str, layers: int) -> Any:
        kernels = _KERNELS.get(op, (3, 5))
        found = tuple(of_kernel(op, layers, kernel) for kernel in kernels)
        return found[0] if len(kernels) == 1 else OneOf(f"s{i}.kernel", kernels, found)

    def of_op(op: str) -> OneOf:
        layers = _layers(op)
        return OneOf(f"s{i}.layers", tuple(layers), tuple(of_layers(op, count) for count in layers.values()))

    return OneOf(f"s{i}.op", tuple(_OPS), tuple(map(of_op, _OPS)))


# --- Members to start with -------------------------------------------------------------------------------------------


def _plain_members(space: StagedSpace, menu: Menu, target: float, num_classes: int) -> Iterator[dict[str, Any]]:
    """What one would write down without a search, of each plain op at each resolution, the largest first: strides
    spread evenly, as few stages as possible, about alike, as near below the target as their filters allow."""
    for pixels, op in itertools.product(reversed(menu.resolutions), _PLAIN):
        members = [
            _uniform_params(pixels, menu.stages[0], op, filters)
            for filters in itertools.product(_FILTERS, repeat=menu.stages[0])
            if max(map(_FILTERS.index, filters)) - min(map(_FILTERS.index, filters)) <= 1
        ]
        costs = [count_macs(space.decode(_filled(space, params)), None, num_classes) for params in members]
        affordable = [i for i, cost in enumerate(costs) if cost <= target]
        if affordable:
            yield members[max(affordable, key=costs.__getitem__)]


def _uniform_params(pixels: int, stages: int, op: str, filters: Sequence[int]) -> dict[str, Any]:
    params: dict[str, Any] = {"resolution": pixels, "stages": stages, "strides": "even", "head": 0}
    for i, percent in enumerate(filters, 1):
        params |= {f"s{i}.op": op, f"s{i}.kernel": 3, f"s{i}.se": 0.0, f"s{i}.skip": "pool"}
        params |= {f"s{i}.filters": percent, f"s{i}.layers": "fewer"}
    return params


def _filled(space: StagedSpace, params: dict[str, Any]) -> dict[str, Any]:
    """With the first value for every choice that has none, which makes no difference."""
    return {choice.name: choice.values[0] for choice in space.choices} | params
