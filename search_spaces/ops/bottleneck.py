"""ResNet's bottleneck with the stride on its middle convolution, as in most implementations since the paper."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, INNER, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import share_of, squeeze_excite, with_shortcut
from search_spaces.ops.base.public import resnet_names
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class Bottleneck(Stage):
    """inner: the inner width as a share of the output."""

    op: str = field(default="bottleneck", init=False)
    se: float = 0.0
    gate: GateSpec | None = None
    inner: float = 0.25
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, INNER, SKIP)

    def canonical(self, inputs: int) -> Bottleneck:
        return altered(self, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = share_of(self.channels, self.inner)
        body = (
            Conv(inner),
            style.norm,
            style.act,
            Conv(inner, self.kernel, stride),
            style.norm,
            style.act,
            Conv(self.channels),
            style.norm,
            *squeeze_excite(self, inputs, self.channels, style),
        )
        return Seq((with_shortcut(Seq(body), self, inputs, stride, style), style.act))

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:
        return resnet_names(scheme, 3, changing=stride > 1 or inputs != self.channels)
