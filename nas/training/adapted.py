"""A trained network on the images of another one's training: of another size, normalised otherwise, or in colour."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.fusion import fuse_conv_bn_eval

_LUMA = (0.299, 0.587, 0.114)  # as in to_grey


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
    normalised by `given`: forward(images (B, C, R, R)) -> what the network gives.

    Colours are turned into brightness for a network of one channel, one channel is repeated for one of several. Raises
    ValueError where the channels are of different kinds.
    """

    mean: Tensor
    std: Tensor
    own_mean: Tensor
    own_std: Tensor
    luma: Tensor

    def __init__(self, network: nn.Module, resolution: int, own: Normalisation, given: Normalisation) -> None:
        super().__init__()
        self.network, self.resolution = network, resolution
        takes, gets = len(own.mean), len(given.mean)
        if gets not in (takes, 1) and (takes, gets) != (1, 3):
            raise ValueError(f"a network of images with {takes} channels cannot see images with {gets}")
        self.in_grey = takes == 1
        for name, values in (("own_mean", own.mean), ("own_std", own.std), ("mean", given.mean), ("std", given.std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, -1, 1, 1), persistent=False)  # a constant: no weight

    def forward(self, images: Tensor) -> Tensor:
        """What the network makes of a batch."""
        plain = images * self.std + self.mean
        if self.in_grey and plain.shape[1] == len(_LUMA):
            plain = (plain * self.luma).sum(1, keepdim=True)
        if plain.shape[-1] != self.resolution:
            size = (self.resolution, self.resolution)
            plain = F.interpolate(plain, size, mode="bilinear", antialias=True, align_corners=False)
        given = (plain - self.own_mean) / self.own_std
        logits: Tensor = self.network(given.contiguous(memory_format=torch.channels_last))
        return logits
