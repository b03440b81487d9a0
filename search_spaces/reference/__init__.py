"""Known networks by name, one file a family."""

from __future__ import annotations

import re
from collections.abc import Callable

from search_spaces.arch import ArchSpec
from search_spaces.reference import classic, efficientnet, mobilenet, plain
from search_spaces.reference.efficientnet import EFFICIENTNET_B0, PUBLISHED_EFFICIENTNETS
from search_spaces.reference.mobilenet import (
    MNASNET_A1,
    MNASNET_B1,
    MOBILENET_V1,
    MOBILENET_V2,
    mobilenet_v1,
    mobilenet_v2,
)
from search_spaces.reference.resnet import NETWORKS as RESNETS
from search_spaces.reference.resnet import RESNET_LAYERS, cifar_resnet, resnet

__all__ = [
    "EFFICIENTNET_B0",
    "MNASNET_A1",
    "MNASNET_B1",
    "MOBILENET_V1",
    "MOBILENET_V2",
    "PUBLISHED_EFFICIENTNETS",
    "REFERENCE_NAMES",
    "RESNET_LAYERS",
    "cifar_resnet",
    "mobilenet_v1",
    "mobilenet_v2",
    "reference_arch",
    "resnet",
]

_REFERENCES: dict[str, Callable[[], ArchSpec]] = {
    **efficientnet.NETWORKS,
    **mobilenet.NETWORKS,
    **classic.NETWORKS,
    **RESNETS,
    **plain.NETWORKS,
}

REFERENCE_NAMES = tuple(_REFERENCES)


def reference_arch(name: str) -> ArchSpec:
    """A known network by name, for 224 pixels or its published resolution.

    Beside REFERENCE_NAMES, `resnet` with any number is ImageNet's residual network of that depth, or the nearest there
    is (see `resnet`). Raises ValueError on an unknown name.
    """
    if name in _REFERENCES:
        return _REFERENCES[name]()
    if match := re.fullmatch(r"resnet(\d{1,6})", name):
        return resnet(int(match[1]))
    raise ValueError(f"unknown network {name!r}; known are {', '.join(_REFERENCES)}, and resnet with any other depth")
