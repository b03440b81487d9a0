"""Compound scaling: one network grown, or shrunk, in depth, width and resolution together (EfficientNet, Tan and Le,
2019)."""

from __future__ import annotations

import math
from dataclasses import replace

from scaling_search.coefficients import Coefficients, Shares
from scaling_search.matching import Baseline, CannotShrinkError, nearest_network
from search_spaces import ArchSpec, Stage, count_macs
from search_spaces.arch import LEAST_PHI, canonical
from search_spaces.rounding import round_channels, round_layers

RULES = ("thrifty", "matched", "nominal")
DROPOUT_OF_B7 = 0.5
PHI_OF_B7 = 7


def scale_arch(
    arch: ArchSpec,
    coefficients: Coefficients,
    phi: float = 1.0,
    rule: str = "nominal",
    *,
    num_classes: int = 1000,
) -> ArchSpec:
    """The baseline `arch` grown by `phi` (fractions allowed); phi = 0 is the baseline itself, below 0 it shrinks.

    rule "nominal" is EfficientNet's: channels times width^phi rounded to eights (stem and head too; to eights of groups
    where convolutions are grouped), layers times depth^phi rounded up in every stage, resolution times resolution^phi
    rounded. Its realised cost may be far from nominal_cost^phi. rule "matched" takes only the shares from the
    coefficients and builds the nearest network whose counted cost, with `num_classes` outputs, is 2^phi times the
    baseline's. rule "thrifty" is the same without resolutions at which maps that are rounded up waste much of the cost,
    and grows networks of one id alike.

    Dropout rises linearly towards 0.5 at phi = 7, as from B0 to B7; below 0 it stays the baseline's.

    Raises ValueError for an unknown rule or a network that was grown already (rounding twice would drift): scale its
    baseline instead. Raises CannotShrinkError, a ValueError, for a phi below 0 to which the network does not shrink: by
    "nominal" because all of it is rounded up again, by the others because a dimension is at its least.
    """
    if rule not in RULES:
        raise ValueError(f"rule must be one of {', '.join(RULES)}, not {rule!r}")
    if not LEAST_PHI <= phi < math.inf:
        raise ValueError(f"phi must be a number of at least {LEAST_PHI}, not {phi:g}")
    if phi == 0:
        return _ungrown(arch)
    if rule != "nominal":
        return grow_matched(Baseline(arch, num_classes), coefficients.shares, phi, thrifty=rule == "thrifty")
    grown = _nominal(_ungrown(arch), coefficients, phi)
    if phi < 0 and count_macs(grown, num_classes=num_classes) >= count_macs(arch, num_classes=num_classes):
        raise CannotShrinkError(f"phi = {phi:g}: the network does not shrink, for all of it is rounded up again")
    return _labelled(grown, arch, phi)


def grow_matched(baseline: Baseline, shares: Shares, phi: float = 1.0, *, thrifty: bool) -> ArchSpec:
    """The baseline grown to 2^phi times its counted cost, divided in `shares`: rule "matched" of `scale_arch`, or
    "thrifty". Raises CannotShrinkError as that does."""
    arch = _ungrown(baseline.arch)
    if thrifty:
        # Of what makes no difference in the baseline some does in what it grows to, such as shortcuts that do not fit.
        baseline = replace(baseline, arch=canonical(arch))
    try:
        return _labelled(nearest_network(baseline, shares, 2.0**phi, thrifty=thrifty), arch, phi)
    except CannotShrinkError as error:
        raise CannotShrinkError(f"phi = {phi:g}: {error}") from None


def _ungrown(arch: ArchSpec) -> ArchSpec:
    if arch.phi:
        raise ValueError(f"this network was already grown by phi = {arch.phi:g}: scale its baseline instead")
    return arch


def _labelled(grown: ArchSpec, baseline: ArchSpec, phi: float) -> ArchSpec:
    return replace(grown, phi=float(phi), dropout=dropout_at(baseline.dropout, phi))


def dropout_at(baseline: float, phi: float) -> float:
    """A family member's dropout rate: from the baseline's, 0.3 more by phi = 7, at most 0.5 (or the baseline's)."""
    rise = (DROPOUT_OF_B7 - 0.2) * phi / PHI_OF_B7  # below phi = 0 none
    return round(max(baseline, min(DROPOUT_OF_B7, baseline + rise)), 4)


def _nominal(arch: ArchSpec, coefficients: Coefficients, phi: float) -> ArchSpec:
    depth, width = coefficients.depth**phi, coefficients.width**phi
    divisor = math.lcm(8, *(stage.groups for stage in arch.stages))

    def channels(value: int) -> int:
        # A width that stays is left as it is, also where the baseline's is no multiple of eight.
        if width == 1 or value == 0:
            return value
        rounded = round_channels(width * value, divisor)
        return min(value, rounded) if width < 1 else rounded

    def stage(value: Stage) -> Stage:
        return replace(value, channels=channels(value.channels), layers=round_layers(depth * value.layers))

    return replace(
        arch,
        stem=replace(arch.stem, channels=channels(arch.stem.channels)),
        stages=tuple(stage(value) for value in arch.stages),
        head=replace(arch.head, channels=channels(arch.head.channels), pooled=channels(arch.head.pooled)),
        resolution=int(arch.resolution * coefficients.resolution**phi + 0.5),
    )
