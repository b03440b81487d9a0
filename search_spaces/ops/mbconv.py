"""A mobile inverted bottleneck (MobileNetV2, MnasNet): expand, depthwise, squeeze-excite, linear projection."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from search_spaces.checks import ArchError
from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.parts import squeeze_excite, with_shortcut
from search_spaces.ops.public import block_widths, mobile_names, refuse_changing_skip, timm_block
from search_spaces.ops.stage import SE, SKIP, Stage, Style, Token, applicable_skip, changes


@dataclass(frozen=True, kw_only=True)
class MBConv(Stage):
    """expand: the inner width as a multiple of the block's input; 1 leaves the expansion out."""

    op: str = field(default="mbconv", init=False)
    expand: int = 1
    se: float = 0.0
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, SKIP)
    family: ClassVar[str] = "mbconv"

    def canonical(self, inputs: int) -> MBConv:
        return replace(self, skip=applicable_skip(self, self.stride != 1, changes(self, inputs)))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = inputs * self.expand
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
        return f"MBConv{self.expand}"

    @property
    def term(self) -> str:
        return f"mbconv e{self.expand}"

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        return mobile_names(scheme, expands=self.expand > 1, squeezes=bool(self.se))

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        if self.expand == 1:
            return timm_block("ds", self, inputs)
        for width in block_widths(self, inputs):
            if width * self.expand % 8:
                raise ArchError(f"timm rounds {width * self.expand} expanded channels to a multiple of 8")
        return timm_block("ir", self, inputs)
