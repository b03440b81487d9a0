"""A space for devices that compute in int8: no squeeze-excite, ReLU6 throughout, at one cost."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.ops.fused_mbconv import FusedMBConv
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.sepconv import SepConv
from search_spaces.ops.uib import UniversalBottleneck
from search_spaces.spaces.equal_cost import EqualCostSpace
from search_spaces.spaces.whole_networks import Kit, Offer, whole_networks

_KIT = Kit(
    "edge",
    (
        Offer("sepconv", SepConv(skip="pool"), plain=2),
        Offer("mbconv3", MBConv(expand=3, skip="pool"), plain=2),
        Offer("mbconv6", MBConv(expand=6, skip="pool")),
        Offer("uib3", UniversalBottleneck(start=3, expand=3, skip="pool")),
        Offer("fused3", FusedMBConv(expand=3, skip="pool"), kernels=(3,)),
    ),
    judge=SepConv(skip="pool"),
    activation="relu6",
)
"""EfficientNet-Lite's blocks and MobileNetV4's (Qin et al. 2024): a depthwise convolution before the expansion too, and
one whole convolution in place of expansion and depthwise. Shortcuts around strides are average-pooled as in `macro`."""


def edge_space(
    target_macs: float | None = None,
    resolution: int | Sequence[int] = 224,
    *,
    num_classes: int = 1000,
    input_channels: int = 3,
    sizes: tuple[int, ...] = (100,),
) -> EqualCostSpace:
    """Whole networks at one cost that lose little in int8: the choices of `macro_space`, but for the ops of stages
    {sepconv, MBConv 3, MBConv 6, MobileNetV4's block with an extra depthwise convolution, fused MBConv 3}, no
    squeeze-excite, and ReLU6 as the activation. Raises ValueError as that does.
    """
    return whole_networks(
        _KIT, target_macs, resolution, num_classes=num_classes, input_channels=input_channels, sizes=sizes
    )
