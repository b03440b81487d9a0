"""A batch norm, its activation, the gate behind it and the convolution that ends a block, as one operation on the CPU.

What goes from one to the next is never in memory as a whole: it is worked out for some images at a time, which the
processor's cache holds, and anew on the way back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from nas.kernels.library import call
from nas.kernels.norm import Norm, NormActivation
from nas.kernels.pointwise import PointwiseConv2d, as_matrix, as_rows, like_images
from nas.kernels.products import product, product_over_rows
from search_spaces.network import Gate, GlobalPool

CHUNK_BYTES = 1 << 20
"""Of images that are worked on at a time. In smaller products of matrices more time goes into getting them ready."""
_SUMS = 5  # of gate_gradients in _gate.c


class GatedSequential(nn.Sequential):
    """An nn.Sequential in which a norm and a convolution of one pixel, with or without a gate between them, are one
    operation in training on one thread, on images they suit; otherwise as ever.

    chains: for the place of a norm, that of the convolution that ends its chain.
    """

    chains: dict[int, int]

    def forward(self, input: Tensor) -> Tensor:
        at = 0
        while at < len(self):
            end = self.chains.get(at)
            chain = [] if end is None else list(self)[at : end + 1]
            if end is not None and _is_fast(chain, input):
                input = _run_chain(chain, input)
                at = end
            else:
                input = self[at](input)
            at += 1
        return input


def swap_chains(network: nn.Module) -> None:
    """Turn the nn.Sequentials of a network that hold such chains into `GatedSequential`, in place.

    Norms and convolutions have been swapped before.
    """
    for module in network.modules():
        if type(module) is nn.Sequential:
            chains = dict(_find_chains(list(module)))
            if chains:
                module.__class__ = GatedSequential
                module.chains = chains  # type: ignore[assignment]


def _find_chains(modules: list[nn.Module]) -> Iterator[tuple[int, int]]:
    for start, module in enumerate(modules):
        if isinstance(module, NormActivation):
            end = start + 1
            while end < len(modules) and type(modules[end]) is nn.Identity:
                end += 1
            if end < len(modules) and _pools_first(modules[end]):
                end += 1
            if end < len(modules) and isinstance(modules[end], PointwiseConv2d) and modules[end].bias is None:
                yield start, end


def _pools_first(module: nn.Module) -> bool:
    """Whether this is a gate whose factors are found from the mean of each channel alone."""
    return isinstance(module, Gate) and [type(part) for part in list(module.body.children())[:2]] == [
        GlobalPool,
        PointwiseConv2d,
    ]


def _is_fast(chain: list[nn.Module], input: Tensor) -> bool:
    """Whether the norm that begins the chain is, and all of the chain is being trained."""
    assert isinstance(chain[0], NormActivation)
    trained = all(parameter.requires_grad for module in chain for parameter in module.parameters())
    return trained and chain[0].is_fast(input)


def _run_chain(chain: list[nn.Module], input: Tensor) -> Tensor:
    norm, gate, conv = chain[0], chain[-2], chain[-1]
    assert isinstance(norm, NormActivation)
    gated = (partial(_find_factors, gate), *gate.parameters()) if isinstance(gate, Gate) else (None,)
    result: Tensor
    result, mean, variance = _Gated.apply(  # type: ignore[no-untyped-call]
        input, norm.weight, norm.bias, conv.weight, norm.eps, norm.activation, *gated
    )
    norm.keep(mean, variance, input.numel() // input.shape[1])
    return result


def _find_factors(gate: Gate, pooled: Tensor) -> Tensor:
    """What the gate's body makes of the means (N, C, 1, 1), which it begins with."""
    for part in list(gate.body.children())[1:]:
        pooled = part(pooled)
    return pooled


