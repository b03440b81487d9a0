"""A depthwise separable convolution (MobileNetV1): depthwise, squeeze-excite, pointwise, + shortcut, activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.checks import ArchError
from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import squeeze_excite, with_shortcut
from search_spaces.ops.base.public import has_residual, mobile_names, refuse_changing_skip, timm_block
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class SepConv(Stage):
    """Blocks of a depthwise and a pointwise convolution, each with its norm."""

    op: str = field(default="sepconv", init=False)
    se: float = 0.0
    gate: GateSpec | None = None
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, SKIP)
    family: ClassVar[str] = "sepconv"

    def canonical(self, inputs: int) -> SepConv:
        return altered(self, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        body = (
            Conv(inputs, self.kernel, stride, groups=inputs),
            style.norm,
            style.act,
            *squeeze_excite(self, inputs, inputs, style),
            Conv(self.channels),
            style.norm,
        )
        return Seq((with_shortcut(Seq(body), self, inputs, stride, style), style.act))

    @property
    def label(self) -> str:
        return "SepConv"

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        return mobile_names(scheme, expands=False, squeezes=bool(self.se))

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        if self.skip != "none" and has_residual(self, inputs):
            raise ArchError("timm cannot say sepconv with a shortcut")  # as with plain convolutions
        return timm_block("dsa", self, inputs)
