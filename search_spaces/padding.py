"""TensorFlow's padding: the layers that it concerns, and the pixels that it adds."""

from __future__ import annotations

from dataclasses import replace

from search_spaces.layers import Concat, Conv, Gate, Layer, Pooling, Repeat, Residual, Seq


def padded_same(layer: Layer) -> Layer:  # noqa: PLR0911  one case a layer
    """`layer` with padding "same" in every convolution and pool that is padded, and strided: elsewhere, kernels being
    odd, it is the same as padding all borders alike."""
    match layer:
        case Conv(kernel=kernel, stride=stride, padding=None) if kernel > 1 and stride > 1:
            return replace(layer, padding="same")
        case Pooling(stride=stride, padding=padding) if padding and stride > 1:
            return replace(layer, padding="same")
        case Seq(parts):
            return replace(layer, parts=tuple(map(padded_same, parts)))
        case Concat(parts):
            return Concat(tuple(map(padded_same, parts)))
        case Repeat(part, times):
            return Repeat(padded_same(part), times)
        case Residual(body, shortcut):
            return Residual(padded_same(body), None if shortcut is None else padded_same(shortcut))
        case Gate(body):
            return Gate(padded_same(body))
    return layer


def same_size(size: int, stride: int) -> int:
    """The side of the map that leaves."""
    return -(-size // stride)


def same_borders(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels added (at the top, at the bottom) of a map of `size` pixels, and so at its left and right."""
    total = max((same_size(size, stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2
