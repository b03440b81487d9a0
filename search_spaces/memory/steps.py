"""Layers as the steps in which a device executes them: what each reads, and what it writes.

The order is that of the built network: one operation at a time, depth first, a residual's body before its shortcut, a
gate's factors before the product, branches from the first to the last. One image is in memory at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from search_spaces.cost import Shape, layer_cost
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

INPUT = "input"


class Written(NamedTuple):
    """A tensor: what wrote it, in words, and its shape."""

    by: str
    shape: Shape

    @property
    def values(self) -> int:
        return self.shape.channels * self.shape.size**2


class Step(NamedTuple):
    """One operation. reads, writes: places in the listing's tensors. overwrites: the only tensor that it reads may
    become the one that it writes, where no later step reads it."""

    block: int
    reads: tuple[int, ...]
    writes: int
    overwrites: bool


@dataclass
class Listing:
    """The steps of layers that are fed with the first of `tensors`; `output` is what leaves the last."""

    tensors: list[Written]
    steps: list[Step] = field(default_factory=list)
    output: int = 0
    block: int = 0


def steps_of(layer: Layer, shape: Shape) -> Listing:
    """The steps of one layer alone, such as a stem, fed with `shape`. Raises ValueError where shapes do not fit."""
    listing = Listing([Written(INPUT, shape)])
    listing.output = _add(listing, layer, 0, shape)[0]
    return listing


def steps_of_blocks(stage: Seq, shape: Shape) -> Listing:
    """The same of a stage's layers; each step is told the block that it is in, from 1. Of blocks that repeat each
    other two are listed: the others need the same."""
    listing = Listing([Written(INPUT, shape)])
    at = (0, shape)
    for part in stage.parts:
        blocks = [part.part] * min(part.times, 2) if isinstance(part, Repeat) else [part]
        for block in blocks:
            listing.block += 1
            at = _add(listing, block, *at)
    listing.output = at[0]
    return listing


def _add(listing: Listing, layer: Layer, fed: int, shape: Shape) -> tuple[int, Shape]:
    """Append the steps of a layer that reads the tensor `fed`, of `shape`; the tensor that leaves, and its shape."""
    match layer:
        case Dropout():
            return fed, shape
        case Shuffle(groups) if groups in (1, shape.channels):  # which leaves all channels where they are
            return fed, shape
        case Flatten():  # the same values in the same place
            return fed, layer_cost(layer, shape)[1]
        case Seq(parts):
            for part in parts:
                fed, shape = _add(listing, part, fed, shape)
            return fed, shape
        case Repeat(part, times):
            for _ in range(times):
                fed, shape = _add(listing, part, fed, shape)
            return fed, shape
        case Residual(body, shortcut):
            reads, after = _branches(listing, (body, shortcut or Seq(())), fed, shape)
        case Gate(body):
            reads, after = (fed, _add(listing, body, fed, shape)[0]), shape
        case Concat(parts):
            reads, _ = _branches(listing, parts, fed, shape)
            after = layer_cost(layer, shape)[1]
        case _:
            reads, after = (fed,), layer_cost(layer, shape)[1]
    overwrites = isinstance(layer, Norm | Act)
    # What overwrites a tensor leaves it its name.
    by = listing.tensors[fed].by if overwrites and fed else _words(layer, shape)
    listing.tensors.append(Written(by, after))
    written = len(listing.tensors) - 1
    listing.steps.append(Step(listing.block, reads, written, overwrites))
    return written, after


def _branches(listing: Listing, parts: tuple[Layer, ...], fed: int, shape: Shape) -> tuple[tuple[int, ...], Shape]:
    """Append layers that are fed alike; the tensors that leave them, and the shape of the last."""
    written = [_add(listing, part, fed, shape) for part in parts]
    return tuple(tensor for tensor, _ in written), written[-1][1]


_WORDS: dict[type, str] = {
    Norm: "norm", GlobalPool: "mean", Linear: "linear layer", Residual: "sum", Gate: "product", Shuffle: "shuffle",
    Concat: "concatenation", PadChannels: "padding",
}  # fmt: skip


def _words(layer: Layer, shape: Shape) -> str:
    """The operation as people call it."""
    match layer:
        case Conv(kernel=kernel, groups=groups):
            kind = "depthwise " if groups == shape.channels > 1 else "grouped " if groups > 1 else ""
            return f"{kind}{kernel}x{kernel} convolution"
        case Pooling(kind, kernel):
            return f"{kernel}x{kernel} {kind} pool"
        case Act(name):
            return name
    return _WORDS[type(layer)]
