"""Spaces of networks as data: choices inside specs, tables of costs, and the spaces that have names."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.spaces.around import around_space
from search_spaces.spaces.edge import edge_space
from search_spaces.spaces.macro import macro_space
from search_spaces.spaces.mbconv import mbconv_space
from search_spaces.spaces.mnasnet import mnasnet_space
from search_spaces.spaces.space import SearchSpace
from search_spaces.spaces.whole_networks import SIZES

__all__ = [
    "CHOOSE_PLAN",
    "SIZES",
    "SPACES",
    "around_space",
    "edge_space",
    "macro_space",
    "mbconv_space",
    "mnasnet_space",
]

SPACES: dict[str, Callable[..., SearchSpace]] = {
    "macro": macro_space,
    "edge": edge_space,
    "mnasnet": mnasnet_space,
    "mbconv": mbconv_space,
}
"""space(target_macs, resolution, num_classes=..., input_channels=...) -> the space fitted to a task."""

CHOOSE_PLAN = ("macro", "edge")
"""Those whose networks may differ in resolution, and in size if asked: they take several of both."""
