"""Residual networks (He et al. 2016): ImageNet's, wide ones, and those for CIFAR's small images."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from search_spaces.arch import ArchSpec, StemSpec
from search_spaces.ops import Stage
from search_spaces.ops.basic import Basic
from search_spaces.ops.bottleneck import Bottleneck
from search_spaces.reference.classic import classic
from search_spaces.rounding import apportion

RESNET_LAYERS: dict[int, tuple[int, ...]] = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
"""Blocks per stage: He et al. 2016, table 1; 200 layers: He et al. 2016b, table 5."""

CIFAR_DEPTHS = (20, 32, 44, 56)
"""Of the residual networks in He et al. 2016, section 4.2."""


def resnet(depth: int, inner: float = 0.25) -> ArchSpec:
    """The residual network of about `depth` layers: basic blocks of two below 50, bottlenecks of three from there.

    With stem and classifier that makes 2n + 2 or 3n + 2 layers, so that a depth in between gets the nearest of these
    (1000 builds 1001), n divided over the stages as in the nearest published network. These are ImageNet's networks:
    those published for CIFAR-10 (see `cifar_resnet`), 1001 and 1202 layers deep among them, have three stages and are
    others.

    inner: the bottlenecks' inner width as a share of their output (0.5: a wide ResNet). Raises
    ValueError below 10 layers.
    """
    if depth < 10:
        raise ValueError(f"a ResNet has 10 layers or more, not {depth}")
    convs, expansion = (2, 1) if depth < 50 else (3, 4)
    published = {d: layers for d, layers in RESNET_LAYERS.items() if (d < 50) == (depth < 50)}
    layers = published.get(depth)
    if layers is None:
        nearest = published[min(published, key=lambda d: abs(d - depth))]
        # All digits: remainders equal but for rounding errors have always been told apart here, and ids must hold.
        layers = tuple(apportion(nearest, round((depth - 2) / convs), digits=17))
    stages: list[Stage] = []
    for i, n in enumerate(layers):
        channels, stride = 64 * 2**i * expansion, 2 if i else 1
        if depth < 50:
            stages.append(Basic(channels=channels, stride=stride, layers=n, skip="project"))
        else:
            stages.append(Bottleneck(channels=channels, stride=stride, layers=n, skip="project", inner=inner))
    return classic(tuple(stages), StemSpec(64, 7, pool=2))


def cifar_resnet(depth: int) -> ArchSpec:
    """The residual network of 6n + 2 layers for CIFAR-10 (He et al. 2016, section 4.2), for 32 pixels.

    Three stages of n basic blocks, 16, 32 and 64 channels wide, with shortcuts that have no parameters (the paper's
    option A). Raises ValueError at another depth.
    """
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        raise ValueError(f"a ResNet for CIFAR-10 has 6n + 2 layers, not {depth}")
    stages = tuple(Basic(channels=16 * 2**i, stride=2 if i else 1, layers=n, skip="pad") for i in range(3))
    return classic(stages, StemSpec(16, stride=1), resolution=32)


NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    **{f"resnet{depth}": partial(resnet, depth) for depth in RESNET_LAYERS},
    "wide_resnet50_2": partial(resnet, 50, inner=0.5),
    **{f"resnet{depth}": partial(cifar_resnet, depth) for depth in CIFAR_DEPTHS},
}