class _Gated(torch.autograd.Function):
    """(result, mean, variance) of conv(y * factors(means of y)) with y = activation(norm(x)); 1 for no factors."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, weight: Tensor, epsilon: float, activation: int,
        find_factors: Callable[[Tensor], Tensor] | None, *parameters: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
        n, channels, height, width = x.shape
        shape = Norm(n, height * width, channels, activation, epsilon)
        mean, variance, deviation = (torch.empty_like(gamma) for _ in range(3))
        call("norm_statistics", shape, x, mean, variance, deviation)
        scale = gamma / deviation
        offset = beta - mean * scale
        ctx.pooled = ctx.graph = None
        if find_factors is None:
            factors = torch.ones(n, channels, dtype=x.dtype)
        else:
            pooled = torch.empty(n, channels, 1, 1, dtype=x.dtype)
            call("gate_sum", shape, x, scale, offset, pooled)
            ctx.pooled = pooled.div_(shape.pixels).requires_grad_()
            with torch.enable_grad():
                ctx.graph = find_factors(ctx.pooled)
            factors = ctx.graph.detach().reshape(n, channels)
        result = like_images(x, len(weight))
        matrix, chunk = as_matrix(weight), _chunk(x)
        room = like_images(x[:chunk], channels)
        parts = zip(*(torch.split(tensor, chunk) for tensor in (x, factors, result)), strict=True)
        for images, factor, out in parts:
            y = room[: len(images)]
            call("gate_forward", _part(shape, images), images, scale, offset, factor, y)
            product(as_rows(y), matrix, as_rows(out))
        ctx.save_for_backward(x, weight, mean, deviation, scale, offset, factors, *parameters)
        ctx.shape = shape
        ctx.mark_non_differentiable(mean, variance)
        return result, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, deviation, scale, offset, factors, *parameters = ctx.saved_tensors
        shape, chunk, matrix = ctx.shape, _chunk(x), as_matrix(weight)
        turned = matrix.t().contiguous()
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_y, for_weight = list[Tensor](), torch.zeros_like(matrix)
        sums = torch.empty(len(x), _SUMS, shape.channels, dtype=x.dtype)
        room = like_images(x[:chunk], shape.channels)
        parts = zip(*(torch.split(tensor, chunk) for tensor in (x, gradient, factors, sums)), strict=True)
        for images, part, factor, sums_part in parts:
            y, for_part = room[: len(images)], product(as_rows(part), turned)
            for_y.append(for_part)
            call(
                "gate_gradients", _part(shape, images), images, for_part, scale, offset, mean, factor, y, sums_part
            )  # fmt: skip
            for_weight += product_over_rows(as_rows(part), as_rows(y))
        for_factors, first, second, plain_first, plain_second = sums.double().unbind(1)
        for_parameters: list[Tensor] = []
        constants = torch.zeros_like(factors)
        if ctx.graph is not None:
            for_pooled, *for_parameters = torch.autograd.grad(
                ctx.graph, [ctx.pooled, *parameters], for_factors.to(x.dtype).view_as(ctx.graph), retain_graph=True
            )
            constants = for_pooled.reshape(factors.shape) / shape.pixels
        first = (factors * first + constants * plain_first).sum(0)
        second = (factors * second + constants * plain_second).sum(0)
        count, deviation = shape.images * shape.pixels, deviation.double()
        slope = second / (count * deviation**2)
        by_x = (-scale * slope).to(x.dtype)
        shift = (-scale * (first / count - mean * slope)).to(x.dtype)
        for_x = torch.empty_like(x)
        parts = zip(for_y, *(torch.split(tensor, chunk) for tensor in (x, factors, constants, for_x)), strict=True)
        for for_part, images, factor, constant, out in parts:
            part_shape = _part(shape, images)
            call("gate_backward", part_shape, images, for_part, scale, offset, factor, constant, by_x, shift, out)
        for_gamma, for_beta = (second / deviation).to(x.dtype), first.to(x.dtype)
        return for_x, for_gamma, for_beta, for_weight.reshape(weight.shape), None, None, None, *for_parameters


def _chunk(x: Tensor) -> int:
    """How many images to work on at a time."""
    return max(1, CHUNK_BYTES // (x[0].numel() * x.element_size()))


def _part(shape: Norm, images: Tensor) -> Norm:
    return Norm(len(images), shape.pixels, shape.channels, shape.activation, shape.epsilon)
