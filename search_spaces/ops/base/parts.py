"""Parts that blocks of several ops are made of."""

from __future__ import annotations

from search_spaces.layers import Act, Conv, Gate, GlobalPool, Layer, PadChannels, Pooling, Residual, Seq
from search_spaces.ops.base.fields import GateSpec
from search_spaces.ops.base.stage import Stage, Style
from search_spaces.rounding import round_channels


def squeeze_excite(stage: Stage, inputs: int, channels: int, style: Style) -> tuple[Layer, ...]:
    """The gate of `channels`, nothing where the stage has none.

    The squeeze's width is a share of the block's input, as in MnasNet and EfficientNet, not of the inner width.
    """
    if not stage.se:
        return ()
    gate = stage.gate or GateSpec()
    squeezed = squeezed_width(stage, inputs)
    act = Act(gate.activation) if gate.activation else style.act
    return (Gate(Seq((GlobalPool(), Conv(squeezed, bias=True), act, Conv(channels, bias=True), Act(gate.function)))),)


def squeezed_width(stage: Stage, inputs: int) -> int:
    """Squeeze-excite's channels in a block that gets `inputs`."""
    divisor = stage.gate.divisor if stage.gate else 1
    return round_channels(inputs * stage.se, divisor) if divisor > 1 else max(1, int(inputs * stage.se))


def expanded_width(inputs: int, expand: float) -> int:
    """The inner width of an inverted bottleneck: a product that is no integer is rounded to a multiple of 8."""
    width = inputs * expand
    return int(width) if width == int(width) else round_channels(width)


def whole(value: float) -> float:
    """The integer where the value is one, so that 6.0 and 6 are one choice."""
    return int(value) if value == int(value) else value


def share_of(channels: int, share: float) -> int:
    """The inner width that is a share of the output."""
    return max(1, round(channels * share))


def separable_conv(inputs: int, channels: int, kernel: int, style: Style, stride: int = 1) -> tuple[Layer, ...]:
    """Depthwise and pointwise convolution with no norm between them (Xception's)."""
    return Conv(inputs, kernel, stride, groups=inputs), Conv(channels), style.norm


def with_shortcut(body: Layer, stage: Stage, inputs: int, stride: int, style: Style) -> Layer:
    """`body`, which has the stride, and the stage's shortcut where there is one."""
    changing = stride > 1 or inputs != stage.channels
    if stage.skip == "pool" and stride > 1:
        pool = Pooling("avg", 2, stride, ceil_mode=True)
        project = () if inputs == stage.channels else (Conv(stage.channels), style.norm)
        return Residual(body, Seq((pool, *project)))
    if stage.skip == "project" and changing:
        return Residual(body, Seq((Conv(stage.channels, 1, stride), style.norm)))
    if stage.skip == "pad" and changing:
        every = (Pooling("max", 1, stride),) if stride > 1 else ()
        pad = (PadChannels(stage.channels),) if stage.channels != inputs else ()
        return Residual(body, Seq((*every, *pad)))
    return body if stage.skip == "none" or changing else Residual(body)
