"""Xception's block (Chollet 2017, figure 5) of separable convolutions, each after an activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.layers import Layer, Pooling, Seq
from search_spaces.ops.base.fields import INNER, SKIP, Token
from search_spaces.ops.base.parts import separable_conv, share_of, with_shortcut
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class XceptionBlock(Stage):
    """A block that changes the shape has two convolutions, and a maximum pool where it is strided; others have three.

    inner: the width of the first of two as a share of the output.
    """

    op: str = field(default="xception", init=False)
    inner: float = 0.25
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (INNER, SKIP)

    def canonical(self, inputs: int) -> XceptionBlock:
        changing = any(self.shortcut_spans(inputs))
        return altered(self, inner=self.inner if changing else 0.25, skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        changing = stride > 1 or inputs != self.channels
        widths = [share_of(self.channels, self.inner), self.channels] if changing else [self.channels] * 3
        parts: list[Layer] = []
        for before, width in zip((inputs, *widths), widths, strict=False):
            parts += [style.act, *separable_conv(before, width, self.kernel, style)]
        if stride > 1:
            parts.append(Pooling("max", 3, stride, padding=1))
        return with_shortcut(Seq(tuple(parts)), self, inputs, stride, style)

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:
        """timm's numbers count activations too."""
        if scheme != "timm xception":
            return None
        changing = stride > 1 or inputs != self.channels
        parts = [(f"{i}.conv1", f"{i}.pointwise", f"{i + 1}") for i in ((1, 4) if changing else (1, 4, 7))]
        names = [f"rep.{name}" for part in parts for name in part]
        return names + ["skip", "skipbn"] * changing
