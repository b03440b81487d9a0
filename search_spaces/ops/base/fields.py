"""Fields that several ops have: what they may be, and how a block string says them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from search_spaces.checks import ArchError, Check, integer, number, odd, one_of, shown
from search_spaces.layers import ACTIVATIONS, GATES

SKIPS = ("identity", "none", "pool", "project", "pad")


@dataclass(frozen=True)
class GateSpec:
    """How squeeze-excite computes its factors.

    function: one of `layers.GATES`, at the end. activation: between its two convolutions, None for the block's own.
    divisor: the squeezed width is rounded to a multiple of it as channels are (MobileNetV3: 8); 1 rounds it down.
    """

    function: str = "sigmoid"
    activation: str | None = None
    divisor: int = 1


def _gate(where: str, value: Any) -> None:
    if not isinstance(value, GateSpec):
        raise ArchError(f"{where}: must be a gate with a function, an activation and a divisor, not {shown(value)}")
    one_of(f"{where}.function", value.function, GATES)
    _if_any(lambda place, name: one_of(place, name, ACTIVATIONS))(f"{where}.activation", value.activation)
    integer(f"{where}.divisor", value.divisor)


def _if_any(check: Check) -> Check:
    """The check of a value that may be None."""

    def checked(where: str, value: Any) -> None:
        if value is not None:
            check(where, value)

    return checked


CHECKS: Mapping[str, Check] = {
    "kernel": odd,
    "stride": integer,
    "channels": integer,
    "layers": integer,
    "expand": lambda where, value: number(where, value, 1, 1024),
    "groups": integer,
    "skip": lambda where, value: one_of(where, value, SKIPS),
    "se": lambda where, value: number(where, value, 0, 64),
    "inner": lambda where, value: number(where, value, 1e-6, 64),
    "gate": _if_any(_gate),
    "activation": _if_any(lambda where, value: one_of(where, value, ACTIVATIONS)),
    "norm_eps": _if_any(lambda where, value: number(where, value, 1e-12, 1)),
    "norm_momentum": _if_any(lambda where, value: number(where, value, 0, 1)),
}
"""What they may be, by name. A field that one op alone has is checked in that op's file."""


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


def _read_gate(text: str) -> GateSpec:
    function, *others = text.split("-")
    divisor = int(others.pop()) if others and others[-1].isdecimal() else 1
    return GateSpec(function, others[0] if others else None, divisor)


def _write_gate(gate: GateSpec) -> str:
    parts = (gate.function, gate.activation, str(gate.divisor) if gate.divisor > 1 else None)
    return "gate" + "-".join(filter(None, parts))


SE = numbered("se", "se")
GATE = Token("gate", r"gate([a-z]+(?:-[a-z]+\d*)?(?:-\d+)?)", _read_gate, _write_gate)
INNER = numbered("inner", "w")
GROUPS = numbered("groups", "g", int)
SKIP = Token(
    "skip",
    f"({'|'.join(_SKIP_WORDS)})",
    _SKIP_WORDS.__getitem__,
    lambda value: next(word for word, skip in _SKIP_WORDS.items() if skip == value),
)
COMMON = (
    Token("activation", r"act([a-z]+\d*)", str, lambda value: f"act{value}"),
    numbered("norm_eps", "eps"),
    numbered("norm_momentum", "mom"),
)
"""What a block string says of any op's stage, after the op's own."""
