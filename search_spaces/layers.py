"""A small algebra of layers. `cost` and `network` fold over the same values, so that the two cannot differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ACTIVATIONS = ("silu", "relu", "relu6", "hardswish", "gelu")
"""Names of what may follow a convolution."""
GATES = ("sigmoid", "hardsigmoid")
"""Names of what may end a gate: functions into [0, 1]."""

Padding: TypeAlias = int | Literal["same"]
"""Pixels at every border, or as TensorFlow pads: ceil(size / stride) pixels leave, and where an odd number has to be
added, bottom and right get the one more."""


@dataclass(frozen=True, slots=True)
class Conv:
    """Square convolution to `channels`; padding None keeps the size at stride 1 (kernel // 2)."""

    channels: int
    kernel: int = 1
    stride: int = 1
    groups: int = 1
    bias: bool = False
    padding: Padding | None = None


@dataclass(frozen=True, slots=True)
class Norm:
    """Batch normalisation; momentum in PyTorch's terms."""

    eps: float = 1e-3
    momentum: float = 0.01


@dataclass(frozen=True, slots=True)
class Act:
    """An elementwise activation, by name: one of ACTIVATIONS or GATES."""

    name: str


@dataclass(frozen=True, slots=True)
class Pooling:
    """Average or maximum over windows. ceil_mode lets the last window hang over the edge; padding is never averaged."""

    kind: str
    kernel: int
    stride: int
    padding: Padding = 0
    ceil_mode: bool = False


@dataclass(frozen=True, slots=True)
class GlobalPool:
    """The mean over all positions, to 1x1."""


@dataclass(frozen=True, slots=True)
class Flatten:
    """Channels x height x width to one axis."""


@dataclass(frozen=True, slots=True)
class Dropout:
    """Zeroes a share of the elements in training."""

    rate: float


@dataclass(frozen=True, slots=True)
class Linear:
    """A fully connected layer."""

    features: int
    bias: bool = True


@dataclass(frozen=True, slots=True)
class Seq:
    """One after another; `names`, when given, name the parts in the built module."""

    parts: tuple[Layer, ...]
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Repeat:
    """`times` separate copies of a layer that keeps its input's shape. Inside a Seq its copies are the Seq's parts."""

    part: Layer
    times: int


@dataclass(frozen=True, slots=True)
class Residual:
    """body(x) + shortcut(x); the shortcut None is the identity. Stochastic depth drops the body."""

    body: Layer
    shortcut: Layer | None = None


@dataclass(frozen=True, slots=True)
class Gate:
    """x * body(x), the body giving one factor a channel (squeeze-excite)."""

    body: Layer


@dataclass(frozen=True, slots=True)
class Concat:
    """The outputs of several layers fed alike, one after another along the channels."""

    parts: tuple[Layer, ...]


@dataclass(frozen=True, slots=True)
class Shuffle:
    """Channels dealt out anew: the first of every group, then the second of every group ... (ShuffleNet)."""

    groups: int


@dataclass(frozen=True, slots=True)
class PadChannels:
    """Channels of zeros after those that come in, up to `channels` in all."""

    channels: int


Layer: TypeAlias = (
    Conv
    | Norm
    | Act
    | Pooling
    | GlobalPool
    | Flatten
    | Dropout
    | Linear
    | Seq
    | Repeat
    | Residual
    | Gate
    | Concat
    | Shuffle
    | PadChannels
)
