"""What every stage is: the fields that all ops have, and what each op says about itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Self

from search_spaces.checks import ArchError, Check, integer, number, odd, one_of
from search_spaces.layers import Act, Layer, Norm

SKIPS = ("identity", "none", "pool", "project", "pad")

CHECKS: Mapping[str, Check] = {
    "kernel": odd,
    "stride": integer,
    "channels": integer,
    "layers": integer,
    "expand": integer,
    "groups": integer,
    "skip": lambda where, value: one_of(where, value, SKIPS),
    "se": lambda where, value: number(where, value, 0, 1.0000001),
    "inner": lambda where, value: number(where, value, 1e-6, 64),
}
"""What fields may be that several ops share, by name; a field that one op alone has is checked in that op's file."""


class Style(NamedTuple):
    """What the blocks of a stage share."""

    norm: Norm
    act: Act


class Token(NamedTuple):
    """How a block string says one field: `pattern` is a regular expression whose group holds the value."""

    field: str
    pattern: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def numbered(name: str, prefix: str, read: Callable[[str], Any] = float) -> Token:
    """`prefix` and a number, as in se0.25."""
    digits = r"\d+" if read is int else r"\d+(?:\.\d+)?(?:e-\d+)?"
    return Token(name, f"{re.escape(prefix)}({digits})", read, lambda value: f"{prefix}{value!r}")


_SKIP_WORDS = {"noskip": "none", "poolskip": "pool", "projskip": "project", "padskip": "pad"}
SE = numbered("se", "se")
INNER = numbered("inner", "w")
GROUPS = numbered("groups", "g", int)
SKIP = Token(
    "skip",
    f"({'|'.join(_SKIP_WORDS)})",
    _SKIP_WORDS.__getitem__,
    lambda value: next(word for word, skip in _SKIP_WORDS.items() if skip == value),
)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`layers` blocks of one op; the first has the stride and changes the channels.

    op: the op's name, given by the class. kernel: odd, in pixels. stride: of the first block. channels: of the output.
    layers: 1 or more.

    An op is one class in a file of its own, registered in `ops.OPS`. It adds fields, and must say what its `block` is;
    the rest has an answer here for ops without a peculiarity.
    """

    op: str = field(init=False)
    kernel: int = 3
    stride: int = 1
    channels: int = 16
    layers: int = 1

    tokens: ClassVar[tuple[Token, ...]] = ()
    """What a block string says after the output channels, in this order; what is at its default is left out."""
    family: ClassVar[str] = "other"
    """How drawings paint it: "conv", "sepconv", "mbconv" or "other"."""

    # Fields in the ops that have the choice, and what they amount to in the others.

    @property
    def expand(self) -> float:
        """The inner width as a multiple of the block's input; 1 where nothing is expanded."""
        return 1

    @property
    def se(self) -> float:
        """Squeeze-excite's width as a share of the block's input, 0 leaves it out."""
        return 0.0

    @property
    def skip(self) -> str:
        """The shortcut.

        "identity" where shapes allow, "none", "pool" (average pool on the shortcut of a strided block), or identity
        where shapes allow and elsewhere a strided 1x1 convolution ("project") or, without parameters, every stride-th
        pixel with channels of zeros added ("pad"), which no block can do that gets more channels than it gives.
        """
        return "identity"

    @property
    def groups(self) -> int:
        """Of grouped convolutions; channels are multiples of it."""
        return 1

    # What each op says.

    def check(self, where: str, inputs: int) -> None:
        """Raise ArchError, naming the field after `where`, when a field is out of its range or `inputs` do not fit."""
        for name, check in CHECKS.items():
            if hasattr(self, name):
                check(where + name, getattr(self, name))
        if self.skip == "pad" and self.channels < inputs:
            raise ArchError(f"{where}skip: {inputs} channels cannot be padded to {self.channels}")

    def canonical(self, inputs: int) -> Self:  # noqa: ARG002
        """The same blocks, fed with `inputs` channels, with every choice that cannot apply set to one value."""
        return self

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        """The layers of one block that gets `inputs` channels. The first has the stage's stride, the others 1."""
        raise NotImplementedError

    def least_channels(self, inputs: int, step: int) -> int:  # noqa: ARG002  of the ops that care
        """The fewest output channels that a stage fed with `inputs` can have, where they are multiples of `step`."""
        return inputs if self.skip == "pad" else 1

    @property
    def label(self) -> str:
        """The usual name of the block, as pictures and sentences have it, such as MBConv6."""
        return self.op.capitalize()

    @property
    def term(self) -> str:
        """The op and its expansion as tables have it, such as `mbconv e6`."""
        return self.op

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        """What a public implementation calls the modules with weights of one block, in the order of ours.

        scheme: that of a `public_names.Convention`. None where it has no such block.
        """
        return None

    def timm_text(self, inputs: int) -> str:  # noqa: ARG002
        """The stage as timm's block string. Raises ArchError, saying why, where timm has none."""
        raise ArchError(f"timm cannot say {self.op} with a shortcut")


def changes(stage: Stage, inputs: int) -> bool:
    """Whether the first block's output has another shape than its input of `inputs` channels."""
    return inputs != stage.channels or stage.stride != 1


def applicable_skip(stage: Stage, strided: bool, changing: bool) -> str:
    """The stage's shortcut in its simplest form.

    strided: the first block's shortcut spans the stride. changing: it spans a change of shape.
    """
    skip = stage.skip
    # A pooled shortcut differs from the identity only where it spans a stride.
    if skip == "pool" and not strided:
        skip = "identity"
    if skip in ("project", "pad") and not changing:
        skip = "identity"
    # The identity of a stage whose only block changes the shape is none at all.
    if skip == "identity" and stage.layers == 1 and changing:
        skip = "none"
    return skip
