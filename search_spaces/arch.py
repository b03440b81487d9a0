"""What a network is: frozen values, their JSON form and their identity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from search_spaces.checks import ArchError, integer, known_fields, number, odd, one_of, shown
from search_spaces.json_text import parse_json
from search_spaces.layers import ACTIVATIONS, Act, Norm
from search_spaces.ops import GateSpec, Stage, read_stage
from search_spaces.ops.base.stage import Style, bare, settled
from search_spaces.padding import padded_same

STEM_KINDS = ("conv", "squeezenet", "xception")
PADDINGS = ("symmetric", "same")
HEAD_KINDS = ("linear", "squeezenet", "mobilenet_v3", "mobilenet_v4")


@dataclass(frozen=True)
class StemSpec:
    """The first convolution: `channels` out, `kernel` pixels wide, `stride` 1 or more.

    pool: the stride of a 3x3 maximum pool after it, 1 leaves it out. kind: "conv" (convolution, norm, activation),
    "squeezenet" (a convolution with bias and no norm) or "xception" (two convolutions, the first half as wide); a
    strided one of the latter two is not padded.
    """

    channels: int = 32
    kernel: int = 3
    stride: int = 2
    pool: int = 1
    kind: str = "conv"


@dataclass(frozen=True)
class HeadSpec:
    """The last 1x1 convolution before global pooling and the classifier; 0 channels leaves it out.

    kind: "linear" (pool, then classify), "squeezenet" (classify every position, then pool), "mobilenet_v3" (pool, a 1x1
    convolution with bias to `pooled` channels, activation, classify) or "mobilenet_v4" (the same with a norm in place
    of the bias). pooled: 0 for the other kinds.
    """

    channels: int = 1280
    kind: str = "linear"
    pooled: int = 0

    @property
    def pools_first(self) -> bool:
        """Whether a convolution follows the pooling."""
        return self.kind in ("mobilenet_v3", "mobilenet_v4")


_IMPLIED: dict[str, tuple[Any, ...]] = {
    "pool": (1,), "kind": ("conv", "linear"), "inner": (0.25,), "groups": (1,), "pooled": (0,),
    "padding": ("symmetric",),
    **dict.fromkeys(("activation", "norm_eps", "norm_momentum", "gate"), (None,)),
}  # fmt: skip
"""Values left out of the identity: fields that were added later keep the ids of networks that do not use them."""
_ALWAYS = {"expand": 1, "se": 0.0, "skip": "identity"}
"""What the identity says of a stage whose op lacks these fields: every stage had them when ids were first given."""


@dataclass(frozen=True)
class ArchSpec:
    """A whole network for square images of `resolution` pixels with `input_channels` channels.

    The number of classes is not part of it: it belongs to the data. `dropout` (before the classifier) and
    `drop_path` (stochastic depth of the last block, rising linearly from 0) are rates in [0, 1) and take no part in
    the id. `norm_momentum` is in PyTorch's terms (0.01 is TensorFlow's 0.99). `phi` says by how much
    compound scaling has grown the network from its baseline (0: it is a baseline; below 0: shrunk); it takes no part in
    the id either.

    padding: "symmetric" pads all borders of a map alike, "same" as TensorFlow does: a strided convolution over an even
    number of pixels gets its odd row and column at bottom and right. Networks with weights from TensorFlow need it.

    Raises ArchError when a field is out of its range.
    """

    stages: tuple[Stage, ...]
    stem: StemSpec = StemSpec()
    head: HeadSpec = HeadSpec()
    resolution: int = 224
    activation: str = "silu"
    input_channels: int = 3
    norm_eps: float = 1e-3
    norm_momentum: float = 0.01
    dropout: float = 0.2
    drop_path: float = 0.2
    phi: float = 0.0
    padding: str = "symmetric"

    def __post_init__(self) -> None:
        _check(self)

    def fed_stages(self) -> Iterator[tuple[Stage, int]]:
        """Every stage with the channels that it gets."""
        inputs = self.stem.channels
        for stage in self.stages:
            yield stage, inputs
            inputs = stage.channels

    @property
    def style(self) -> Style:
        """What all blocks share, unless their stage says otherwise."""
        return Style(Norm(self.norm_eps, self.norm_momentum), Act(self.activation))

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, equal for two specs exactly when they build the same network at one resolution.

        Shares (`se`, `inner`) that happen to round to the same widths are told apart all the same.
        """
        arch = canonical(self)
        identity = _said(arch) | {"stem": _said(arch.stem), "head": _said(arch.head)}
        identity["stages"] = [_said_of_stage(stage, inputs) for stage, inputs in arch.fed_stages()]
        for name in ("dropout", "drop_path", "phi"):
            del identity[name]
        return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> str:
        """The spec as indented JSON, read back by `from_json`."""
        return json.dumps(dataclasses.asdict(self), indent=2)

    @classmethod
    def from_json(cls, text: str) -> ArchSpec:
        """Read `to_json`'s form. Raises ArchError on anything else, naming the field."""
        try:
            data = parse_json(text)
        except ValueError as error:
            raise ArchError(str(error)) from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> ArchSpec:
        """The spec from plain dicts and lists. Raises ArchError on unknown, missing or mistyped fields.

        A stage may have fields that only other ops have: files were once written so. They are checked and left out.
        """
        fields = _read_fields(cls, data, "")
        if "stages" not in fields:
            raise ArchError("stages: missing")
        if not isinstance(fields["stages"], list | tuple):
            raise ArchError("stages: must be a list of stages")
        fields["stages"] = tuple(read_stage(stage, f"stages[{i}].") for i, stage in enumerate(fields["stages"]))
        for name, kind in (("stem", StemSpec), ("head", HeadSpec)):
            if name in fields:
                fields[name] = kind(**_read_fields(kind, fields[name], f"{name}."))
        return cls(**fields)


