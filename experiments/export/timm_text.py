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
from search_spaces import ArchError, ArchSpec, Stage
from search_spaces.arch import canonical

_ACTIVATIONS = {"silu": nn.SiLU, "relu": nn.ReLU, "relu6": nn.ReLU6, "hardswish": nn.Hardswish, "gelu": nn.GELU}


def timm_strings(arch: ArchSpec) -> list[str]:
    """One block string a stage, as timm's `decode_arch_def` takes them. Raises UserError, naming what timm lacks."""
    arch = canonical(arch)
    if (arch.stem.kind, arch.stem.pool, arch.head.kind) != ("conv", 1, "linear") or not arch.head.channels:
        raise UserError("timm's EfficientNet has a stem without pooling, and a 1x1 convolution before it pools")
    return [_stage(stage, inputs, number) for number, (stage, inputs) in enumerate(arch.fed_stages(), 1)]


def _stage(stage: Stage, inputs: int, number: int) -> str:
    try:
        return stage.timm_text(inputs)
    except ArchError as error:
        raise UserError(f"stage {number}: {error}") from None


def write_timm(exported: Exported, path: Path) -> float | None:
    """Write the strings, one a line, after a comment with the builder's other arguments; give the largest difference
    of timm's network with the same weights, or None where timm is not installed."""
    arch = exported.arch
    strings = timm_strings(arch)
    rest = {
        "stem_size": arch.stem.channels, "stem_kernel_size": arch.stem.kernel, "stem_stride": arch.stem.stride,
        "num_features": arch.head.channels, "num_classes": exported.num_classes, "in_chans": arch.input_channels,
        "activation": arch.activation, "bn_eps": arch.norm_eps, "resolution": arch.resolution,
        **({"pad_type": "same"} if arch.padding == "same" else {}),
    }  # fmt: skip
    head = (
        "# timm.models._efficientnet_builder.decode_arch_def([[line] for line in these lines]); channels as they are\n"
        f"# (fix_stem=True, round_chs_fn=identity); {json.dumps(rest)}\n"
        "# timm's stem has stride 2 until network.conv_stem.stride is set to another.\n"
    )
    replace_text(path, head + "".join(f"{line}\n" for line in strings), durable=False)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
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
        pad_type=rest.get("pad_type", ""),
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
