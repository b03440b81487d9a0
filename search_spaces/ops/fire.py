"""SqueezeNet's fire module (Iandola et al. 2016, figure 1), after a maximum pool where it is strided; no norms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.checks import integer
from search_spaces.layers import Concat, Conv, Layer, Pooling, Seq
from search_spaces.ops.base.fields import INNER, SKIP, Token
from search_spaces.ops.base.parts import share_of, with_shortcut
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


@dataclass(frozen=True, kw_only=True)
class Fire(Stage):
    """inner: the squeezed width as a share of the output."""

    op: str = field(default="fire", init=False)
    inner: float = 0.25
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (INNER, SKIP)

    def check(self, where: str, inputs: int) -> None:
        super().check(where, inputs)
        integer(f"{where}channels", self.channels, 2)

    def canonical(self, inputs: int) -> Fire:
        skip = applicable_skip(self, inputs)
        if skip == "project":  # the only norm there is
            return altered(self, skip=skip)
        return altered(self, skip=skip, norm_eps=None, norm_momentum=None)

    def shortcut_spans(self, inputs: int) -> tuple[bool, bool]:
        # The pool comes before the shortcut begins.
        return False, inputs != self.channels

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        half = self.channels // 2
        body = Seq(
            (
                Conv(share_of(self.channels, self.inner), bias=True),
                style.act,
                Concat(
                    (
                        Seq((Conv(half, bias=True), style.act)),
                        Seq((Conv(self.channels - half, self.kernel, bias=True), style.act)),
                    )
                ),
            )
        )
        module = with_shortcut(body, self, inputs, 1, style)
        return module if stride == 1 else Seq((Pooling("max", 3, stride, ceil_mode=True), module))

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        return ["squeeze", "expand1x1", "expand3x3"] if scheme == "torchvision squeezenet" else None
