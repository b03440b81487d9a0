"""timm's architecture strings, for networks that timm's EfficientNet builder can say."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from experiments.errors import UserError
from experiments.export.check import difference, probe, reference
from experiments.export.source import Exported
from nas.files import replace_text
from search_spaces import ArchSpec, StageSpec
from search_spaces.arch import canonical

_ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish, "gelu": nn.GELU}


def timm_strings(arch: ArchSpec) -> list[str]:
    """One block string a stage, as timm's `decode_arch_def` takes them. Raises UserError, naming what timm lacks."""
    arch = canonical(arch)
    if arch.stem.kind != "conv" or arch.stem.pool != 1 or not arch.head.channels:
        raise UserError("timm's EfficientNet has a stem without pooling, and a 1x1 convolution as its head")
    strings = []
    inputs = arch.stem.channels
    for number, stage in enumerate(arch.stages, 1):
        strings.append(_stage(stage, inputs, number))
        inputs = stage.channels
    return strings


def _stage(stage: StageSpec, inputs: int, number: int) -> str:
    residual = stage.layers > 1 or (stage.stride == 1 and inputs == stage.channels)
    if stage.skip in ("pool", "project"):
        raise UserError(f"stage {number}: timm has no {stage.skip} shortcut")
    if stage.op == "mbconv":
        kind = "ds" if stage.expand == 1 else "ir"
    elif stage.op in ("sepconv", "conv") and (stage.skip == "none" or not residual):
        # With a shortcut ours activate the sum, timm's the branch alone.
        kind = "dsa" if stage.op == "sepconv" else "cn"
    else:
        raise UserError(f"stage {number}: timm cannot say {stage.op} with a shortcut")
    for width in {inputs, stage.channels} if stage.layers > 1 else {inputs}:
        if kind == "ir" and width * stage.expand % 8:
            raise UserError(f"stage {number}: timm rounds {width * stage.expand} expanded channels to a multiple of 8")
    if stage.se and kind == "cn":
        raise UserError(f"stage {number}: timm's plain convolution has no squeeze-excite")
    parts = [kind, f"r{stage.layers}", f"k{stage.kernel}", f"s{stage.stride}", f"e{stage.expand}", f"c{stage.channels}"]
    parts += [f"se{_squeeze(stage, inputs, number):g}"] if stage.se else []
    parts += ["noskip"] if stage.skip == "none" and residual else []
    return "_".join(parts)


def _squeeze(stage: StageSpec, inputs: int, number: int) -> float:
    """The ratio by which timm squeezes to the same channels: it rounds to the nearest, this project down to 1 at
    least. The stage's own ratio where it does."""
    widths = {inputs, stage.channels} if stage.layers > 1 else {inputs}
    wanted = {width: max(1, int(width * stage.se)) for width in widths}
    low = max((channels - 0.5) / width for width, channels in wanted.items())
    high = min((channels + 0.5) / width for width, channels in wanted.items())
    for ratio in (stage.se, round((low + high) / 2, 4)):
        if all(round(width * stage.expand * (ratio / stage.expand)) == n for width, n in wanted.items()):
            return ratio
    raise UserError(
        f"stage {number}: no ratio by which timm squeezes {sorted(wanted)} channels to {sorted(wanted.values())}"
    )


def write_timm(exported: Exported, path: Path) -> float | None:
    """Write the strings, one a line, after a comment with the builder's other arguments; give the largest difference
    of timm's network with the same weights, or None where timm is not installed."""
    arch = exported.arch
    strings = timm_strings(arch)
    rest = {
        "stem_size": arch.stem.channels, "stem_kernel_size": arch.stem.kernel, "stem_stride": arch.stem.stride,
        "num_features": arch.head.channels, "num_classes": exported.num_classes, "in_chans": arch.input_channels,
        "activation": arch.activation, "bn_eps": arch.norm_eps, "resolution": arch.resolution,
    }  # fmt: skip
    head = (
        "# timm.models._efficientnet_builder.decode_arch_def([[line] for line in these lines]); channels as they are\n"
        f"# (fix_stem=True, round_chs_fn=identity); {json.dumps(rest)}\n"
        "# timm's stem has stride 2 until network.conv_stem.stride is set to another.\n"
    )
    replace_text(path, head + "".join(f"{line}\n" for line in strings), durable=False)
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return _difference(exported, lines, rest)


def _difference(exported: Exported, lines: list[str], rest: dict[str, Any]) -> float | None:
    try:
        from timm.models._efficientnet_builder import decode_arch_def  # noqa: PLC0415  optional
        from timm.models.efficientnet import EfficientNet  # noqa: PLC0415
    except ImportError:
        return None
    network = EfficientNet(
        decode_arch_def([[line] for line in lines]),
        num_classes=rest["num_classes"],
        num_features=rest["num_features"],
        in_chans=rest["in_chans"],
        stem_size=rest["stem_size"],
        stem_kernel_size=rest["stem_kernel_size"],
        fix_stem=True,
        round_chs_fn=lambda channels, *_, **__: channels,
        act_layer=_ACTIVATIONS[rest["activation"]],
        norm_layer=partial(nn.BatchNorm2d, eps=rest["bn_eps"]),
    )
    network.conv_stem.stride = (rest["stem_stride"],) * 2
    state = exported.network.state_dict()
    # The modules with weights come in the same order.
    own, theirs = _weighted(exported.network), _weighted(network)
    names = dict(zip(own, theirs, strict=True))
    network.load_state_dict({
        f"{names[module]}.{kind}": value
        for key, value in state.items()
        for module, _, kind in [key.rpartition(".")]
    })  # fmt: skip
    images = probe(exported.arch, 2)
    return difference(reference(exported.network, images), reference(network, images))


def _weighted(network: nn.Module) -> list[str]:
    return [n for n, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear)]
