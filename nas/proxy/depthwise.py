"""Depthwise convolutions on the CPU with a weight gradient of our own, which is what PyTorch's are slow at.

`accelerate` swaps them into a network; parameters and the keys of the state dict stay. The loops are compiled when the
package is installed (`_depthwise.c`). Where they are missing, or a short check against PyTorch fails, networks are left
as they are.

The two paths add the same products in another order: a weight's gradient differs by about 1e-6 of the largest, which
changes an accuracy as another machine or version of PyTorch would, and so is not part of a request. On one machine
equal trainings give equal bits, whatever the number of threads.
"""

from __future__ import annotations

import ctypes
import importlib.util
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

TOLERANCE = 1e-4
"""How far a gradient may be from PyTorch's, as a share of its largest element."""

_SUFFIXES = {torch.float32: "f32", torch.float64: "f64"}


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
        if not (torch.is_grad_enabled() and self.weight.requires_grad and _suits(input)):
            return super().forward(input)
        result: Tensor = _Depthwise.apply(input, self.weight, self.stride[0], self.padding[0])  # type: ignore[no-untyped-call]
        return result


def accelerate(network: nn.Module) -> nn.Module:
    """The same network, its depthwise convolutions changed in place to `DepthwiseConv2d` where that is possible.

    Only square kernels with equal strides and zero padding of at most half the kernel, without bias or dilation, take
    part, in float32 or float64.
    """
    if available():
        for module in network.modules():
            if type(module) is nn.Conv2d and _takes_part(module):
                module.__class__ = DepthwiseConv2d
    return network


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether the loops were compiled and agree with PyTorch here; looked at once a process."""
    if _library() is None:
        return False
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 20, 7, 6, generator=generator).contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(2, 20, 4, 3, generator=generator).contiguous(memory_format=torch.channels_last)
    weight = torch.zeros(20, 1, 5, 5)
    wanted = _plain_backward(gradient, images, weight, stride=2, padding=2, wanted=(False, True))[1]
    found = weight_gradient(gradient, images, kernel=5, stride=2, padding=2)
    return bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max())


def weight_gradient(gradient: Tensor, images: Tensor, *, kernel: int, stride: int, padding: int) -> Tensor:
    """The gradient (C, 1, K, K) of the weights from that of the output (N, C, H', W') and the input (N, C, H, W).

    Both in channels_last layout on the CPU, float32 or float64. Raises MemoryError.
    """
    n, channels, height, width = images.shape
    shape = _Shape(n, height, width, channels, *gradient.shape[2:], kernel, stride, padding)
    result = torch.empty(channels, 1, kernel, kernel, dtype=images.dtype)
    function = getattr(_library(), f"weight_gradient_{_SUFFIXES[images.dtype]}")
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (images, gradient, result))
    if function(ctypes.byref(shape), *pointers):
        raise MemoryError("no memory for the weight gradient of a depthwise convolution")
    return result


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        ctx.save_for_backward(images, weight)
        ctx.stride, ctx.padding = stride, padding
        return torch.conv2d(images, weight, None, stride, padding, 1, images.shape[1])

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        images, weight = ctx.saved_tensors
        step = {"stride": ctx.stride, "padding": ctx.padding}
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_images = None
        if ctx.needs_input_grad[0]:
            for_images, _ = _plain_backward(gradient, images, weight, **step, wanted=(True, False))
        return for_images, weight_gradient(gradient, images, kernel=weight.shape[2], **step), None, None


def _plain_backward(
    gradient: Tensor, images: Tensor, weight: Tensor, *, stride: int, padding: int, wanted: tuple[bool, bool]
) -> tuple[Tensor, Tensor]:
    """PyTorch's gradients of (images, weight), those that are wanted."""
    pair, groups = (stride, stride), images.shape[1]
    found = torch.ops.aten.convolution_backward(
        gradient, images, weight, None, pair, (padding, padding), (1, 1), False, (0, 0), groups, (*wanted, False)
    )
    return found[0], found[1]


def _suits(images: Tensor) -> bool:
    return (
        images.device.type == "cpu"
        and images.dtype in _SUFFIXES
        and images.is_contiguous(memory_format=torch.channels_last)
    )


def _takes_part(conv: nn.Conv2d) -> bool:
    return (
        conv.groups == conv.in_channels == conv.out_channels
        and conv.kernel_size[0] == conv.kernel_size[1]
        and conv.stride[0] == conv.stride[1]
        and conv.padding in {(p, p) for p in range(conv.kernel_size[0] // 2 + 1)}
        and conv.padding_mode == "zeros"
        and conv.dilation == (1, 1)
        and conv.bias is None
        and conv.weight.dtype in _SUFFIXES
    )


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL | None:
    """The compiled loops, or None where the package was installed without."""
    found = importlib.util.find_spec("nas.proxy._depthwise")
    if found is None or found.origin is None:
        return None
    try:
        return ctypes.CDLL(found.origin)
    except OSError:
        return None
