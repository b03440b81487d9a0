"""What every stage is: the fields that all ops have, and what each op says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple, Self, TypeVar

from search_spaces.checks import ArchError, Check, shown
from search_spaces.layers import Act, Layer, Norm
from search_spaces.ops.base.fields import CHECKS, GateSpec, Token


class Style(NamedTuple):
    """What the blocks of a stage share."""

    norm: Norm
    act: Act


@dataclass(frozen=True, kw_only=True)
class Stage:
    """`layers` blocks of one op; the first has the stride and changes the channels.

    op: the op's name, given by the class. kernel: odd, in pixels. stride: of the first block. channels: of the output.
    layers: 1 or more. activation, norm_eps, norm_momentum: the network's where None.

    An op is one class in a file of its own, registered in `ops.OPS`. It adds fields, and must say what its `block` is;
    the rest has an answer here for ops without a peculiarity.
    """

    op: str = field(init=False)
    kernel: int = 3
    stride: int = 1
    channels: int = 16
    layers: int = 1
    activation: str | None = None
    norm_eps: float | None = None
    norm_momentum: float | None = None

    tokens: ClassVar[tuple[Token, ...]] = ()
    """What a block string says after the output channels, in this order; what is at its default is left out.

    COMMON follows.
    """
    checks: ClassVar[Mapping[str, Check]] = CHECKS
    """What fields may be, by name; an op adds those that it alone has."""
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
    def gate(self) -> GateSpec | None:
        """Squeeze-excite's gate where it is not GateSpec()."""
        return None

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

    def styled(self, network: Style) -> Style:
        """What the stage's blocks share in a network whose blocks share `network`."""
        eps = network.norm.eps if self.norm_eps is None else self.norm_eps
        momentum = network.norm.momentum if self.norm_momentum is None else self.norm_momentum
        return Style(Norm(eps, momentum), Act(self.activation or network.act.name))

    # What each op says.

    def check(self, where: str, inputs: int) -> None:
        """Raise ArchError, naming the field after `where`, when a field is out of its range or `inputs` do not fit."""
        checks = self.checks
        for name in self.__dataclass_fields__:
            if name in checks:
                checks[name](where + name, getattr(self, name))
        if self.skip == "pad" and self.channels < inputs:
            raise ArchError(f"{where}skip: {shown(inputs)} channels cannot be padded to {shown(self.channels)}")

    def canonical(self, inputs: int) -> Self:  # noqa: ARG002
        """The same blocks, fed with `inputs` channels, with every choice that cannot apply set to one value."""
        return self

    def shortcut_spans(self, inputs: int) -> tuple[bool, bool]:
        """Whether the shortcut of the first block, which gets `inputs` channels, spans a stride, and other channels."""
        return self.stride != 1, inputs != self.channels

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
        raise ArchError(f"timm's strings have no {self.op}")


Kind = TypeVar("Kind", bound=Stage)


def settled(stage: Stage, network: Style) -> Stage:
    """The stage with nothing said of activation, norms and gate that holds anyway in a network of this style."""
    changed: dict[str, Any] = {}
    if stage.activation == network.act.name:
        changed["activation"] = None
    if stage.norm_eps == network.norm.eps:
        changed["norm_eps"] = None
    if stage.norm_momentum == network.norm.momentum:
        changed["norm_momentum"] = None
    if stage.gate is not None:
        changed["gate"] = _settled_gate(stage, stage.gate, stage.styled(network).act.name)
    return replace(stage, **changed) if changed else stage


def _settled_gate(stage: Stage, gate: GateSpec, activation: str) -> GateSpec | None:
    if gate.activation == activation:
        gate = replace(gate, activation=None)
    return gate if stage.se and gate != GateSpec() else None


def altered(stage: Kind, **fields: Any) -> Kind:
    """`dataclasses.replace`; the stage itself where it has these values already, for most have."""
    if all(getattr(stage, name) is value for name, value in fields.items()):
        return stage
    return replace(stage, **fields)


def applicable_skip(stage: Stage, inputs: int) -> str:
    """The shortcut of a stage that gets `inputs` channels, in its simplest form."""
    skip = stage.skip
    strides, channels = stage.shortcut_spans(inputs)
    # A pooled shortcut differs from the identity only where it spans a stride.
    if skip == "pool" and not strides:
        return "identity"
    if skip in ("project", "pad") and not (strides or channels):
        return "identity"
    # A stage whose only block changes the shape has no shortcut by either word. It is "identity", so that the blocks
    # that growth adds, which change nothing, have theirs.
    if skip == "none" and bare(stage, inputs):
        return "identity"
    return skip


def bare(stage: Stage, inputs: int) -> bool:
    """Whether the stage's only block, which gets `inputs` channels, changes the shape, so that no identity fits."""
    return stage.layers == 1 and any(stage.shortcut_spans(inputs))
