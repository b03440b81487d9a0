"""The default space: the plan of the whole network beside the blocks of every stage, at one cost."""

from __future__ import annotations

from collections.abc import Sequence

from search_spaces.ops.basic import Basic
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.sepconv import SepConv
from search_spaces.spaces.equal_cost import EqualCostSpace
from search_spaces.spaces.whole_networks import Kit, Offer, whole_networks

_KIT = Kit(
    "macro",
    (
        Offer("mbconv3", MBConv(expand=3, skip="pool"), plain=2),
        Offer("mbconv6", MBConv(expand=6, skip="pool")),
        Offer("sepconv", SepConv(skip="pool"), plain=2),
    ),
    judge=Basic(skip="pool"),
    squeezed=32,
)
"""All with average-pooled shortcuts around strides, without which networks were worse. Basic blocks, which judge plans,
are not offered: in searches on three data sets networks with such stages were behind (docs/spaces.md)."""


def macro_space(
    target_macs: float | None = None,
    resolution: int | Sequence[int] = 224,
    *,
    num_classes: int = 1000,
    input_channels: int = 3,
    sizes: tuple[int, ...] = (100,),
) -> EqualCostSpace:
    """Whole networks at one cost: their input size, where strides are, how many stages, and the blocks of each.

    First come the choices of the plan: `resolution` (where it is given as several, in pixels), `stages`, whether the
    `strides` come early, evenly or late, and the width of the `stem` {100, 200 %}. Every plan leaves a final map of 4
    to 7 pixels, and widths double with every stride of a stage. Then come the choices of each stage: op {MBConv 3,
    MBConv 6, sepconv}, layers {1, 2, 3}, kernel {3, 5}, filters {50 to 200 %} and, from 32 channels up, SE {0, 0.25};
    and where the classifier would have fewer features than classes, the width of a `head` before it {0, 2 times the
    plan's last}. Shortcuts around strides are average-pooled.

    These make the shape of a network; all its widths are then scaled alike, to multiples of 4 channels, so that it
    costs `target_macs` (without one: 300 M), or percentages of that with several `sizes`. A plan offers the kinds of
    blocks of which a whole network would have 8 channels or more everywhere, and of plans those in which a network of
    single basic blocks would: stages, late strides and at last the largest resolutions are left out. Below 32 pixels
    only the largest resolution is offered, and where it cannot be, those below it. Raises ValueError when the target is
    too small even for what is left then, or so large that a stem would have more than 1024 channels.
    """
    return whole_networks(
        _KIT, target_macs, resolution, num_classes=num_classes, input_channels=input_channels, sizes=sizes
    )
