"""Spaces of networks as data: choices inside specs, tables of costs, and the spaces that have names."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.spaces.macro import macro_space
from search_spaces.spaces.mbconv import mbconv_space
from search_spaces.spaces.mnasnet import mnasnet_space
from search_spaces.spaces.space import StagedSpace

__all__ = ["CHOOSE_RESOLUTION", "SPACES", "macro_space", "mbconv_space", "mnasnet_space"]

SPACES: dict[str, Callable[..., StagedSpace]] = {
    "macro": macro_space,
    "mnasnet": mnasnet_space,
    "mbconv": mbconv_space,
}
"""space(target_macs, resolution, num_classes=..., input_channels=...) -> the space fitted to a task."""

CHOOSE_RESOLUTION = ("macro",)
"""Those whose networks may differ in resolution: they take several."""
