"""Multiply-adds, parameters and activations of a network: one fold over its layers, without torch.

MACs are multiply-adds of convolutions and linear layers, one multiply-add counted once; norms, biases, activations,
pooling and element-wise products count nothing. The papers call this number FLOPs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.assembly import head_layers, stage_layers, stem_layers, styled_layers
from search_spaces.checks import integer
from search_spaces.layers import (
    Act,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Layer,
    Linear,
    Norm,
    PadChannels,
    Pooling,
    Repeat,
    Residual,
    Seq,
    Shuffle,
)
from search_spaces.ops import Stage
from search_spaces.ops.base.stage import Style
from search_spaces.padding import same_size


class Shape(NamedTuple):
    """One image's activations: channels, and the side of the square map."""

    channels: int
    size: int


class Cost(NamedTuple):
    """macs and params are counts; activations is the number of values per image that layers write."""

    macs: int
    params: int
    activations: int


class StageCost(NamedTuple):
    """One row of a network's table: a name, its layers' cost, the shape that leaves it."""

    name: str
    cost: Cost
    output: Shape


def layer_cost(layer: Layer, shape: Shape) -> tuple[Cost, Shape]:
    """The cost of a layer fed with `shape`, and the shape that leaves it. Raises ValueError where shapes do not fit."""
    return _FOLD[type(layer)](layer, shape)


def count_macs(arch: ArchSpec, resolution: int | None = None, num_classes: int = 1000) -> int:
    """Multiply-adds for one image of `resolution` pixels (the arch's own when None).

    Raises ArchError where a number is not from 1 to 1,000,000, and ValueError where the image is too small.
    """
    return network_cost(arch, resolution, num_classes).macs


def count_params(arch: ArchSpec, num_classes: int = 1000) -> int:
    """Trainable parameters. Raises ArchError where `num_classes` is not from 1 to 1,000,000."""
    return network_cost(arch, None, num_classes).params


def network_cost(arch: ArchSpec, resolution: int | None = None, num_classes: int = 1000) -> Cost:
    """All costs of the network. Stages are remembered: a search counts many networks that differ in one of them."""
    integer("num_classes", num_classes)
    first, shape = layer_cost(stem_layers(arch), input_shape(arch, resolution))
    macs, params, activations = first
    style, padding = arch.style, arch.padding
    for stage in arch.stages:
        cost, shape = _stage_cost(stage, shape, style, padding)
        macs += cost[0]
        params += cost[1]
        activations += cost[2]
    last = layer_cost(head_layers(arch, num_classes), shape)[0]
    return Cost(macs + last.macs, params + last.params, activations + last.activations)


@lru_cache(maxsize=1 << 14)
def _stage_cost(stage: Stage, shape: Shape, style: Style, padding: str) -> tuple[Cost, Shape]:
    return layer_cost(styled_layers(stage, shape.channels, style, padding), shape)


def stage_costs(arch: ArchSpec, resolution: int | None = None, num_classes: int = 1000) -> list[StageCost]:
    """The costs of stem, every stage and head, in order; they sum to `network_cost`."""
    integer("num_classes", num_classes)
    rows = []
    shape = input_shape(arch, resolution)
    layers = [("stem", stem_layers(arch))]
    for i, (stage, inputs) in enumerate(arch.fed_stages(), 1):
        layers.append((f"stage {i}", stage_layers(arch, stage, inputs)))
    layers.append(("head", head_layers(arch, num_classes)))
    for name, layer in layers:
        cost, shape = layer_cost(layer, shape)
        rows.append(StageCost(name, cost, shape))
    return rows


def input_shape(arch: ArchSpec, resolution: int | None = None) -> Shape:
    """The shape of an input image. Raises ArchError where `resolution` is neither None nor from 1 to 1,000,000."""
    if resolution is not None:
        integer("resolution", resolution)
    return Shape(arch.input_channels, arch.resolution if resolution is None else resolution)


def at_resolution(arch: ArchSpec, resolution: int) -> ArchSpec:
    """The same network for another input size."""
    return replace(arch, resolution=resolution)


