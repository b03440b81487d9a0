"""Depthwise and pointwise convolution with no norm between them (Xception's exit), + shortcut, activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.layers import Layer, Seq
from search_spaces.ops.base.fields import SKIP, Token
from search_spaces.ops.base.parts import separable_conv, with_shortcut
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class Separable(Stage):
    """Blocks of one such pair."""

    op: str = field(default="separable", init=False)
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (SKIP,)

    def canonical(self, inputs: int) -> Separable:
        return altered(self, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        body = Seq(separable_conv(inputs, self.channels, self.kernel, style, stride))
        return Seq((with_shortcut(body, self, inputs, stride, style), style.act))

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        return ["conv1", "pointwise", "bn"] if scheme == "timm xception" else None