def canonical(arch: ArchSpec) -> ArchSpec:
    """The same network with every choice that cannot apply set to one fixed value; each op says which these are."""
    style = arch.style
    stages = tuple(settled(stage, style).canonical(inputs) for stage, inputs in arch.fed_stages())
    return replace(arch, stages=stages, padding="same" if _is_padded_unevenly(arch) else "symmetric")


def _is_padded_unevenly(arch: ArchSpec) -> bool:
    """Whether some layer is padded otherwise than it would be symmetrically, at one resolution or another."""
    if arch.padding == "symmetric":
        return False
    stem = arch.stem
    if stem.pool > 1 or (stem.kind == "conv" and stem.stride > 1 and stem.kernel > 1):
        return True
    firsts = (stage.block(inputs, stage.stride, arch.style) for stage, inputs in arch.fed_stages())
    return any(padded_same(block) != block for block in firsts)


def _said(spec: Any) -> dict[str, Any]:
    """The fields of a spec that the identity holds."""
    said = {}
    for field in dataclasses.fields(spec):
        value = getattr(spec, field.name)
        if value not in _IMPLIED.get(field.name, ()):
            said[field.name] = dataclasses.asdict(value) if isinstance(value, GateSpec) else value
    return said


def _said_of_stage(stage: Stage, inputs: int) -> dict[str, Any]:
    said = _said(stage)
    if said.get("skip") == "identity" and bare(stage, inputs):
        said["skip"] = "none"  # as it was called when ids were first given
    return _ALWAYS | said


def _read_fields(kind: type, data: Any, where: str) -> dict[str, Any]:
    return known_fields(where, data, [field.name for field in dataclasses.fields(kind)])


MOST_STAGES = 1000
LEAST_PHI = -100


def _check(arch: ArchSpec) -> None:
    if not isinstance(arch.stages, tuple) or not arch.stages:
        raise ArchError("stages: must be a tuple of at least one stage")
    if len(arch.stages) > MOST_STAGES:
        raise ArchError(f"stages: must be at most {MOST_STAGES}, not {len(arch.stages)}")
    integer("resolution", arch.resolution)
    integer("input_channels", arch.input_channels)
    one_of("activation", arch.activation, ACTIVATIONS)
    one_of("padding", arch.padding, PADDINGS)
    number("norm_eps", arch.norm_eps, 1e-12, 1)
    for name in ("norm_momentum", "dropout", "drop_path"):
        number(name, getattr(arch, name), 0, 1)
    number("phi", arch.phi, LEAST_PHI, float("inf"))
    for name in ("channels", "stride", "pool"):
        integer(f"stem.{name}", getattr(arch.stem, name))
    odd("stem.kernel", arch.stem.kernel)
    one_of("stem.kind", arch.stem.kind, STEM_KINDS)
    integer("head.channels", arch.head.channels, 0)
    one_of("head.kind", arch.head.kind, HEAD_KINDS)
    integer("head.pooled", arch.head.pooled, int(arch.head.pools_first))
    if arch.head.pooled and not arch.head.pools_first:
        raise ArchError(f"head.pooled: must be 0 in a {arch.head.kind} head, not {shown(arch.head.pooled)}")
    for i, stage in enumerate(arch.stages):
        if not isinstance(stage, Stage):
            raise ArchError(f"stages[{i}]: must be a stage, not {type(stage).__name__}")
    for i, (stage, inputs) in enumerate(arch.fed_stages()):
        stage.check(f"stages[{i}].", inputs)
