"""Plain opponents for small images: what one would write down without a search."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.ops.basic import Basic
from search_spaces.ops.mbconv import MBConv
from search_spaces.reference.classic import classic

WIDTHS = (32, 64, 128)
"""Of the stages; the second and the third are strided, which leaves 4x4 of 32 pixels after a strided stem."""

PLAIN_RESNET = classic(
    tuple(Basic(channels=channels, stride=2 if i else 1, skip="project") for i, channels in enumerate(WIDTHS)),
    StemSpec(32),
    resolution=32,
)
"""A strided stem and one residual block a stage."""

PLAIN_MBCONV = classic(
    tuple(MBConv(channels=channels, stride=2 if i else 1, layers=2, expand=4) for i, channels in enumerate(WIDTHS)),
    StemSpec(32),
    resolution=32,
    activation="relu6",
)
"""A strided stem and two inverted bottlenecks a stage, without squeeze-excite."""

POOLED_MBCONV = ArchSpec(
    tuple(
        MBConv(channels=channels, stride=2 if i else 1, layers=2, expand=3, skip="pool" if i else "identity")
        for i, channels in enumerate(WIDTHS)
    ),
    StemSpec(32),
    HeadSpec(0),
    resolution=32,
)
"""The same with the default space's blocks: expansion 3, average-pooled shortcuts around strides, SiLU, EfficientNet's
regularisation. On CIFAR-10 it has 64.0 % at 1.8 M multiply-adds, and the one above 58.2 % (docs/spaces.md)."""

NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    "plain_resnet": lambda: PLAIN_RESNET,
    "plain_mbconv": lambda: PLAIN_MBCONV,
    "pooled_mbconv": lambda: POOLED_MBCONV,
}
