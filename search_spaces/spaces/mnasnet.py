"""The MnasNet space, fitted to a MACs target and an input size."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from search_spaces.arch import ArchSpec
from search_spaces.fit import fit_strides
from search_spaces.ops import Stage
from search_spaces.ops.conv import PlainConv
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.sepconv import SepConv
from search_spaces.reference import MOBILENET_V2
from search_spaces.rounding import round_channels, suitable_divisor
from search_spaces.spaces.choices import OneOf, vary
from search_spaces.spaces.fitting import fit_space, layers_around, median_macs
from search_spaces.spaces.space import StagedSpace, staged_space

_OPS = {
    "conv": PlainConv(),
    "sepconv": SepConv(),
    "mbconv3": MBConv(expand=3),
    "mbconv6": MBConv(expand=6),
}
_FILTERS = (75, 100, 125)


def mnasnet_space(
    target_macs: float | None = None, resolution: int = 224, *, num_classes: int = 1000, input_channels: int = 3
) -> StagedSpace:
    """MnasNet's factorised space (Tan et al. 2019, section 4.1): seven blocks of 432 choices each.

    Per block: op {conv, sepconv, MBConv 3, MBConv 6}, kernel {3, 5}, SE {0, 0.25}, skip {pool, identity, none},
    filters {75, 100, 125 %} and layers {-1, 0, +1} relative to MobileNetV2 (at least one layer; MobileNetV2's single
    layers vary over 1..3). With a target, MobileNetV2's widths are scaled until the median of random members costs
    `target_macs`. Raises ValueError when that cannot be reached within 25 %.
    """
    base = fit_strides(replace(MOBILENET_V2, activation="silu", input_channels=input_channels), resolution)
    if target_macs is None:
        return _around(base)
    return fit_space(_around, base, target_macs, partial(median_macs, num_classes=num_classes))


def _around(base: ArchSpec) -> StagedSpace:
    divisor = suitable_divisor(stage.channels for stage in base.stages)
    stages = tuple(_stage(i, stage, divisor) for i, stage in enumerate(base.stages, 1))
    return staged_space("mnasnet", vary(base, stages=stages))


def _stage(i: int, base: Stage, divisor: int) -> OneOf:
    """One of the ops; their kernels, widths and so on are one decision each, whatever the op."""
    widths = tuple(round_channels(base.channels * filters / 100, divisor) for filters in _FILTERS)
    stages = tuple(
        vary(
            replace(stage, stride=base.stride),
            kernel=OneOf(f"s{i}.kernel", (3, 5)),
            se=OneOf(f"s{i}.se", (0.0, 0.25)),
            skip=OneOf(f"s{i}.skip", ("pool", "identity", "none")),
            channels=OneOf(f"s{i}.filters", _FILTERS, widths),
            layers=OneOf(f"s{i}.layers", layers_around(base.layers)),
        )
        for stage in _OPS.values()
    )
    return OneOf(f"s{i}.op", tuple(_OPS), stages)
