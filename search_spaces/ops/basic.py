"""ResNet's block of two convolutions (He et al. 2016, figure 5): conv, conv, + shortcut, activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import squeeze_excite, with_shortcut
from search_spaces.ops.base.public import resnet_names
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class Basic(Stage):
    """Blocks of two convolutions of the output's width."""

    op: str = field(default="basic", init=False)
    se: float = 0.0
    gate: GateSpec | None = None
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, SKIP)

    def canonical(self, inputs: int) -> Basic:
        return altered(self, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        body = (
            Conv(self.channels, self.kernel, stride),
            style.norm,
            style.act,
            Conv(self.channels, self.kernel),
            style.norm,
            *squeeze_excite(self, inputs, self.channels, style),
        )
        return Seq((with_shortcut(Seq(body), self, inputs, stride, style), style.act))

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:
        return resnet_names(scheme, 2, changing=stride > 1 or inputs != self.channels)
