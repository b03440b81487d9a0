"""A plain convolution: conv, norm, squeeze-excite, + shortcut, activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.checks import ArchError
from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import squeeze_excite, with_shortcut
from search_spaces.ops.base.public import has_residual, refuse_changing_skip, timm_block
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class PlainConv(Stage):
    """Blocks of one convolution."""

    op: str = field(default="conv", init=False)
    se: float = 0.0
    gate: GateSpec | None = None
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, SKIP)
    family: ClassVar[str] = "conv"

    def canonical(self, inputs: int) -> PlainConv:
        return altered(self, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        body = (
            Conv(self.channels, self.kernel, stride),
            style.norm,
            *squeeze_excite(self, inputs, self.channels, style),
        )
        return Seq((with_shortcut(Seq(body), self, inputs, stride, style), style.act))

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:
        plain = self.skip == "none" or (self.skip == "identity" and (stride > 1 or inputs != self.channels))
        return ["conv", "bn1"] if scheme == "timm" and plain and not self.se else None

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        if self.skip != "none" and has_residual(self, inputs):
            raise ArchError("timm cannot say conv with a shortcut")  # ours activates the sum, timm's the branch alone
        if self.se:
            raise ArchError("timm's plain convolution has no squeeze-excite")
        return timm_block("cn", self, inputs)
