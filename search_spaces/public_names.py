"""How torchvision and timm name the modules of the networks that both they and we have.

Each function lists their names in the order of our own modules that hold weights: a block's body, then its shortcut.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from search_spaces.arch import ArchSpec, StageSpec


class Convention(NamedTuple):
    """A public implementation's names, for networks of these ops; `norm_eps` is what it builds such a network with."""

    label: str
    ops: frozenset[str]
    names: Callable[[ArchSpec], list[str]]
    norm_eps: Callable[[ArchSpec], float] = lambda arch: 1e-5  # noqa: ARG005


def conventions(arch: ArchSpec) -> list[Convention]:
    """The conventions that have names for all ops of `arch`."""
    ops = {stage.op for stage in arch.stages}
    return [convention for convention in _CONVENTIONS if ops <= convention.ops]


def _timm_mobile(arch: ArchSpec) -> list[str]:
    names = ["conv_stem", "bn1"]
    for i, j, stage in _blocks(arch):
        squeeze = ["se.conv_reduce", "se.conv_expand"] if stage.se else []
        if _expands(stage):
            parts = ["conv_pw", "bn1", "conv_dw", "bn2", *squeeze, "conv_pwl", "bn3"]
        else:
            parts = ["conv_dw", "bn1", *squeeze, "conv_pw", "bn2"]
        names += _under(f"blocks.{i}.{j}", parts)
    return [*names, *(["conv_head", "bn2"] if arch.head.channels else []), "classifier"]


def _torchvision_efficientnet(arch: ArchSpec) -> list[str]:
    names = ["features.0.0", "features.0.1"]
    for i, j, stage in _blocks(arch):
        groups = [["0", "1"]] * _expands(stage) + [["0", "1"]] + [["fc1", "fc2"]] * bool(stage.se) + [["0", "1"]]
        parts = [f"{k}.{part}" for k, group in enumerate(groups) for part in group]
        names += _under(f"features.{i + 1}.{j}.block", parts)
    last = f"features.{len(arch.stages) + 1}"
    return [*names, f"{last}.0", f"{last}.1", "classifier.1"]


def _torchvision_mobilenet_v2(arch: ArchSpec) -> list[str]:
    names = ["features.0.0", "features.0.1"]
    blocks = list(_blocks(arch))
    for n, (_, _, stage) in enumerate(blocks, 1):
        parts = ["0.0", "0.1", "1.0", "1.1", "2", "3"] if _expands(stage) else ["0.0", "0.1", "1", "2"]
        names += _under(f"features.{n}.conv", parts)
    last = f"features.{len(blocks) + 1}"
    return [*names, f"{last}.0", f"{last}.1", "classifier.1"]


def _torchvision_mnasnet(arch: ArchSpec) -> list[str]:
    names = ["layers.0", "layers.1", "layers.3", "layers.4", "layers.6", "layers.7"]
    for i, j, _ in _blocks(arch):
        if i > 0:
            names += _under(f"layers.{i + 7}.{j}.layers", ["0", "1", "3", "4", "6", "7"])
    last = len(arch.stages) + 7
    return [*names, f"layers.{last}", f"layers.{last + 1}", "classifier.1"]


def _resnet(arch: ArchSpec) -> list[str]:
    names = ["conv1", "bn1"]
    inputs = arch.stem.channels
    for i, j, stage in _blocks(arch):
        convs = 2 if stage.op == "basic" else 3
        parts = [f"{kind}{k}" for k in range(1, convs + 1) for kind in ("conv", "bn")]
        if j == 0 and (stage.stride > 1 or inputs != stage.channels):
            parts += ["downsample.0", "downsample.1"]
        names += _under(f"layer{i + 1}.{j}", parts)
        inputs = stage.channels
    return [*names, "fc"]


def _torchvision_squeezenet(arch: ArchSpec) -> list[str]:
    names = ["features.0"]
    index = 2
    for _, j, stage in _blocks(arch):
        index += j == 0 and stage.stride > 1  # a pool has a number of its own
        names += _under(f"features.{index}", ["squeeze", "expand1x1", "expand3x3"])
        index += 1
    return [*names, "classifier.1"]


def _timm_xception(arch: ArchSpec) -> list[str]:
    names = ["conv1", "bn1", "conv2", "bn2"]
    inputs = arch.stem.channels
    block, last = 0, 2
    for _, j, stage in _blocks(arch):
        if stage.op == "separable":
            last += 1
            names += [f"conv{last}.conv1", f"conv{last}.pointwise", f"bn{last}"]
            continue
        block += 1
        changing = j == 0 and (stage.stride > 1 or inputs != stage.channels)
        # The first block has no activation of its own in front, which would have been number 0.
        for k in range(2 if changing else 3):
            number = 3 * k + (block > 1)
            parts = [f"{number}.conv1", f"{number}.pointwise", str(number + 1)]
            names += _under(f"block{block}.rep", parts)
        names += [f"block{block}.skip", f"block{block}.skipbn"] if changing else []
        inputs = stage.channels
    return [*names, "fc"]


def _blocks(arch: ArchSpec) -> Iterator[tuple[int, int, StageSpec]]:
    """(stage number, number within the stage, its spec), from 0."""
    return ((i, j, stage) for i, stage in enumerate(arch.stages) for j in range(stage.layers))


def _expands(stage: StageSpec) -> bool:
    return stage.op == "mbconv" and stage.expand > 1


def _under(prefix: str, names: list[str]) -> list[str]:
    return [f"{prefix}.{name}" for name in names]


_MOBILE = frozenset({"mbconv", "sepconv"})
_CONVENTIONS = (
    Convention("timm", _MOBILE, _timm_mobile),
    # torchvision trained B5 to B7, whose first stage has three layers and more, with TensorFlow's eps.
    Convention(
        "torchvision",
        _MOBILE,
        _torchvision_efficientnet,
        lambda arch: 1e-3 if arch.stages[0].layers > 2 else 1e-5,
    ),
    Convention("torchvision", _MOBILE, _torchvision_mobilenet_v2),
    Convention("torchvision", _MOBILE, _torchvision_mnasnet),
    Convention("torchvision and timm", frozenset({"basic", "bottleneck"}), _resnet),
    Convention("torchvision", frozenset({"fire"}), _torchvision_squeezenet),
    Convention("timm", frozenset({"xception", "separable"}), _timm_xception),
)
