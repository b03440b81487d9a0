"""How torchvision, timm and EfficientNet-PyTorch name the modules of the networks that both they and we have.

Names are listed in the order of our own modules that hold weights: a block's body, then its shortcut. The names within
a block are its op's (`Stage.weight_names`); each function here puts them together for a whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.ops import Stage


class Block(NamedTuple):
    """Block `j` of stage `i` (from 0), and the names of its modules."""

    i: int
    j: int
    stage: Stage
    names: list[str]


class Convention(NamedTuple):
    """A public implementation's names; `norm_eps` is what it builds a network with.

    scheme: what ops know it by. frame: the whole network's names from those of its blocks. padding: what it builds a
    network with, None where its names do not tell.
    """

    label: str
    scheme: str
    frame: Callable[[ArchSpec, list[Block]], list[str]]
    norm_eps: Callable[[ArchSpec], float] = lambda arch: 1e-5  # noqa: ARG005
    padding: str | None = None

    def names(self, arch: ArchSpec) -> list[str]:
        """The names of all modules of `arch`, which has no block without names."""
        return self.frame(arch, [block for block in _blocks(arch, self.scheme) if block is not None])


def conventions(arch: ArchSpec) -> list[Convention]:
    """The conventions that have names for all blocks of `arch`."""
    return [convention for convention in _CONVENTIONS if None not in _blocks(arch, convention.scheme)]


def _blocks(arch: ArchSpec, scheme: str) -> Iterator[Block | None]:
    """Every block of the network; None for one that has no names in this scheme."""
    for i, (stage, inputs) in enumerate(arch.fed_stages()):
        for j in range(stage.layers):
            names = stage.weight_names(scheme, stage.channels if j else inputs, 1 if j else stage.stride)
            yield None if names is None else Block(i, j, stage, names)


def _timm_mobile(arch: ArchSpec, blocks: list[Block]) -> list[str]:
    if arch.head.pools_first:
        return _timm_mobilenet(arch, blocks)
    inner = [f"blocks.{block.i}.{block.j}.{name}" for block in blocks for name in block.names]
    return ["conv_stem", "bn1", *inner, *(["conv_head", "bn2"] if arch.head.channels else []), "classifier"]


def _timm_mobilenet(arch: ArchSpec, blocks: list[Block]) -> list[str]:
    """From MobileNetV3 on: the blocks of one map size and width are counted together, and so is a convolution that
    widens the blocks before it; the convolution before pooling is the last of the blocks.
    """
    names = ["conv_stem", "bn1"]
    group, place, width = -1, 0, 0
    for block in blocks:
        stage = block.stage
        widens = stage.channels != width and stage.op != "conv"
        place += 1
        if group < 0 or (block.j == 0 and (stage.stride > 1 or widens)):
            group, place = group + 1, 0
        width = stage.channels
        names += [f"blocks.{group}.{place}.{name}" for name in block.names]
    names += [f"blocks.{group + 1}.0.conv", f"blocks.{group + 1}.0.bn1"] if arch.head.channels else []
    return [*names, "conv_head", *(["norm_head"] if arch.head.kind == "mobilenet_v4" else []), "classifier"]


def _torchvision_efficientnet(arch: ArchSpec, blocks: list[Block]) -> list[str]:
    if arch.head.kind == "mobilenet_v3":
        return _torchvision_mobilenet_v3(blocks)
    inner = [f"features.{block.i + 1}.{block.j}.{name}" for block in blocks for name in block.names]
    last = f"features.{len(arch.stages) + 1}"
    return ["features.0.0", "features.0.1", *inner, f"{last}.0", f"{last}.1", "classifier.1"]


def _torchvision_mobilenet_v3(blocks: list[Block]) -> list[str]:
    """Its blocks are made like EfficientNet's, and counted through."""
    inner = [f"features.{n}.{name}" for n, block in enumerate(blocks, 1) for name in block.names]
    last = f"features.{len(blocks) + 1}"
    return ["features.0.0", "features.0.1", *inner, f"{last}.0", f"{last}.1", "classifier.0", "classifier.3"]


