"""The universal inverted bottleneck (Qin et al. 2024, figure 4): a depthwise convolution before and after expanding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from search_spaces.checks import ArchError, Check, odd, shown
from search_spaces.layers import Conv, Layer, Seq
from search_spaces.ops.base.fields import CHECKS, SKIP, Token, numbered
from search_spaces.ops.base.parts import expanded_width, whole, with_shortcut
from search_spaces.ops.base.public import refuse_changing_skip, refuse_odd_widths, timm_block
from search_spaces.ops.base.stage import Stage, Style, altered, applicable_skip


def _odd_or_none(where: str, value: Any) -> None:
    if type(value) is not int or value != 0:
        odd(where, value)


@dataclass(frozen=True, kw_only=True)
class UniversalBottleneck(Stage):
    """Depthwise, expansion, depthwise, linear projection; the first depthwise convolution has no activation.

    start: the kernel of the depthwise convolution before the expansion, 0 leaves it out. kernel: of that after it, 0
    leaves it out. With the second alone it is an inverted bottleneck, with the first alone ConvNeXt's block, with
    neither a feed-forward block. The stride is on the second, or else on the first. expand: as MBConv's, but there
    is always an expansion.
    """

    op: str = field(default="uib", init=False)
    start: int = 0
    expand: float = 1
    skip: str = "identity"

    tokens: ClassVar[tuple[Token, ...]] = (numbered("start", "a", int), SKIP)
    checks: ClassVar[Mapping[str, Check]] = {**CHECKS, "kernel": _odd_or_none, "start": _odd_or_none}
    family: ClassVar[str] = "mbconv"

    def check(self, where: str, inputs: int) -> None:
        super().check(where, inputs)
        if self.stride > 1 and not (self.start or self.kernel):
            raise ArchError(f"{where}stride: must be 1 without a depthwise convolution, not {shown(self.stride)}")

    def canonical(self, inputs: int) -> UniversalBottleneck:
        return altered(self, expand=whole(self.expand), skip=applicable_skip(self, inputs))

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = expanded_width(inputs, self.expand)
        early = 1 if self.kernel else stride
        body = (
            *((Conv(inputs, self.start, early, groups=inputs), style.norm) if self.start else ()),
            Conv(inner),
            style.norm,
            style.act,
            *((Conv(inner, self.kernel, stride, groups=inner), style.norm, style.act) if self.kernel else ()),
            Conv(self.channels),
            style.norm,
        )
        return with_shortcut(Seq(body), self, inputs, stride, style)

    @property
    def label(self) -> str:
        return f"UIB{self.expand:g}"

    @property
    def term(self) -> str:
        return f"uib e{self.expand:g} a{self.start}"

    def weight_names(self, scheme: str, inputs: int, stride: int) -> list[str] | None:  # noqa: ARG002
        if scheme != "timm":
            return None
        parts = [*(["dw_start"] if self.start else []), "pw_exp", *(["dw_mid"] if self.kernel else []), "pw_proj"]
        return [f"{part}.{kind}" for part in parts for kind in ("conv", "bn")]

    def timm_text(self, inputs: int) -> str:
        refuse_changing_skip(self)
        refuse_odd_widths(self, inputs)
        return timm_block("uir", self, inputs).replace("uir", f"uir_a{self.start}", 1)
