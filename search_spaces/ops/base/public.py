"""Mobile and residual blocks as public implementations have them: timm's text, the names of weights."""

from __future__ import annotations

from search_spaces.checks import ArchError
from search_spaces.ops.base.parts import expanded_width
from search_spaces.ops.base.stage import Stage

_TIMM_ACTIVATIONS = {"relu": "re", "relu6": "r6", "hardswish": "hs", "silu": "sw"}


def mobile_names(scheme: str, expands: bool, squeezes: bool) -> list[str] | None:
    """The modules of one block of depthwise and pointwise convolution, after an expansion or not."""
    expansion, squeeze = int(expands), int(squeezes)
    match scheme:
        case "timm":
            gate = ["se.conv_reduce", "se.conv_expand"] * squeeze
            names = ["conv_dw", "bn1", *gate, "conv_pw", "bn2"]
            if expands:
                names = ["conv_pw", "bn1", "conv_dw", "bn2", *gate, "conv_pwl", "bn3"]
        case "efficientnet_pytorch":
            gate = ["_se_reduce", "_se_expand"] * squeeze
            names = ["_expand_conv", "_bn0"] * expansion
            names += ["_depthwise_conv", "_bn1", *gate, "_project_conv", "_bn2"]
        case "torchvision efficientnet":
            groups = [["0", "1"]] * expansion + [["0", "1"]] + [["fc1", "fc2"]] * squeeze + [["0", "1"]]
            names = [f"block.{i}.{part}" for i, group in enumerate(groups) for part in group]
        case "torchvision mobilenet_v2":
            parts = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if expands else ["0.0", "0.1", "1", "2"]
            names = [f"conv.{part}" for part in parts]
        case "torchvision mnasnet":
            names = [f"layers.{part}" for part in ("0", "1", "3", "4", "6", "7")]
        case _:
            return None
    return names


def resnet_names(scheme: str, convolutions: int, changing: bool) -> list[str] | None:
    """The modules of a residual block, in torchvision and timm alike."""
    if scheme != "resnet":
        return None
    names = [f"{kind}{i}" for i in range(1, convolutions + 1) for kind in ("conv", "bn")]
    return names + ["downsample.0", "downsample.1"] * changing


def timm_block(kind: str, stage: Stage, inputs: int) -> str:
    """timm's block string of a stage, `kind` being its word for the block. Raises ArchError where it has no such."""
    if stage.gate or stage.norm_eps or stage.norm_momentum:
        raise ArchError("timm's strings have no gates, and norms only for the whole network")
    if stage.activation not in (None, *_TIMM_ACTIVATIONS):
        raise ArchError(f"timm's strings have no {stage.activation}")
    parts = [kind, f"r{stage.layers}", f"k{stage.kernel}", f"s{stage.stride}"]
    parts += [f"e{stage.expand:g}", f"c{stage.channels}"]
    parts += [f"se{_timm_squeeze(stage, inputs):g}"] if stage.se else []
    parts += [f"n{_TIMM_ACTIVATIONS[stage.activation]}"] if stage.activation else []
    parts += ["noskip"] if stage.skip == "none" and has_residual(stage, inputs) else []
    return "_".join(parts)


def has_residual(stage: Stage, inputs: int) -> bool:
    """Whether some block of the stage keeps its shape, so that a plain shortcut may be there."""
    return stage.layers > 1 or (stage.stride == 1 and inputs == stage.channels)


def refuse_changing_skip(stage: Stage) -> None:
    """Raise ArchError for the shortcuts that timm's mobile networks lack."""
    if stage.skip in ("pool", "project", "pad"):
        raise ArchError(f"timm has no {stage.skip} shortcut")


def refuse_odd_widths(stage: Stage, inputs: int) -> None:
    """Raise ArchError where timm would round the expanded channels to others than ours."""
    for width in _block_widths(stage, inputs):
        if expanded_width(width, stage.expand) % 8:
            raise ArchError(f"timm rounds {width * stage.expand:g} expanded channels to a multiple of 8")


def _block_widths(stage: Stage, inputs: int) -> set[int]:
    """The channels that the blocks of a stage get."""
    return {inputs, stage.channels} if stage.layers > 1 else {inputs}


def _timm_squeeze(stage: Stage, inputs: int) -> float:
    """The ratio by which timm squeezes to the same channels: it rounds to the nearest, this project down to 1 at
    least. The stage's own ratio where it does."""
    wanted = {width: max(1, int(width * stage.se)) for width in _block_widths(stage, inputs)}
    low = max((channels - 0.5) / width for width, channels in wanted.items())
    high = min((channels + 0.5) / width for width, channels in wanted.items())
    for ratio in (stage.se, round((low + high) / 2, 4)):
        if all(round(expanded_width(w, stage.expand) * (ratio / stage.expand)) == n for w, n in wanted.items()):
            return ratio
    raise ArchError(f"no ratio by which timm squeezes {sorted(wanted)} channels to {sorted(wanted.values())}")
