"""Strided convolutions of one pixel without a stride: PyTorch's own may write where they must not."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SampledConv2d(nn.Conv2d):
    """A strided convolution of one pixel: every so many-th row and column, convolved without a stride."""

    def forward(self, input: Tensor) -> Tensor:
        rows, columns = self.stride
        layout = torch.channels_last if input.is_contiguous(memory_format=torch.channels_last) else None
        seen = input[..., ::rows, ::columns].contiguous(memory_format=layout or torch.contiguous_format)
        return nn.functional.conv2d(seen, self.weight, self.bias)


def swap_strided(network: nn.Module) -> None:
    """Turn strided convolutions of one pixel into `SampledConv2d`, in place; parameters and state dict stay.

    The weight gradient of such a convolution was seen to write beyond its memory (PyTorch 2.13 with oneDNN, AMD EPYC
    with AVX-512), in channels_last layout with fewer than 16 input channels on images of 48 pixels or more: the process
    dies, or may go on with other data damaged.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _is_strided(module):
            module.__class__ = SampledConv2d


def _is_strided(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (1, 1) and conv.stride != (1, 1) and conv.padding in {(0, 0), "valid"} and conv.groups == 1
    )
