"""A mobile inverted bottleneck (MobileNetV2, MnasNet): expand, depthwise, squeeze-excite, linear projection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import expanded_width, squeeze_excite, whole, with_shortcut
from search_spaces.ops.base.public import mobile_names, refuse_changing_skip, refuse_odd_widths, timm_block
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class MBConv(Stage):
    """expand: the inner width as a multiple of the block's input; 1 leaves the expansion out. It may be fractional, as
    in MobileNetV3: widths that are no integer then are rounded to multiples of 8.
    """

    op: str = field(default="mbconv", init=False)
    expand: float = 1
    se: float = 0.0
    gate: GateSpec | None = None
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, SKIP)
    family: ClassVar[str] = "mbconv"

    def canonical(self, inputs: int) -> MBConv:
        return altered(self, expand=whole(self.expand), skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = expanded_width(inputs, self.expand)
        expand = () if self.expand == 1 else (Conv(inner), style.norm, style.act)
        body = (
            *expand,
            Conv(inner, self.kernel, stride, groups=inner),
            style.norm,
            style.act,
            *squeeze_excite(self, inputs, inner, style),
            Conv(self.channels),
            style.norm,
        )
        return with_shortcut(Seq(body), self, inputs, stride, style)

    @property
    def label(self) -> str:
        return f"MBConv{self.expand:g}"

    @property
    def term(self) -> str:
        return f"mbconv e{self.expand:g}"

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        return mobile_names(scheme, expands=self.expand > 1, squeezes=bool(self.se))

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        if self.expand == 1:
            return timm_block("ds", self, inputs)
        refuse_odd_widths(self, inputs)
        return timm_block("ir", self, inputs)
