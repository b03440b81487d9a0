"""A network that takes images as they are decoded: what a training did to them before its network is part of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Prepared(nn.Module):
    """A network for uint8 images (batch, height, width, channels), in place of normalised floats.

    Images of any size are brought to `resolution` pixels as nas.data.augment.resize does it: bilinear with
    antialiasing, and rounded to whole levels. (A network of enlarged images, where all is smooth, depends on that: one
    lost 17 points without.) None: they have their size. They are normalised by mean and std (per channel, in 0..1), and
    grey ones repeated for a network of `channels` inputs.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, resolution: int | None, channels: int, mean: Sequence[float], std: Sequence[float]
    ) -> None:
        super().__init__()
        self.network = network
        self.resolution = resolution
        self.channels = channels
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, 255 * torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        planes = images.permute(0, 3, 1, 2).float()
        if self.resolution is not None:
            size = (self.resolution, self.resolution)
            planes = functional.interpolate(planes, size, mode="bilinear", antialias=True).round().clamp(0, 255)
        normalised = (planes - self.mean) / self.std
        logits: Tensor = self.network(normalised.expand(-1, self.channels, -1, -1))
        return logits
