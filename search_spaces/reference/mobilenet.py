"""MnasNet and the MobileNets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
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


_V3_GATE = "gatehardsigmoid-relu-8"
"""With squeeze-excite's width a quarter of the expanded channels, in multiples of 8."""


def _mobilenet_v3(blocks: str, head: HeadSpec) -> ArchSpec:
    return ArchSpec(parse_blocks(blocks), StemSpec(16), head, activation="hardswish", drop_path=0.0)


MOBILENET_V3_LARGE = _mobilenet_v3(
    "r1_k3_s11_e1_i16_o16_actrelu r1_k3_s22_e4_i16_o24_actrelu r1_k3_s11_e3_i24_o24_actrelu "
    f"r3_k5_s22_e3_i24_o40_se0.75_{_V3_GATE}_actrelu "
    "r1_k3_s22_e6_i40_o80 r1_k3_s11_e2.5_i80_o80 r2_k3_s11_e2.3_i80_o80 "
    f"r2_k3_s11_e6_i80_o112_se1.5_{_V3_GATE} r3_k5_s22_e6_i112_o160_se1.5_{_V3_GATE}",
    HeadSpec(960, "mobilenet_v3", 1280),
)
"""Howard et al. 2019, table 1; its expanded widths as multiples of what comes in."""

MOBILENET_V3_SMALL = _mobilenet_v3(
    f"r1_k3_s22_e1_i16_o16_se0.25_{_V3_GATE}_actrelu r1_k3_s22_e4.5_i16_o24_actrelu r1_k3_s11_e3.67_i24_o24_actrelu "
    f"r1_k5_s22_e4_i24_o40_se1.0_{_V3_GATE} r2_k5_s11_e6_i40_o40_se1.5_{_V3_GATE} "
    f"r2_k5_s11_e3_i40_o48_se0.75_{_V3_GATE} r3_k5_s22_e6_i48_o96_se1.5_{_V3_GATE}",
    HeadSpec(576, "mobilenet_v3", 1024),
)
"""Howard et al. 2019, table 2, with the authors' code's head, which has no squeeze-excite."""

MOBILENET_V4_CONV_SMALL = ArchSpec(
    parse_blocks(
        "r1_k3_s22_e1_i32_o32_noskip_conv r1_k1_s11_e1_i32_o32_noskip_conv "
        "r1_k3_s22_e1_i32_o96_noskip_conv r1_k1_s11_e1_i96_o64_noskip_conv "
        "r1_k5_s22_e3_i64_o96_a5_uib r4_k3_s11_e2_i96_o96_uib r1_k0_s11_e4_i96_o96_a3_uib "
        "r1_k3_s22_e6_i96_o128_a3_uib r1_k5_s11_e4_i128_o128_a5_uib "
        "r1_k5_s11_e4_i128_o128_uib r1_k5_s11_e3_i128_o128_uib r2_k3_s11_e4_i128_o128_uib"
    ),
    head=HeadSpec(960, "mobilenet_v4", 1280),
    activation="relu",
    drop_path=0.0,
)
"""Qin et al. 2024, MNv4-Conv-S: two fused blocks said as convolutions, then universal inverted bottlenecks."""


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
    "mobilenet_v1_025": lambda: mobilenet_v1(0.25),
    "mobilenet_v2": mobilenet_v2,
    "mobilenet_v3_large": lambda: MOBILENET_V3_LARGE,
    "mobilenet_v3_small": lambda: MOBILENET_V3_SMALL,
    "mobilenet_v4_conv_small": lambda: MOBILENET_V4_CONV_SMALL,
}
