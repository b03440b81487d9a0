"""Known networks, as literals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from search_spaces.arch import ArchSpec, HeadSpec, parse_blocks
from search_spaces.fit import resize
from search_spaces.rounding import round_channels

EFFICIENTNET_B0 = ArchSpec(
    stages=parse_blocks(
        "r1_k3_s11_e1_i32_o16_se0.25 r2_k3_s22_e6_i16_o24_se0.25 r2_k5_s22_e6_i24_o40_se0.25 "
        "r3_k3_s22_e6_i40_o80_se0.25 r3_k5_s11_e6_i80_o112_se0.25 r4_k5_s22_e6_i112_o192_se0.25 "
        "r1_k3_s11_e6_i192_o320_se0.25"
    )
)
"""Tan and Le 2019, table 1, with the strides of the authors' code."""

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

MOBILENET_V2 = ArchSpec(
    stages=parse_blocks(
        "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r3_k3_s22_e6_i24_o32 r4_k3_s22_e6_i32_o64 r3_k3_s11_e6_i64_o96 "
        "r3_k3_s22_e6_i96_o160 r1_k3_s11_e6_i160_o320"
    ),
    activation="relu6",
    norm_eps=1e-5,
    norm_momentum=0.1,
    drop_path=0.0,
)
"""Sandler et al. 2018, table 2."""

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


def mobilenet_v2(width: float = 1.0, resolution: int = 224) -> ArchSpec:
    """MobileNetV2 with the paper's multipliers: the head grows with the width but never shrinks."""
    arch = resize(replace(MOBILENET_V2, resolution=resolution), width, divisor=8)
    return replace(arch, head=HeadSpec(round_channels(1280 * max(1.0, width))))


def _efficientnet(width: float, depth: float, resolution: int, dropout: float) -> ArchSpec:
    return replace(resize(EFFICIENTNET_B0, width, depth, divisor=8), resolution=resolution, dropout=dropout)


_REFERENCES: dict[str, Callable[[], ArchSpec]] = {
    **{name: partial(_efficientnet, *factors) for name, factors in PUBLISHED_EFFICIENTNETS.items()},
    "mnasnet_a1": lambda: MNASNET_A1,
    "mnasnet_b1": lambda: MNASNET_B1,
    "mobilenet_v2": mobilenet_v2,
}

REFERENCE_NAMES = tuple(_REFERENCES)


def reference_arch(name: str) -> ArchSpec:
    """A known network by name, for 224 pixels or its published resolution. Raises ValueError on an unknown name."""
    if name not in _REFERENCES:
        raise ValueError(f"unknown network {name!r}; known are {', '.join(_REFERENCES)}")
    return _REFERENCES[name]()
