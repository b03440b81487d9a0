"""Stage operations: each turns one block of a stage into layers, for counting and for building alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from search_spaces.arch import ArchSpec, StageSpec
from search_spaces.layers import (
    Act,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Layer,
    Linear,
    Norm,
    Pool,
    Repeat,
    Residual,
    Seq,
)


class Style(NamedTuple):
    """What all blocks of a network share."""

    norm: Norm
    act: Act


def conv(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """A plain convolution: conv, norm, squeeze-excite, + shortcut, activation."""
    body = (
        Conv(stage.channels, stage.kernel, stride),
        style.norm,
        *_squeeze_excite(stage, inputs, stage.channels, style),
    )
    return Seq((_with_shortcut(Seq(body), stage, inputs, stride, style), style.act))


def sepconv(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """A depthwise separable convolution (MobileNetV1): depthwise, squeeze-excite, pointwise, + shortcut, activation."""
    body = (
        Conv(inputs, stage.kernel, stride, groups=inputs),
        style.norm,
        style.act,
        *_squeeze_excite(stage, inputs, inputs, style),
        Conv(stage.channels),
        style.norm,
    )
    return Seq((_with_shortcut(Seq(body), stage, inputs, stride, style), style.act))


def mbconv(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """A mobile inverted bottleneck (MobileNetV2, MnasNet): expand, depthwise, squeeze-excite, linear projection."""
    inner = inputs * stage.expand
    expand = () if stage.expand == 1 else (Conv(inner), style.norm, style.act)
    body = (
        *expand,
        Conv(inner, stage.kernel, stride, groups=inner),
        style.norm,
        style.act,
        *_squeeze_excite(stage, inputs, inner, style),
        Conv(stage.channels),
        style.norm,
    )
    return _with_shortcut(Seq(body), stage, inputs, stride, style)


BlockOp = Callable[[StageSpec, int, int, Style], Layer]
"""op(stage, input channels, stride of this block, style) -> layers"""

OPS: dict[str, BlockOp] = {"conv": conv, "sepconv": sepconv, "mbconv": mbconv}


def stem_layers(arch: ArchSpec) -> Layer:
    """The layers of the stem."""
    style = _style(arch)
    return Seq((Conv(arch.stem.channels, arch.stem.kernel, arch.stem.stride), style.norm, style.act))


def stage_layers(arch: ArchSpec, stage: StageSpec, inputs: int) -> Layer:
    """The layers of one stage of `arch` that gets `inputs` channels."""
    op = OPS[stage.op]
    style = _style(arch)
    first = op(stage, inputs, stage.stride, style)
    if stage.layers == 1:
        return Seq((first,))
    return Seq((first, Repeat(op(stage, stage.channels, 1, style), stage.layers - 1)))


def head_layers(arch: ArchSpec, num_classes: int) -> Layer:
    """The layers after the last stage, classifier included."""
    style = _style(arch)
    last = (Conv(arch.head.channels), style.norm, style.act) if arch.head.channels else ()
    return Seq((*last, GlobalPool(), Flatten(), Dropout(arch.dropout), Linear(num_classes)))


def network_layers(arch: ArchSpec, num_classes: int) -> Seq:
    """The whole network."""
    inputs = [arch.stem.channels, *(stage.channels for stage in arch.stages)]
    stages = Seq(tuple(stage_layers(arch, stage, n) for stage, n in zip(arch.stages, inputs, strict=False)))
    return Seq((stem_layers(arch), stages, head_layers(arch, num_classes)), names=("stem", "stages", "head"))


def _style(arch: ArchSpec) -> Style:
    return Style(Norm(arch.norm_eps, arch.norm_momentum), Act(arch.activation))


def _squeeze_excite(stage: StageSpec, inputs: int, channels: int, style: Style) -> tuple[Layer, ...]:
    """The squeeze's width is a share of the block's input, as in MnasNet and EfficientNet, not of the inner width."""
    if not stage.se:
        return ()
    squeezed = max(1, int(inputs * stage.se))
    body = (GlobalPool(), Conv(squeezed, bias=True), style.act, Conv(channels, bias=True), Act("sigmoid"))
    return (Gate(Seq(body)),)


def _with_shortcut(body: Layer, stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    if stage.skip == "pool" and stride > 1:
        pool = Pool("avg", 2, stride, ceil_mode=True)
        project = () if inputs == stage.channels else (Conv(stage.channels), style.norm)
        return Residual(body, Seq((pool, *project)))
    if stage.skip == "none" or stride > 1 or inputs != stage.channels:
        return body
    return Residual(body)
