"""The MnasNet space and its fixed-width variant, fitted to a MACs target and an input size."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from search_spaces.arch import ArchSpec, StageSpec
from search_spaces.cost import count_macs
from search_spaces.fit import fit_arch, fit_strides, resize, solve_width
from search_spaces.reference import EFFICIENTNET_B0, MOBILENET_V2
from search_spaces.rounding import round_channels, suitable_divisor
from search_spaces.space import Choice, Params, StageChoices, StagedSpace, staged_space

_CONV_OPS = {"conv": ("conv", 1), "sepconv": ("sepconv", 1), "mbconv3": ("mbconv", 3), "mbconv6": ("mbconv", 6)}
_FILTERS = (75, 100, 125)
SAMPLE = 150
TOLERANCE = 0.25
MARGIN = 0.05
"""The error of a median of SAMPLE encodings, with room to spare."""


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
        return _mnasnet_space(base)
    return _fit_space(_mnasnet_space, base, target_macs, num_classes)


def mbconv_space(
    target_macs: float | None = None, resolution: int = 224, *, num_classes: int = 1000, input_channels: int = 3
) -> StagedSpace:
    """The fixed-width space around EfficientNet-B0: expansion {1, 3, 6}, kernel, layers {-1, 0, +1}, SE per stage.

    B0 itself, at the space's widths, is a point of it. With a target these are the widths of B0 fitted to it; where the
    median of random members would then miss the target by more than 25 %, they are scaled until it meets it. Raises
    ValueError when that cannot be reached.
    """
    b0 = replace(EFFICIENTNET_B0, input_channels=input_channels)
    base = fit_arch(b0, resolution, target_macs, num_classes=num_classes)
    if target_macs is None:
        return _mbconv_space(base)
    if abs(_median(_mbconv_space, base, num_classes) / target_macs - 1) <= TOLERANCE - MARGIN:
        return _mbconv_space(base)
    return _fit_space(_mbconv_space, fit_strides(b0, resolution), target_macs, num_classes)


def _fit_space(
    make: Callable[[ArchSpec], StagedSpace], base: ArchSpec, target_macs: float, num_classes: int
) -> StagedSpace:
    """Scale the base widths so that the median of a sample of encodings meets the target."""
    fitted = solve_width(lambda width: resize(base, width), lambda arch: _median(make, arch, num_classes), target_macs)
    cost = _median(make, fitted, num_classes)
    if abs(cost / target_macs - 1) > TOLERANCE:
        raise ValueError(
            f"target of {target_macs / 1e6:.3g} M MACs cannot be reached at {base.resolution} pixels: "
            f"the median candidate would cost {cost / 1e6:.3g} M; choose another target or resolution"
        )
    return make(fitted)


def _median(make: Callable[[ArchSpec], StagedSpace], base: ArchSpec, num_classes: int) -> float:
    """The median MACs of one fixed sample of the encodings of a space."""
    space = make(base)
    rows = space.sample(np.random.default_rng(0), SAMPLE)
    return float(np.median([count_macs(space.decode(space.params(row)), None, num_classes) for row in rows]))


def _mnasnet_space(base: ArchSpec) -> StagedSpace:
    divisor = suitable_divisor(stage.channels for stage in base.stages)
    return staged_space("mnasnet", base, tuple(_mnasnet_choices(stage, divisor) for stage in base.stages))


def _mnasnet_choices(base: StageSpec, divisor: int) -> StageChoices:
    layers = _layers_around(base.layers)

    def spec(params: Params) -> StageSpec:
        op, expand = _CONV_OPS[params["op"]]
        return StageSpec(
            op=op,
            kernel=params["kernel"],
            stride=base.stride,
            expand=expand,
            se=params["se"],
            skip=params["skip"],
            channels=round_channels(base.channels * params["filters"] / 100, divisor),
            layers=params["layers"],
        )

    choices = (
        Choice("op", tuple(_CONV_OPS)),
        Choice("kernel", (3, 5)),
        Choice("se", (0.0, 0.25)),
        Choice("skip", ("pool", "identity", "none")),
        Choice("filters", _FILTERS),
        Choice("layers", layers),
    )
    return StageChoices(choices, spec)


def _mbconv_space(base: ArchSpec) -> StagedSpace:
    return staged_space("mbconv", base, tuple(_mbconv_choices(stage) for stage in base.stages))


def _mbconv_choices(base: StageSpec) -> StageChoices:
    def spec(params: Params) -> StageSpec:
        return replace(base, **params)

    choices = (
        Choice("expand", (1, 3, 6)),
        Choice("kernel", (3, 5)),
        Choice("layers", _layers_around(base.layers)),
        Choice("se", (0.0, 0.25)),
    )
    return StageChoices(choices, spec)


def _layers_around(layers: int) -> tuple[int, ...]:
    """One fewer, the same, one more; a single layer cannot lose one and gets a second more instead."""
    first = max(1, layers - 1)
    return (first, first + 1, first + 2)


def size_in_words(space: StagedSpace) -> str:
    """Such as "432^7 = 2.8e+18 encodings"."""
    sizes = [math.prod(len(choice.values) for choice in stage.choices) for stage in space.stages]
    same = f"{sizes[0]}^{len(sizes)}" if len(set(sizes)) == 1 else " x ".join(map(str, sizes))
    return f"{same} = {space.size:.2g} encodings"
