"""The bytes of a network's weights as a device keeps them."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.assembly import head_layers, stem_layers, styled_layers
from search_spaces.checks import integer
from search_spaces.cost import Shape, input_shape, layer_cost
from search_spaces.layers import Concat, Conv, Gate, Layer, Linear, Norm, Repeat, Residual, Seq
from search_spaces.memory.precision import INT8, bytes_of
from search_spaces.ops import Stage
from search_spaces.ops.base.stage import Style

_WIDE = 4  # bytes of a bias, and of a scale


class Stored(NamedTuple):
    """Numbers that a device keeps: weights, biases, and the channels that have a scale of their own."""

    weights: int
    biases: int
    scales: int

    def bytes_in(self, precision: str) -> int:
        """All of them: in int8 a weight takes 1 byte, a bias (int32) and a scale (float32) 4; in float32 a weight and a
        bias take 4, and there are no scales."""
        scales = self.scales if precision == INT8 else 0
        return self.weights * bytes_of(precision) + _WIDE * (self.biases + scales)


def count_flash(arch: ArchSpec, num_classes: int = 1000, precision: str = INT8) -> int:
    """Bytes of the weights in `precision` (a key of BYTES).

    Norms are merged into the convolutions before them, which gives these a bias. In int8 every output channel has a
    scale (weights are symmetric, so that there are no zero points). The graph, scales of activations and the program
    that runs them come on top. Raises ArchError where an argument is out of range.
    """
    return sum(flash for _, flash in part_flash(arch, num_classes, precision))


def part_flash(arch: ArchSpec, num_classes: int = 1000, precision: str = INT8) -> list[tuple[str, int]]:
    """The same of stem, every stage and head, in order, each by its name."""
    integer("num_classes", num_classes)
    bytes_of(precision)
    stem, shape = _stored(stem_layers(arch), input_shape(arch))
    parts = [("stem", stem)]
    style, padding = arch.style, arch.padding
    for i, stage in enumerate(arch.stages, 1):
        stored, shape = _stage_stored(stage, shape, style, padding)
        parts.append((f"stage {i}", stored))
    parts.append(("head", _stored(head_layers(arch, num_classes), shape)[0]))
    return [(name, stored.bytes_in(precision)) for name, stored in parts]


@lru_cache(maxsize=1 << 14)
def _stage_stored(stage: Stage, shape: Shape, style: Style, padding: str) -> tuple[Stored, Shape]:
    return _stored(styled_layers(stage, shape.channels, style, padding), shape)


def _stored(layer: Layer, shape: Shape) -> tuple[Stored, Shape]:
    """Of one layer fed with `shape`, and the shape that leaves it."""
    cost, after = layer_cost(layer, shape)
    match layer:
        case Conv(bias=bias) | Linear(bias=bias):
            biases = after.channels * bias
            stored = Stored(cost.params - biases, biases, after.channels)
        case Norm():
            stored = Stored(0, shape.channels, 0)
        case Seq(parts):
            found = []
            for part in parts:
                one, shape = _stored(part, shape)
                found.append(one)
            stored = _sum(found)
        case Repeat(part, times):
            stored = _sum([_stored(part, shape)[0]] * times)
        case Residual(body, shortcut):
            stored = _sum([_stored(part, shape)[0] for part in (body, shortcut) if part is not None])
        case Gate(body):
            stored = _stored(body, shape)[0]
        case Concat(parts):
            stored = _sum([_stored(part, shape)[0] for part in parts])
        case _:
            stored = Stored(0, 0, 0)
    return stored, after


def _sum(found: list[Stored]) -> Stored:
    return Stored(*(sum(numbers) for numbers in zip(*found, strict=True))) if found else Stored(0, 0, 0)
