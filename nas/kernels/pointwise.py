"""Convolutions of one pixel as matrix products over (pixels, channels), which on the CPU are faster."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from nas.kernels.library import one_thread, suits
from nas.kernels.products import product, product_over_rows


class PointwiseConv2d(nn.Conv2d):
    """A convolution of one pixel that trains by matrix products on images they suit, and otherwise as ever."""

    def forward(self, input: Tensor) -> Tensor:
        if not (torch.is_grad_enabled() and self.weight.requires_grad and one_thread() and suits(input)):
            return super().forward(input)
        result: Tensor = _Pointwise.apply(input, self.weight, self.bias)  # type: ignore[no-untyped-call]
        return result


def swap_pointwise(network: nn.Module) -> None:
    """Turn the convolutions of one pixel into `PointwiseConv2d`, in place; those without stride, padding and groups."""
    for module in network.modules():
        if type(module) is nn.Conv2d and _takes_part(module):
            module.__class__ = PointwiseConv2d


def as_rows(images: Tensor) -> Tensor:
    """Images (N, C, H, W) in channels_last layout as a matrix (N * H * W, C) in the same memory."""
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def as_matrix(weight: Tensor) -> Tensor:
    """Weights (out, in, 1, 1) as a matrix (out, in)."""
    return weight.reshape(weight.shape[:2])


def as_images(rows: Tensor, like: Tensor) -> Tensor:
    """A matrix (N * H * W, C) as images in channels_last layout in the same memory, of N, H and W as those."""
    n, _, height, width = like.shape
    return rows.view(n, height, width, rows.shape[1]).permute(0, 3, 1, 2)


def like_images(images: Tensor, channels: int) -> Tensor:
    """Room for images of so many channels, of the size, type and layout of these, which are in channels_last."""
    n, _, height, width = images.shape
    return torch.empty((n, channels, height, width), dtype=images.dtype, memory_format=torch.channels_last)


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(images, weight)
        result = like_images(images, len(weight))  # no view of a matrix: what follows may change it in place
        product(as_rows(images), as_matrix(weight), as_rows(result))
        if bias is not None:
            as_rows(result).add_(bias)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor | None]:
        images, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        rows = as_rows(gradient)
        for_images = for_bias = None
        if ctx.needs_input_grad[0]:
            for_images = as_images(product(rows, as_matrix(weight).t()), images)
        for_weight = product_over_rows(rows, as_rows(images)).reshape(weight.shape)
        if ctx.needs_input_grad[2]:
            for_bias = rows.sum(0)
        return for_images, for_weight, for_bias


def _takes_part(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (1, 1)
        and conv.stride == (1, 1)
        and conv.padding in {(0, 0), "valid", "same"}
        and conv.groups == 1
    )
