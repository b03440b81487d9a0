"""The fixed-width space around EfficientNet-B0, fitted to a MACs target and an input size."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from search_spaces.arch import ArchSpec
from search_spaces.fit import fit_arch, fit_strides
from search_spaces.ops import Stage
from search_spaces.reference import EFFICIENTNET_B0
from search_spaces.spaces.choices import OneOf, Varied, vary
from search_spaces.spaces.fitting import TOLERANCE, fit_space, layers_around, median_macs
from search_spaces.spaces.space import StagedSpace, staged_space

MARGIN = 0.05
"""The error of the median of a sample of encodings, with room to spare."""


def mbconv_space(
    target_macs: float | None = None, resolution: int = 224, *, num_classes: int = 1000, input_channels: int = 3
) -> StagedSpace:
    """The fixed-width space around EfficientNet-B0: expansion {1, 3, 6}, kernel, layers {-1, 0, +1}, SE per stage.

    B0 itself, at the space's widths, is a point of it. With a target these are the widths of B0 fitted to it; where the
    median of random members would then miss the target by more than 25 %, they are scaled until it meets it. Raises
    ValueError when that cannot be reached.
    """
    b0 = replace(EFFICIENTNET_B0, input_channels=input_channels)
    space = _around(fit_arch(b0, resolution, target_macs, num_classes=num_classes))
    if target_macs is None:
        return space
    median = partial(median_macs, num_classes=num_classes)
    if abs(median(space) / target_macs - 1) <= TOLERANCE - MARGIN:
        return space
    return fit_space(_around, fit_strides(b0, resolution), target_macs, median)


def _around(base: ArchSpec) -> StagedSpace:
    return staged_space("mbconv", vary(base, stages=tuple(_stage(i, stage) for i, stage in enumerate(base.stages, 1))))


def _stage(i: int, base: Stage) -> Varied:
    return vary(
        base,
        expand=OneOf(f"s{i}.expand", (1, 3, 6)),
        kernel=OneOf(f"s{i}.kernel", (3, 5)),
        layers=OneOf(f"s{i}.layers", layers_around(base.layers)),
        se=OneOf(f"s{i}.se", (0.0, 0.25)),
    )
