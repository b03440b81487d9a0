"""MnasNet and the MobileNets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.arch import ArchSpec, HeadSpec
from search_spaces.blocks import parse_blocks
from search_spaces.fit import resize
from search_spaces.ops.sepconv import SepConv
from search_spaces.reference.classic import classic
from search_spaces.rounding import round_channels

MNASNET_A1 = ArchSpec(
    stages=parse_blocks(
        "r1_k3_s11_e1_i32_o16_noskip r2_k3_s22_e6_i16_o24 r3_k5_s22_e3_i24_o40_se0.25 r4_k3_s22_e6_i40_o80 "
        "r2_k3_s11_e6_i80_o112_se0.25 r3_k5_s22_e6_i112_o160_se0.25 r1_k3_s11_e6_i160_o320"
    ),
    activation="relu",
)
"""Tan et al. 2019, figure 7, in the authors' block strings."""

MNASNET_B1 = replace(
    MNASNET_A1,
    stages=parse_blocks(
        "r1_k3_s11_e1_i32_o16_noskip r3_k3_s22_e3_i16_o24 r3_k5_s22_e3_i24_o40 r3_k5_s22_e6_i40_o80 "
        "r2_k3_s11_e6_i80_o96 r4_k5_s22_e6_i96_o192 r1_k3_s11_e6_i192_o320_noskip"
    ),
)
"""The network without squeeze-excite, in the authors' block strings."""

MOBILENET_V1 = classic(
    (
        SepConv(channels=64, skip="none"),
        SepConv(channels=128, stride=2, layers=2, skip="none"),
        SepConv(channels=256, stride=2, layers=2, skip="none"),
        SepConv(channels=512, stride=2, layers=6, skip="none"),
        SepConv(channels=1024, stride=2, layers=2, skip="none"),
    ),
    activation="relu6",
)
"""Howard et al. 2017, table 1, with the activation of the authors' code."""

MOBILENET_V2 = classic(
    parse_blocks(
        "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r3_k3_s22_e6_i24_o32 r4_k3_s22_e6_i32_o64 r3_k3_s11_e6_i64_o96 "
        "r3_k3_s22_e6_i96_o160 r1_k3_s11_e6_i160_o320"
    ),
    head=HeadSpec(1280),
    activation="relu6",
    dropout=0.2,
)
"""Sandler et al. 2018, table 2."""


def mobilenet_v1(width: float = 1.0, resolution: int = 224) -> ArchSpec:
    """MobileNetV1 with the paper's multipliers."""
    return resize(replace(MOBILENET_V1, resolution=resolution), width, divisor=8)


def mobilenet_v2(width: float = 1.0, resolution: int = 224) -> ArchSpec:
    """MobileNetV2 with the paper's multipliers: the head grows with the width but never shrinks."""
    arch = resize(replace(MOBILENET_V2, resolution=resolution), width, divisor=8)
    return replace(arch, head=HeadSpec(round_channels(1280 * max(1.0, width))))


NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    "mnasnet_a1": lambda: MNASNET_A1,
    "mnasnet_b1": lambda: MNASNET_B1,
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
}
