"""Known networks, as literals."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.blocks import parse_blocks
from search_spaces.fit import resize
from search_spaces.ops import Stage, StageSpec
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


def _classic(
    stages: tuple[Stage, ...],
    stem: StemSpec | None = None,
    head: HeadSpec | None = None,
    *,
    resolution: int = 224,
    activation: str = "relu",
    dropout: float = 0.0,
) -> ArchSpec:
    """With PyTorch's usual norms, without stochastic depth; no 1x1 convolution before pooling unless `head` has one."""
    return ArchSpec(
        stages,
        stem or StemSpec(),
        head or HeadSpec(0),
        resolution=resolution,
        activation=activation,
        norm_eps=1e-5,
        norm_momentum=0.1,
        dropout=dropout,
        drop_path=0.0,
    )


MOBILENET_V2 = _classic(
    parse_blocks(
        "r1_k3_s11_e1_i32_o16 r2_k3_s22_e6_i16_o24 r3_k3_s22_e6_i24_o32 r4_k3_s22_e6_i32_o64 r3_k3_s11_e6_i64_o96 "
        "r3_k3_s22_e6_i96_o160 r1_k3_s11_e6_i160_o320"
    ),
    head=HeadSpec(1280),
    activation="relu6",
    dropout=0.2,
)
"""Sandler et al. 2018, table 2."""

MOBILENET_V1 = _classic(
    (
        StageSpec("sepconv", channels=64, skip="none"),
        StageSpec("sepconv", channels=128, stride=2, layers=2, skip="none"),
        StageSpec("sepconv", channels=256, stride=2, layers=2, skip="none"),
        StageSpec("sepconv", channels=512, stride=2, layers=6, skip="none"),
        StageSpec("sepconv", channels=1024, stride=2, layers=2, skip="none"),
    ),
    activation="relu6",
)
"""Howard et al. 2017, table 1, with the activation of the authors' code."""

SHUFFLENET_V1 = _classic(
    tuple(
        StageSpec("shuffle", channels=channels, stride=2, layers=layers, groups=3)
        for channels, layers in ((240, 4), (480, 8), (960, 4))
    ),
    StemSpec(24, pool=2),
)
"""Zhang et al. 2018, table 1, 1x with 3 groups."""


def _squeezenet(stem: StemSpec, modules: tuple[tuple[int, int, int], ...]) -> ArchSpec:
    stages = tuple(
        StageSpec("fire", channels=channels, stride=stride, layers=layers, skip="none", inner=0.125)
        for channels, stride, layers in modules
    )
    return _classic(stages, stem, HeadSpec(0, kind="squeezenet"), dropout=0.5)


SQUEEZENET1_0 = _squeezenet(
    StemSpec(96, 7, kind="squeezenet"),
    ((128, 2, 2), (256, 1, 1), (256, 2, 1), (384, 1, 2), (512, 1, 1), (512, 2, 1)),
)
"""Iandola et al. 2016, table 1."""

SQUEEZENET1_1 = _squeezenet(StemSpec(64, kind="squeezenet"), ((128, 2, 2), (256, 2, 2), (384, 2, 2), (512, 1, 2)))
"""The authors' later release: smaller stem, earlier pooling."""


def _xception_stage(channels: int, stride: int = 2, layers: int = 1, inner: float = 1.0) -> Stage:
    return StageSpec("xception", channels=channels, stride=stride, layers=layers, skip="project", inner=inner)


XCEPTION = _classic(
    (
        _xception_stage(128),
        _xception_stage(256),
        _xception_stage(728),
        _xception_stage(728, stride=1, layers=8),
        _xception_stage(1024, inner=728 / 1024),
        StageSpec("separable", channels=1536, skip="none"),
        StageSpec("separable", channels=2048, skip="none"),
    ),
    StemSpec(64, kind="xception"),
    resolution=299,
    dropout=0.5,
)
"""Chollet 2017, figure 5."""

RESNET_LAYERS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Blocks per stage: He et al. 2016, table 1; 200 layers: He et al. 2016b, table 5."""


def resnet(depth: int, inner: float = 0.25) -> ArchSpec:
    """The residual network of about `depth` layers: basic blocks of two below 50, bottlenecks of three from there.

    With stem and classifier that makes 2n + 2 or 3n + 2 layers, so that a depth in between gets the nearest of these
    (1000 builds 1001), n divided over the stages as in the nearest published network. These are ImageNet's networks:
    the 1001 and 1202 layers published for CIFAR-10 have three stages and are others.

    inner: the bottlenecks' inner width as a share of their output (0.5: a wide ResNet). Raises
    ValueError below 10 layers.
    """
    if depth < 10:
        raise ValueError(f"a ResNet has 10 layers or more, not {depth}")
    op, convs, expansion = ("basic", 2, 1) if depth < 50 else ("bottleneck", 3, 4)
    published = {d: layers for d, layers in RESNET_LAYERS.items() if (d < 50) == (depth < 50)}
    layers = published.get(depth)
    if layers is None:
        nearest = published[min(published, key=lambda d: abs(d - depth))]
        layers = _apportion(nearest, round((depth - 2) / convs))
    stages = tuple(
        StageSpec(op, channels=64 * 2**i * expansion, stride=2 if i else 1, layers=n, skip="project", inner=inner)
        for i, n in enumerate(layers)
    )
    return _classic(stages, StemSpec(64, 7, pool=2))


def _apportion(weights: tuple[int, ...], total: int) -> tuple[int, ...]:
    """`total` in proportion to `weights` by largest remainder, at least 1 each."""
    quotas = [max(1.0, total * weight / sum(weights)) for weight in weights]
    whole = [int(quota) for quota in quotas]
    by_remainder = sorted(range(len(whole)), key=lambda i: whole[i] - quotas[i])
    for i in by_remainder[: max(0, total - sum(whole))]:
        whole[i] += 1
    return tuple(whole)


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


def mobilenet_v1(width: float = 1.0, resolution: int = 224) -> ArchSpec:
    """MobileNetV1 with the paper's multipliers."""
    return resize(replace(MOBILENET_V1, resolution=resolution), width, divisor=8)


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
    "mobilenet_v1": mobilenet_v1,
    "mobilenet_v2": mobilenet_v2,
    "shufflenet_v1": lambda: SHUFFLENET_V1,
    "squeezenet1_0": lambda: SQUEEZENET1_0,
    "squeezenet1_1": lambda: SQUEEZENET1_1,
    "xception": lambda: XCEPTION,
    **{f"resnet{depth}": partial(resnet, depth) for depth in RESNET_LAYERS},
    "wide_resnet50_2": partial(resnet, 50, inner=0.5),
}

REFERENCE_NAMES = tuple(_REFERENCES)


def reference_arch(name: str) -> ArchSpec:
    """A known network by name, for 224 pixels or its published resolution.

    Beside REFERENCE_NAMES, `resnet` with any number is the residual network of that depth, or the nearest there is (see
    `resnet`). Raises ValueError on an unknown name.
    """
    if name in _REFERENCES:
        return _REFERENCES[name]()
    if match := re.fullmatch(r"resnet(\d{1,6})", name):
        return resnet(int(match[1]))
    raise ValueError(f"unknown network {name!r}; known are {', '.join(_REFERENCES)}, and resnet with any other depth")
