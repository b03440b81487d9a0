"""What a network is: frozen values, their JSON form and their identity."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

SKIPS = ("identity", "none", "pool", "project")
STEM_KINDS = ("conv", "squeezenet", "xception")
HEAD_KINDS = ("linear", "squeezenet")
ACTIVATIONS = ("silu", "relu", "relu6", "hardswish", "gelu")


class ArchError(ValueError):
    """An architecture that cannot be: the message says which field is wrong and what it may be."""


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

    kind: "linear" (pool, then classify) or "squeezenet" (classify every position, then pool).
    """

    channels: int = 1280
    kind: str = "linear"


@dataclass(frozen=True)
class StageSpec:
    """`layers` blocks of one kind; the first has the stride and changes the channels.

    op: a name from `ops.OPS`. kernel: odd, in pixels. stride: of the first block. channels: of the output. layers: 1
    or more. skip: "identity" where shapes allow, "none", "pool" (average pool on the shortcut of a strided block) or
    "project" (identity where shapes allow, a strided 1x1 convolution elsewhere). se: squeeze-excite width as a share
    of the block's input, 0 leaves it out (not in shuffle, fire, xception, separable).

    expand: the inner width as a multiple of the block's input (mbconv). inner: the inner width as a share of the
    output (bottleneck, shuffle, fire, first convolution of a changing xception block). groups: of the 1x1 convolutions
    (shuffle).
    """

    op: str = "mbconv"
    kernel: int = 3
    stride: int = 1
    expand: int = 1
    se: float = 0.0
    skip: str = "identity"
    channels: int = 16
    layers: int = 1
    inner: float = 0.25
    groups: int = 1


_IMPLIED = {"pool": (1,), "kind": ("conv", "linear"), "inner": (0.25,), "groups": (1,)}
"""Values left out of the identity: fields that were added later keep the ids of networks that do not use them."""


@dataclass(frozen=True)
class ArchSpec:
    """A whole network for square images of `resolution` pixels with `input_channels` channels.

    The number of classes is not part of it: it belongs to the data. `dropout` (before the classifier) and
    `drop_path` (stochastic depth of the last block, rising linearly from 0) are rates in [0, 1) and take no part in
    the id. `norm_momentum` is in PyTorch's terms (0.01 is TensorFlow's 0.99). `phi` says by how much
    compound scaling has grown the network from its baseline (0: it is a baseline); it takes no part in the id either.

    Raises ArchError when a field is out of its range.
    """

    stages: tuple[StageSpec, ...]
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

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def id(self) -> str:
        """16 hexadecimal digits, equal for two specs exactly when they build the same network at one resolution.

        Shares (`se`, `inner`) that happen to round to the same widths are told apart all the same.
        """
        identity = dataclasses.asdict(canonical(self), dict_factory=_without_implied)
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
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise ArchError(f"not JSON: {error}") from None
        return cls.from_dict(data)

    @classmethod
    def from_dict(cls, data: Any) -> ArchSpec:
        """The spec from plain dicts and lists. Raises ArchError on unknown, missing or mistyped fields."""
        fields = _known_fields(cls, data, "")
        stages = fields.get("stages")
        if not isinstance(stages, list | tuple):
            raise ArchError("stages: must be a list of stages")
        fields["stages"] = tuple(
            StageSpec(**_known_fields(StageSpec, stage, f"stages[{i}].")) for i, stage in enumerate(stages)
        )
        for name, kind in (("stem", StemSpec), ("head", HeadSpec)):
            if name in fields:
                fields[name] = kind(**_known_fields(kind, fields[name], f"{name}."))
        return cls(**fields)


def canonical(arch: ArchSpec) -> ArchSpec:
    """The same network with every choice that cannot apply set to one fixed value.

    Expansion means nothing to any op but mbconv, and so on; a pooled shortcut differs from the identity only where the
    first block is strided; an identity shortcut of a stage whose only block changes the shape is none at all.
    """
    stages = []
    channels = arch.stem.channels
    for stage in arch.stages:
        stages.append(_canonical_stage(stage, channels))
        channels = stage.channels
    return replace(arch, stages=tuple(stages))


def _canonical_stage(stage: StageSpec, in_channels: int) -> StageSpec:
    op = stage.op
    changing = in_channels != stage.channels or (op != "fire" and stage.stride != 1)
    inner_used = op in ("bottleneck", "shuffle", "fire") or (op == "xception" and changing)
    return replace(
        stage,
        expand=stage.expand if op == "mbconv" else 1,
        se=0.0 if op in ("shuffle", "fire", "xception", "separable") else stage.se,
        skip=_canonical_skip(stage, changing),
        inner=stage.inner if inner_used else 0.25,
        groups=stage.groups if op == "shuffle" else 1,
    )


