"""A trained network on the images of another one's training: of another size, normalised otherwise, or in colour."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nas.data.augment import normalise, resize, to_grey

_COLOURS = 3


def folded(network: nn.Module) -> nn.Module:
    """A copy for evaluation alone that has less to compute: each norm is a part of the convolution before it."""
    network = copy.deepcopy(network).eval()
    for parent in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (name, first), (behind, second) in itertools.pairwise(parent.named_children()):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                parent.register_module(name, fuse_conv_bn_eval(first, second))
                parent.register_module(behind, nn.Identity())
    return network


class Normalisation(NamedTuple):
    """What images had taken from them and were then divided by, a channel each, in 0..1."""

    mean: Sequence[float]
    std: Sequence[float]


class Sight(NamedTuple):
    """How a network sees images: at how many pixels a side, and normalised how, a channel each."""

    resolution: int
    normalisation: Normalisation


class Adapted(nn.Module):
    """`network`, which takes images at `resolution` with as many channels as `own` has numbers, given batches that are
    normalised by `given`: forward(images (B, C, S, S)) -> what the network gives.

    It sees them as if it had been fed the images itself: of whole levels (0..255) at its size, too. (Of enlarged images
    a network sees the rounding as detail. One that was trained on unrounded ones and measured on rounded ones lost 6
    points.) Colours are turned into brightness for a network of one channel, one channel is repeated for one of
    several. Raises ValueError where the channels are of different kinds.
    """

    mean: Tensor
    std: Tensor
    own_mean: Tensor
    own_std: Tensor

    def __init__(self, network: nn.Module, resolution: int, own: Normalisation, given: Normalisation) -> None:
        super().__init__()
        self.network, self.resolution, self.takes = network, resolution, len(own.mean)
        gets = len(given.mean)
        if gets not in (self.takes, 1) and (self.takes, gets) != (1, _COLOURS):
            raise ValueError(f"a network of images with {self.takes} channels cannot see images with {gets}")
        for name, values in (("own_mean", own.mean), ("own_std", own.std)):
            self.register_buffer(name, 255 * torch.tensor(values))
        for name, values in (("mean", given.mean), ("std", given.std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """What the network makes of a batch."""
        levels = (images * self.std + self.mean).round_().clamp_(0, 255).to(torch.uint8)
        sized = resize(levels.permute(0, 2, 3, 1), self.resolution)
        if self.takes == 1 and sized.shape[-1] == _COLOURS:
            sized = to_grey(sized)
        seen = normalise(sized.expand(-1, -1, -1, self.takes), self.own_mean, self.own_std)
        logits: Tensor = self.network(seen.contiguous(memory_format=torch.channels_last))
        return logits