def _efficientnet_pytorch(arch: ArchSpec, blocks: list[Block]) -> list[str]:  # noqa: ARG001
    """Its blocks are counted through; norms have one numbering in each block and one outside."""
    inner = [f"_blocks.{n}.{name}" for n, block in enumerate(blocks) for name in block.names]
    return ["_conv_stem", "_bn0", *inner, "_conv_head", "_bn1", "_fc"]


def _tensorflow_eps(arch: ArchSpec) -> float:  # noqa: ARG001
    return 1e-3


def _timm_eps(arch: ArchSpec) -> float:
    """Its tf_ networks, which pad as TensorFlow does, have the same names."""
    return 1e-3 if arch.padding == "same" else 1e-5


def _torchvision_eps(arch: ArchSpec) -> float:
    """TensorFlow's for MobileNetV3, EfficientNetV2, and B5 to B7, whose first stage has three layers and more."""
    first = arch.stages[0]
    tensorflow = arch.head.kind == "mobilenet_v3" or first.op == "fused_mbconv" or first.layers > 2
    return 1e-3 if tensorflow else 1e-5


def _torchvision_mobilenet_v2(arch: ArchSpec, blocks: list[Block]) -> list[str]:  # noqa: ARG001
    inner = [f"features.{n}.{name}" for n, block in enumerate(blocks, 1) for name in block.names]
    last = f"features.{len(blocks) + 1}"
    return ["features.0.0", "features.0.1", *inner, f"{last}.0", f"{last}.1", "classifier.1"]


def _torchvision_mnasnet(arch: ArchSpec, blocks: list[Block]) -> list[str]:
    """The first stage, of one block, is numbered along with the stem."""
    stem = [f"layers.{i}" for i in (0, 1, 3, 4, 6, 7)]
    inner = [f"layers.{block.i + 7}.{block.j}.{name}" for block in blocks if block.i > 0 for name in block.names]
    last = len(arch.stages) + 7
    return [*stem, *inner, f"layers.{last}", f"layers.{last + 1}", "classifier.1"]


def _resnet(arch: ArchSpec, blocks: list[Block]) -> list[str]:  # noqa: ARG001
    return ["conv1", "bn1", *(f"layer{block.i + 1}.{block.j}.{name}" for block in blocks for name in block.names), "fc"]


def _torchvision_squeezenet(arch: ArchSpec, blocks: list[Block]) -> list[str]:  # noqa: ARG001
    names = ["features.0"]
    index = 2
    for block in blocks:
        index += block.j == 0 and block.stage.stride > 1  # a pool has a number of its own
        names += [f"features.{index}.{name}" for name in block.names]
        index += 1
    return [*names, "classifier.1"]


def _timm_xception(arch: ArchSpec, blocks: list[Block]) -> list[str]:  # noqa: ARG001
    """The blocks are counted for themselves, the convolutions of stem and exit for themselves."""
    names = ["conv1", "bn1", "conv2", "bn2"]
    number, last = 0, 2
    for block in blocks:
        if block.stage.op == "separable":
            last += 1
            conv, pointwise, norm = block.names
            names += [f"conv{last}.{conv}", f"conv{last}.{pointwise}", f"{norm}{last}"]
            continue
        number += 1
        # The first block has no activation of its own in front, which would have been number 0.
        names += [f"block{number}.{_one_less(name) if number == 1 else name}" for name in block.names]
    return [*names, "fc"]


def _one_less(name: str) -> str:
    """rep.4.conv1 becomes rep.3.conv1; a name without a number is left as it is."""
    return ".".join(str(int(part) - 1) if part.isdecimal() else part for part in name.split("."))


_CONVENTIONS = (
    Convention("timm", "timm", _timm_mobile, _timm_eps),
    Convention("torchvision", "torchvision efficientnet", _torchvision_efficientnet, _torchvision_eps),
    Convention("EfficientNet-PyTorch", "efficientnet_pytorch", _efficientnet_pytorch, _tensorflow_eps, padding="same"),
    Convention("torchvision", "torchvision mobilenet_v2", _torchvision_mobilenet_v2),
    Convention("torchvision", "torchvision mnasnet", _torchvision_mnasnet),
    Convention("torchvision and timm", "resnet", _resnet),
    Convention("torchvision", "torchvision squeezenet", _torchvision_squeezenet),
    Convention("timm", "timm xception", _timm_xception),
)
