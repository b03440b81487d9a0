"""ShuffleNet's unit (Zhang et al. 2018, figure 2): grouped 1x1, channel shuffle, depthwise, grouped 1x1."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from search_spaces.checks import ArchError, shown
from search_spaces.layers import Concat, Conv, Layer, Pooling, Residual, Seq, Shuffle
from search_spaces.ops.base.fields import GROUPS, INNER, Token
from search_spaces.ops.base.parts import share_of
from search_spaces.ops.base.stage import Stage, Style


@dataclass(frozen=True, kw_only=True)
class ShuffleUnit(Stage):
    """A block that changes the shape appends its channels to those of the pooled input instead of adding them.

    The first 1x1 convolution is not grouped where the input is narrower than the unit's inner width.

    inner: the inner width as a share of the output. groups: of the 1x1 convolutions.
    """

    op: str = field(default="shuffle", init=False)
    inner: float = 0.25
    groups: int = 1

    tokens: ClassVar[tuple[Token, ...]] = (INNER, GROUPS)

    def check(self, where: str, inputs: int) -> None:
        super().check(where, inputs)
        for channels in (inputs, self.channels):
            if channels % self.groups:
                raise ArchError(
                    f"{where}groups: {shown(channels)} channels cannot be divided into {shown(self.groups)} groups"
                )
        if self.channels < inputs or (self.channels == inputs and self.stride > 1):
            raise ArchError(
                f"{where}channels: must be more than the {shown(inputs)} that come in, not {shown(self.channels)}"
            )

    def block(self, inputs: int, stride: int, style: Style) -> Layer:
        inner = -(-share_of(self.channels, self.inner) // self.groups) * self.groups
        changing = stride > 1 or inputs != self.channels
        body = Seq(
            (
                Conv(inner, groups=self.groups if inputs >= inner else 1),
                style.norm,
                style.act,
                Shuffle(self.groups),
                Conv(inner, self.kernel, stride, groups=inner),
                style.norm,
                Conv(self.channels - inputs if changing else self.channels, groups=self.groups),
                style.norm,
            )
        )
        if not changing:
            return Seq((Residual(body), style.act))
        shortcut = Pooling("avg", 3, stride, padding=1) if stride > 1 else Seq(())
        return Seq((Concat((shortcut, body)), style.act))

    def least_channels(self, inputs: int, step: int) -> int:
        return inputs + step  # those that come in, and some to append