def _canonical_skip(stage: StageSpec, changing: bool) -> str:
    if stage.op == "shuffle":
        return "identity"
    # Fire modules pool before their shortcut begins, so that the shortcut never sees a stride.
    strided = stage.stride != 1 and stage.op != "fire"
    skip = stage.skip
    if skip == "pool" and not strided:
        skip = "identity"
    if skip == "project" and not changing:
        skip = "identity"
    if skip == "identity" and stage.layers == 1 and changing:
        skip = "none"
    return skip


def _without_implied(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in pairs if value not in _IMPLIED.get(name, ())}


# --- Checks ------------------------------------------------------------------------------------------------------


def _known_fields(kind: type, data: Any, where: str) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise ArchError(f"{where.rstrip('.') or 'architecture'}: must be an object with fields")
    names = {field.name: field for field in dataclasses.fields(kind)}
    for name in data:
        if name not in names:
            raise ArchError(f"{where}{name}: no such field; known are {', '.join(names)}")
    for name, field in names.items():
        if field.default is dataclasses.MISSING and name not in data:
            raise ArchError(f"{where}{name}: missing")
    return dict(data)


def _integer(where: str, value: Any, low: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ArchError(f"{where}: must be an integer of at least {low}, not {value!r}")


def _number(where: str, value: Any, low: float, below: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < below:
        raise ArchError(f"{where}: must be a number from {low:g} to below {below:g}, not {value!r}")


def _one_of(where: str, value: Any, known: Iterable[str]) -> None:
    if not isinstance(value, str) or value not in known:
        raise ArchError(f"{where}: must be one of {', '.join(known)}, not {value!r}")


def _kernel(where: str, value: Any) -> None:
    _integer(where, value, 1)
    if value % 2 == 0:
        raise ArchError(f"{where}: must be odd, not {value}")


def _check(arch: ArchSpec) -> None:
    from search_spaces.ops import OPS  # noqa: PLC0415  ops builds layers from the specs defined here

    if not isinstance(arch.stages, tuple) or not arch.stages:
        raise ArchError("stages: must be a tuple of at least one stage")
    _integer("resolution", arch.resolution, 1)
    _integer("input_channels", arch.input_channels, 1)
    _one_of("activation", arch.activation, ACTIVATIONS)
    _number("norm_eps", arch.norm_eps, 1e-12, 1)
    for name in ("norm_momentum", "dropout", "drop_path"):
        _number(name, getattr(arch, name), 0, 1)
    _number("phi", arch.phi, 0, float("inf"))
    _integer("stem.channels", arch.stem.channels, 1)
    _kernel("stem.kernel", arch.stem.kernel)
    _integer("stem.stride", arch.stem.stride, 1)
    _integer("stem.pool", arch.stem.pool, 1)
    _one_of("stem.kind", arch.stem.kind, STEM_KINDS)
    _integer("head.channels", arch.head.channels, 0)
    _one_of("head.kind", arch.head.kind, HEAD_KINDS)
    inputs = arch.stem.channels
    for i, stage in enumerate(arch.stages):
        where = f"stages[{i}]."
        _one_of(f"{where}op", stage.op, OPS)
        _kernel(f"{where}kernel", stage.kernel)
        _one_of(f"{where}skip", stage.skip, SKIPS)
        _number(f"{where}se", stage.se, 0, 1.0000001)
        _number(f"{where}inner", stage.inner, 1e-6, 64)
        for name in ("stride", "expand", "channels", "layers", "groups"):
            _integer(f"{where}{name}", getattr(stage, name), 1)
        if stage.op == "fire":
            _integer(f"{where}channels", stage.channels, 2)
        if stage.op == "shuffle":
            _check_shuffle(where, stage, inputs)
        inputs = stage.channels


def _check_shuffle(where: str, stage: StageSpec, inputs: int) -> None:
    """Grouped convolutions need whole groups; a block that changes the shape appends channels to those it gets."""
    for channels in (inputs, stage.channels):
        if channels % stage.groups:
            raise ArchError(f"{where}groups: {channels} channels cannot be divided into {stage.groups} groups")
    if stage.channels < inputs or (stage.channels == inputs and stage.stride > 1):
        raise ArchError(f"{where}channels: must be more than the {inputs} that come in, not {stage.channels}")
