"""A fused inverted bottleneck (Tan and Le 2021, figure 2): expand by a whole convolution, squeeze-excite, project."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.checks import ArchError
from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import GATE, SE, SKIP, GateSpec, Token
from search_spaces.ops.base.parts import expanded_width, squeeze_excite, whole, with_shortcut
from search_spaces.ops.base.public import has_residual, refuse_changing_skip, refuse_odd_widths, timm_block
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class FusedMBConv(Stage):
    """expand: the inner width as a multiple of the block's input, as MBConv's; 1 leaves the projection out, so that a
    single convolution with its activation is left.
    """

    op: str = field(default="fused_mbconv", init=False)
    expand: float = 1
    se: float = 0.0
    gate: GateSpec | None = None
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SE, GATE, SKIP)
    family: ClassVar[str] = "mbconv"

    def canonical(self, inputs: int) -> FusedMBConv:
        return altered(self, expand=whole(self.expand), skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = self.channels if self.expand == 1 else expanded_width(inputs, self.expand)
        body = (
            Conv(inner, self.kernel, stride),
            style.norm,
            style.act,
            *squeeze_excite(self, inputs, inner, style),
            *(() if self.expand == 1 else (Conv(self.channels), style.norm)),
        )
        return with_shortcut(Seq(body), self, inputs, stride, style)

    @property
    def label(self) -> str:
        return f"FusedMBConv{self.expand:g}"

    @property
    def term(self) -> str:
        return f"fused_mbconv e{self.expand:g}"

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        if scheme == "torchvision efficientnet" and not self.se:
            return [f"block.{i}.{part}" for i in range(1 if self.expand == 1 else 2) for part in ("0", "1")]
        if scheme != "timm":
            return None
        if self.expand == 1:
            return None if self.se else ["conv", "bn1"]
        squeeze = ["se.conv_reduce", "se.conv_expand"] if self.se else []
        return ["conv_exp", "bn1", *squeeze, "conv_pwl", "bn2"]

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        if self.expand > 1:
            refuse_odd_widths(self, inputs)
            return timm_block("er", self, inputs)
        if self.se:
            raise ArchError("timm's plain convolution has no squeeze-excite")
        # Its plain convolutions have a shortcut only where they say so.
        text = timm_block("cn", self, inputs).removesuffix("_noskip")
        return f"{text}_skip" if self.skip != "none" and has_residual(self, inputs) else text
