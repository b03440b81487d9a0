"""Stage operations: each turns one block of a stage into layers, for counting and for building alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from search_spaces.arch import ArchSpec, StageSpec
from search_spaces.layers import (
    Act,
    Concat,
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
    Shuffle,
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


def basic(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """ResNet's block of two convolutions (He et al. 2016, figure 5): conv, conv, + shortcut, activation."""
    body = (
        Conv(stage.channels, stage.kernel, stride),
        style.norm,
        style.act,
        Conv(stage.channels, stage.kernel),
        style.norm,
        *_squeeze_excite(stage, inputs, stage.channels, style),
    )
    return Seq((_with_shortcut(Seq(body), stage, inputs, stride, style), style.act))


def bottleneck(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """ResNet's bottleneck with the stride on its middle convolution, as in most implementations since the paper."""
    inner = _inner(stage)
    body = (
        Conv(inner),
        style.norm,
        style.act,
        Conv(inner, stage.kernel, stride),
        style.norm,
        style.act,
        Conv(stage.channels),
        style.norm,
        *_squeeze_excite(stage, inputs, stage.channels, style),
    )
    return Seq((_with_shortcut(Seq(body), stage, inputs, stride, style), style.act))


def shuffle(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """ShuffleNet's unit (Zhang et al. 2018, figure 2): grouped 1x1, channel shuffle, depthwise, grouped 1x1.

    A block that changes the shape appends its channels to those of the pooled input instead of adding them. The first
    1x1 convolution is not grouped where the input is narrower than the unit's inner width.
    """
    inner = -(-_inner(stage) // stage.groups) * stage.groups
    changing = stride > 1 or inputs != stage.channels
    body = Seq(
        (
            Conv(inner, groups=stage.groups if inputs >= inner else 1),
            style.norm,
            style.act,
            Shuffle(stage.groups),
            Conv(inner, stage.kernel, stride, groups=inner),
            style.norm,
            Conv(stage.channels - inputs if changing else stage.channels, groups=stage.groups),
            style.norm,
        )
    )
    if not changing:
        return Seq((Residual(body), style.act))
    shortcut = Pool("avg", 3, stride, padding=1) if stride > 1 else Seq(())
    return Seq((Concat((shortcut, body)), style.act))


def fire(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """SqueezeNet's fire module (Iandola et al. 2016, figure 1), after a maximum pool where it is strided; no norms."""
    half = stage.channels // 2
    body = Seq(
        (
            Conv(_inner(stage), bias=True),
            style.act,
            Concat(
                (
                    Seq((Conv(half, bias=True), style.act)),
                    Seq((Conv(stage.channels - half, stage.kernel, bias=True), style.act)),
                )
            ),
        )
    )
    module = _with_shortcut(body, stage, inputs, 1, style)
    return module if stride == 1 else Seq((Pool("max", 3, stride, ceil_mode=True), module))


def xception(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """Xception's block (Chollet 2017, figure 5) of separable convolutions, each after an activation.

    A block that changes the shape has two, the first of the inner width, and a maximum pool where it is strided; one
    that does not has three.
    """
    changing = stride > 1 or inputs != stage.channels
    widths = (_inner(stage), stage.channels) if changing else (stage.channels,) * 3
    parts: list[Layer] = []
    for before, width in zip((inputs, *widths), widths, strict=False):
        parts += [style.act, *_separable(before, width, stage.kernel, style)]
    if stride > 1:
        parts.append(Pool("max", 3, stride, padding=1))
    return _with_shortcut(Seq(tuple(parts)), stage, inputs, stride, style)


def separable(stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    """Depthwise and pointwise convolution with no norm between them (Xception's exit), + shortcut, activation."""
    body = Seq(_separable(inputs, stage.channels, stage.kernel, style, stride))
    return Seq((_with_shortcut(body, stage, inputs, stride, style), style.act))


BlockOp = Callable[[StageSpec, int, int, Style], Layer]
"""op(stage, input channels, stride of this block, style) -> layers"""

OPS: dict[str, BlockOp] = {
    "conv": conv,
    "sepconv": sepconv,
    "mbconv": mbconv,
    "basic": basic,
    "bottleneck": bottleneck,
    "shuffle": shuffle,
    "fire": fire,
    "xception": xception,
    "separable": separable,
}


def stem_layers(arch: ArchSpec) -> Layer:
    """The layers of the stem."""
    stem, style = arch.stem, _style(arch)
    # Unpadded where strided, as published; without a stride (small images) every pixel of the border counts.
    padding = 0 if stem.stride > 1 else None
    layers: tuple[Layer, ...]
    if stem.kind == "squeezenet":
        layers = (Conv(stem.channels, stem.kernel, stem.stride, bias=True, padding=padding), style.act)
    elif stem.kind == "xception":
        first = Conv(max(1, stem.channels // 2), stem.kernel, stem.stride, padding=padding)
        second = Conv(stem.channels, stem.kernel, padding=padding)
        layers = (first, style.norm, style.act, second, style.norm, style.act)
    else:
        layers = (Conv(stem.channels, stem.kernel, stem.stride), style.norm, style.act)
    return Seq(layers if stem.pool == 1 else (*layers, Pool("max", 3, stem.pool, padding=1)))


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
    if arch.head.kind == "squeezenet":
        return Seq((*last, Dropout(arch.dropout), Conv(num_classes, bias=True), style.act, GlobalPool(), Flatten()))
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


def _inner(stage: StageSpec) -> int:
    return max(1, round(stage.channels * stage.inner))


def _separable(inputs: int, channels: int, kernel: int, style: Style, stride: int = 1) -> tuple[Layer, ...]:
    return Conv(inputs, kernel, stride, groups=inputs), Conv(channels), style.norm


def _with_shortcut(body: Layer, stage: StageSpec, inputs: int, stride: int, style: Style) -> Layer:
    changing = stride > 1 or inputs != stage.channels
    if stage.skip == "pool" and stride > 1:
        pool = Pool("avg", 2, stride, ceil_mode=True)
        project = () if inputs == stage.channels else (Conv(stage.channels), style.norm)
        return Residual(body, Seq((pool, *project)))
    if stage.skip == "project" and changing:
        return Residual(body, Seq((Conv(stage.channels, 1, stride), style.norm)))
    return body if stage.skip == "none" or changing else Residual(body)
