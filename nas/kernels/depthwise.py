"""Depthwise convolutions on the CPU with a weight gradient of our own, which is what PyTorch's are slow at."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor, nn

from nas.kernels.library import call, suits


class _Shape(ctypes.Structure):
    """`Shape` of the C file."""

    _fields_ = tuple(
        (name, ctypes.c_long)
        for name in (
            "images", "height", "width", "channels", "out_height", "out_width", "kernel", "stride", "padding",
        )
    )  # fmt: skip


class DepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that trains by the compiled loops on images they suit, and otherwise as ever."""

    def forward(self, input: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and self.weight.requires_grad and suits(input)):
            return super().forward(input)
        result: Tensor = _Depthwise.apply(input, self.weight, self.stride[0], self.padding[0])  # type: ignore[no-untyped-call]
        return result


def swap_convolutions(network: nn.Module) -> None:
    """Turn the depthwise convolutions of a network into `DepthwiseConv2d`, in place.

    Only square kernels with equal strides and zero padding of at most half the kernel, without bias or dilation, take
    part.
    """
    for module in network.modules():
        if type(module) is nn.Conv2d and _takes_part(module):
            module.__class__ = DepthwiseConv2d


def weight_gradient(gradient: Tensor, images: Tensor, *, kernel: int, stride: int, padding: int) -> Tensor:
    """The gradient (C, 1, K, K) of the weights from that of the output (N, C, H', W') and the input (N, C, H, W).

    Both in channels_last layout on the CPU, float32 or float64. Raises MemoryError.
    """
    n, channels, height, width = images.shape
    shape = _Shape(n, height, width, channels, *gradient.shape[2:], kernel, stride, padding)
    result = torch.empty(channels, 1, kernel, kernel, dtype=images.dtype)
    call("weight_gradient", shape, images, gradient, result)
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(images, weight, None, stride, padding, 1, images.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None, None]:
        images, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_images = None
        if ctx.needs_input_grad[0]:
            settings = ((ctx.stride,) * 2, (ctx.padding,) * 2, (1, 1), False, (0, 0), len(weight))
            for_images, _, _ = torch.ops.aten.convolution_backward(
                gradient, images, weight, None, *settings, (True, False, False)
            )
        for_weight = weight_gradient(gradient, images, kernel=weight.shape[2], stride=ctx.stride, padding=ctx.padding)
        return for_images, for_weight, None, None


def _takes_part(conv: nn.Conv2d) -> bool:
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size[0] == conv.kernel_size[1]
        and conv.stride[0] == conv.stride[1]
        and conv.padding in {(p, p) for p in range(conv.kernel_size[0] // 2 + 1)}
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and conv.bias is None
    )