def _conv(layer: Conv, shape: Shape) -> tuple[Cost, Shape]:
    channels, kernel, stride, groups, bias, padding = (
        layer.channels, layer.kernel, layer.stride, layer.groups, layer.bias, layer.padding,
    )  # fmt: skip
    if shape.channels % groups or channels % groups:
        raise ValueError(f"a convolution from {shape.channels} to {channels} channels cannot have {groups} groups")
    if padding == "same":
        size = same_size(shape.size, stride)
    else:
        size = (shape.size + 2 * (kernel // 2 if padding is None else padding) - kernel) // stride + 1
    if size < 1:
        raise ValueError(f"a map of {shape.size} pixels is too small for a {kernel}x{kernel} convolution")
    weights = kernel * kernel * (shape.channels // groups) * channels
    return (
        Cost(weights * size * size, weights + channels * bias, channels * size * size),
        Shape(channels, size),
    )


def _norm(layer: Norm, shape: Shape) -> tuple[Cost, Shape]:  # noqa: ARG001
    return Cost(0, 2 * shape.channels, shape.channels * shape.size * shape.size), shape


def _act(layer: Act, shape: Shape) -> tuple[Cost, Shape]:  # noqa: ARG001
    return Cost(0, 0, shape.channels * shape.size * shape.size), shape


def _free(layer: Dropout, shape: Shape) -> tuple[Cost, Shape]:  # noqa: ARG001
    return _NOTHING, shape


def _flatten(layer: Flatten, shape: Shape) -> tuple[Cost, Shape]:  # noqa: ARG001
    return _NOTHING, Shape(shape.channels * shape.size * shape.size, 1)


def _pool(layer: Pooling, shape: Shape) -> tuple[Cost, Shape]:
    if layer.padding == "same":
        size = same_size(shape.size, layer.stride)
        return Cost(0, 0, shape.channels * size * size), Shape(shape.channels, size)
    span = shape.size + 2 * layer.padding - layer.kernel
    size = (-(-span // layer.stride) if layer.ceil_mode else span // layer.stride) + 1
    # A window may hang over the edge but not begin beyond the image (PyTorch's rule).
    if layer.ceil_mode and (size - 1) * layer.stride >= shape.size + layer.padding:
        size -= 1
    if size < 1:
        raise ValueError(f"a map of {shape.size} pixels is too small for {layer.kernel}x{layer.kernel} pooling")
    return Cost(0, 0, shape.channels * size * size), Shape(shape.channels, size)


def _global_pool(layer: GlobalPool, shape: Shape) -> tuple[Cost, Shape]:  # noqa: ARG001
    return Cost(0, 0, shape.channels), Shape(shape.channels, 1)


def _linear(layer: Linear, shape: Shape) -> tuple[Cost, Shape]:
    weights = shape.channels * shape.size * shape.size * layer.features
    return Cost(weights, weights + layer.features * layer.bias, layer.features), Shape(layer.features, 1)


def _seq(layer: Seq, shape: Shape) -> tuple[Cost, Shape]:
    macs = params = activations = 0
    for part in layer.parts:
        cost, shape = _FOLD[type(part)](part, shape)
        macs += cost[0]
        params += cost[1]
        activations += cost[2]
    return Cost(macs, params, activations), shape


def _repeat(layer: Repeat, shape: Shape) -> tuple[Cost, Shape]:
    cost, after = layer_cost(layer.part, shape)
    if after != shape:
        raise ValueError(f"a repeated layer must keep the shape, not turn {shape} into {after}")
    return Cost(*(layer.times * part for part in cost)), shape


def _residual(layer: Residual, shape: Shape) -> tuple[Cost, Shape]:
    cost, after = layer_cost(layer.body, shape)
    other, beside = (_NOTHING, shape) if layer.shortcut is None else layer_cost(layer.shortcut, shape)
    if after != beside:
        raise ValueError(f"a shortcut of {beside} cannot be added to {after}")
    written = after.channels * after.size * after.size
    return Cost(
        cost.macs + other.macs, cost.params + other.params, cost.activations + other.activations + written
    ), after


def _gate(layer: Gate, shape: Shape) -> tuple[Cost, Shape]:
    cost, factors = layer_cost(layer.body, shape)
    if factors != Shape(shape.channels, 1):
        raise ValueError(f"a gate of {factors} does not fit {shape}")
    return Cost(cost.macs, cost.params, cost.activations + shape.channels * shape.size * shape.size), shape


def _concat(layer: Concat, shape: Shape) -> tuple[Cost, Shape]:
    folded = [layer_cost(part, shape) for part in layer.parts]
    if len({after.size for _, after in folded}) > 1:
        raise ValueError(f"maps of {', '.join(str(after.size) for _, after in folded)} pixels cannot be concatenated")
    costs = zip(*(cost for cost, _ in folded), strict=True)
    return Cost(*map(sum, costs)), Shape(sum(after.channels for _, after in folded), folded[0][1].size)


def _shuffle(layer: Shuffle, shape: Shape) -> tuple[Cost, Shape]:
    if shape.channels % layer.groups:
        raise ValueError(f"{shape.channels} channels cannot be shuffled in {layer.groups} groups")
    return _NOTHING, shape


def _pad_channels(layer: PadChannels, shape: Shape) -> tuple[Cost, Shape]:
    if layer.channels < shape.channels:
        raise ValueError(f"{shape.channels} channels cannot be padded to {layer.channels}")
    return Cost(0, 0, layer.channels * shape.size * shape.size), Shape(layer.channels, shape.size)


_NOTHING = Cost(0, 0, 0)
_FOLD: dict[type, Callable[[Any, Shape], tuple[Cost, Shape]]] = {
    Conv: _conv,
    Norm: _norm,
    Act: _act,
    Pooling: _pool,
    GlobalPool: _global_pool,
    Flatten: _flatten,
    Dropout: _free,
    Linear: _linear,
    Seq: _seq,
    Repeat: _repeat,
    Residual: _residual,
    Gate: _gate,
    Concat: _concat,
    Shuffle: _shuffle,
    PadChannels: _pad_channels,
}
