"""The layers of a whole network: stem, stages, head."""

from __future__ import annotations

from search_spaces.arch import ArchSpec
from search_spaces.layers import Conv, Dropout, Flatten, GlobalPool, Layer, Linear, Pooling, Repeat, Seq
from search_spaces.ops import Stage
from search_spaces.ops.base.stage import Style
from search_spaces.padding import padded_same


def stem_layers(arch: ArchSpec) -> Layer:
    """The layers of the stem."""
    stem, style = arch.stem, arch.style
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
    return _padded(arch.padding, Seq(layers if stem.pool == 1 else (*layers, Pooling("max", 3, stem.pool, padding=1))))


def stage_layers(arch: ArchSpec, stage: Stage, inputs: int) -> Layer:
    """The layers of one stage of `arch` that gets `inputs` channels."""
    return styled_layers(stage, inputs, arch.style, arch.padding)


def styled_layers(stage: Stage, inputs: int, network: Style, padding: str) -> Layer:
    """The layers of a stage that gets `inputs` channels, in any network with this style and padding."""
    style = stage.styled(network)
    first = _padded(padding, stage.block(inputs, stage.stride, style))
    if stage.layers == 1:
        return Seq((first,))
    return Seq((first, Repeat(stage.block(stage.channels, 1, style), stage.layers - 1)))


def head_layers(arch: ArchSpec, num_classes: int) -> Layer:
    """The layers after the last stage, classifier included."""
    style = arch.style
    last: tuple[Layer, ...] = (Conv(arch.head.channels), style.norm, style.act) if arch.head.channels else ()
    if arch.head.kind == "squeezenet":
        return Seq((*last, Dropout(arch.dropout), Conv(num_classes, bias=True), style.act, GlobalPool(), Flatten()))
    if arch.head.pools_first:
        bias = arch.head.kind == "mobilenet_v3"
        norm = () if bias else (style.norm,)
        last = (*last, GlobalPool(), Conv(arch.head.pooled, bias=bias), *norm, style.act)
        return Seq((*last, Flatten(), Dropout(arch.dropout), Linear(num_classes)))
    return Seq((*last, GlobalPool(), Flatten(), Dropout(arch.dropout), Linear(num_classes)))


def network_layers(arch: ArchSpec, num_classes: int) -> Seq:
    """The whole network."""
    stages = Seq(tuple(stage_layers(arch, stage, inputs) for stage, inputs in arch.fed_stages()))
    return Seq((stem_layers(arch), stages, head_layers(arch, num_classes)), names=("stem", "stages", "head"))


def _padded(padding: str, layer: Layer) -> Layer:
    return padded_same(layer) if padding == "same" else layer
