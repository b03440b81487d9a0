"""What a network is: architectures, their cost, their torch network, and spaces of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.blocks import format_blocks, parse_blocks
from search_spaces.checks import ArchError
from search_spaces.cost import count_macs, count_params, network_cost, stage_costs
from search_spaces.fit import auto_resolution, fit_arch, fit_strides, resize, stride_plan
from search_spaces.memory import count_flash, count_ram
from search_spaces.ops import GateSpec, Stage, StageSpec
from search_spaces.reference import REFERENCE_NAMES, reference_arch
from search_spaces.spaces import SPACES, edge_space, macro_space, mbconv_space, mnasnet_space
from search_spaces.spaces.choices import Choice, OneOf, vary
from search_spaces.spaces.space import SearchSpace, StagedSpace, staged_space
from search_spaces.spaces.table import CostTable, cost_table

if TYPE_CHECKING:
    from search_spaces.network import build_network
    from search_spaces.weights import load_weights

__all__ = [
    "REFERENCE_NAMES",
    "SPACES",
    "ArchError",
    "ArchSpec",
    "Choice",
    "CostTable",
    "GateSpec",
    "HeadSpec",
    "OneOf",
    "SearchSpace",
    "Stage",
    "StageSpec",
    "StagedSpace",
    "StemSpec",
    "auto_resolution",
    "build_network",
    "cost_table",
    "count_flash",
    "count_macs",
    "count_params",
    "count_ram",
    "edge_space",
    "fit_arch",
    "fit_strides",
    "format_blocks",
    "load_weights",
    "macro_space",
    "mbconv_space",
    "mnasnet_space",
    "network_cost",
    "parse_blocks",
    "reference_arch",
    "resize",
    "stage_costs",
    "staged_space",
    "stride_plan",
    "vary",
]


_WITH_TORCH = {"build_network": "search_spaces.network", "load_weights": "search_spaces.weights"}


if not TYPE_CHECKING:  # to mypy only the names above are there

    def __getattr__(name: str) -> Any:
        # torch takes seconds to load, and counting, sampling and the driver of a search do without it.
        if name in _WITH_TORCH:
            return getattr(import_module(_WITH_TORCH[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
