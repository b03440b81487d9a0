"""EfficientNet (Tan and Le 2019), its Lite networks for edge devices, and EfficientNetV2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from search_spaces.arch import ArchSpec, StemSpec
from search_spaces.blocks import parse_blocks
from search_spaces.fit import resize

_B0 = (
    "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 r3_k3_s22_e6_i40_o80_se0.25 "
    "r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 r1_k3_s11_e6_i192_o320_se0.25"
)

EFFICIENTNET_B0 = ArchSpec(stages=parse_blocks(_B0))
"""Tan and Le 2019, table 1, with the strides of the authors' code."""

EFFICIENTNET_LITE0 = replace(EFFICIENTNET_B0, stages=parse_blocks(_B0.replace("_se0.25", "")), activation="relu6")
"""B0 without squeeze-excite."""

EFFICIENTNET_V2_S = ArchSpec(
    parse_blocks(
        "r2_k3_s11_e1_i24_o24_fused_mbconv r4_k3_s22_e4_i24_o48_fused_mbconv r4_k3_s22_e4_i48_o64_fused_mbconv "
        "r6_k3_s22_e4_i64_o128_se0.25 r9_k3_s11_e6_i128_o160_se0.25 r15_k3_s22_e6_i160_o256_se0.25"
    ),
    StemSpec(24),
    resolution=300,
    norm_momentum=0.1,
)
"""Tan and Le 2021, table 4; stem, norms and the last resolution of its training as in the authors' code."""

PUBLISHED_EFFICIENTNETS = {
    "efficientnet_b0": (1.0, 1.0, 224, 0.2),
    "efficientnet_b1": (1.0, 1.1, 240, 0.2),
    "efficientnet_b2": (1.1, 1.2, 260, 0.3),
    "efficientnet_b3": (1.2, 1.4, 300, 0.3),
    "efficientnet_b4": (1.4, 1.8, 380, 0.4),
    "efficientnet_b5": (1.6, 2.2, 456, 0.4),
    "efficientnet_b6": (1.8, 2.6, 528, 0.5),
    "efficientnet_b7": (2.0, 3.1, 600, 0.5),
}
"""width, depth, resolution, dropout as published; they do not follow (1.2, 1.1, 1.15) ** phi."""

PUBLISHED_LITES = {
    "efficientnet_lite0": (1.0, 1.0, 224, 0.2),
    "efficientnet_lite1": (1.0, 1.1, 240, 0.2),
    "efficientnet_lite2": (1.1, 1.2, 260, 0.3),
    "efficientnet_lite3": (1.2, 1.4, 280, 0.3),
    "efficientnet_lite4": (1.4, 1.8, 300, 0.3),
}
"""The same four numbers in the authors' code. timm runs Lite3 at 300 pixels and Lite4 at 380."""


def _efficientnet(width: float, depth: float, resolution: int, dropout: float) -> ArchSpec:
    return replace(resize(EFFICIENTNET_B0, width, depth, divisor=8), resolution=resolution, dropout=dropout)


def _lite(width: float, depth: float, resolution: int, dropout: float) -> ArchSpec:
    """Stem, head and the depth of the outer stages are never scaled."""
    first, *middle, last = resize(EFFICIENTNET_LITE0, width, depth, divisor=8).stages
    stages = (replace(first, layers=1), *middle, replace(last, layers=1))
    return replace(EFFICIENTNET_LITE0, stages=stages, resolution=resolution, dropout=dropout)


NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    **{name: partial(_efficientnet, *factors) for name, factors in PUBLISHED_EFFICIENTNETS.items()},
    **{name: partial(_lite, *factors) for name, factors in PUBLISHED_LITES.items()},
    "efficientnet_v2_s": lambda: EFFICIENTNET_V2_S,
}
