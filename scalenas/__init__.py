"""Find a small network for your images, learn how to grow it, and see the frontier.

The three uses, each with its names; docs/python.md has them in full:

1. A baseline: `open_dataset`, `mnasnet_space`, `Score`, `make_sampler` and `discover` search a space for the best
   trade of accuracy against multiply-adds; `build_network` makes the torch module of what was found.
2. Its growth: `search_coefficients` finds the scaling coefficients by training, `family` and `scale_arch` apply them.
3. The frontier: `measured_point`, `frontier_figure` and `save_figure` draw accuracy against multiply-adds, and
   `draw_frontier` does so for finished runs of the command.

Every name here is one of `search_spaces` (what a network is), `nas` (find one), `scaling_search` (grow it) or
`experiments` (use it), and is loaded when it is first asked for: `import scalenas` takes a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments import FrontierPoint, draw_frontier, frontier_figure, measured_point, read_points, save_figure
    from nas import (
        Activations,
        Bound,
        Fidelity,
        Figure,
        InitialWeights,
        InlineExecutor,
        InSpace,
        Loss,
        Metric,
        MultiplyAdds,
        Objective,
        Outcome,
        Parameters,
        ProxyEvaluator,
        Request,
        Score,
        SearchPlan,
        Teacher,
        counts,
        discover,
        evaluate_all,
        make_sampler,
        open_dataset,
        open_study,
    )
    from scaling_search import (
        Analysis,
        Coefficients,
        CoefficientSearch,
        Drift,
        FamilyMember,
        PointResult,
        ScalingPoint,
        Shares,
        cautions,
        coefficient_grid,
        drift,
        family,
        scale_arch,
        scaling_lines,
        scaling_points,
        search_coefficients,
    )
    from search_spaces import (
        REFERENCE_NAMES,
        SPACES,
        ArchError,
        ArchSpec,
        Choice,
        CostTable,
        GateSpec,
        HeadSpec,
        OneOf,
        SearchSpace,
        Stage,
        StagedSpace,
        StageSpec,
        StemSpec,
        auto_resolution,
        build_network,
        cost_table,
        count_flash,
        count_macs,
        count_params,
        count_ram,
        edge_space,
        fit_arch,
        fit_strides,
        format_blocks,
        load_weights,
        macro_space,
        mbconv_space,
        mnasnet_space,
        network_cost,
        parse_blocks,
        reference_arch,
        resize,
        stage_costs,
        staged_space,
        stride_plan,
        vary,
    )

__version__ = "0.1.0"

__all__ = [
    "REFERENCE_NAMES",
    "SPACES",
    "Activations",
    "Analysis",
    "ArchError",
    "ArchSpec",
    "Bound",
    "Choice",
    "CoefficientSearch",
    "Coefficients",
    "CostTable",
    "Drift",
    "FamilyMember",
    "Fidelity",
    "Figure",
    "FrontierPoint",
    "GateSpec",
    "HeadSpec",
    "InSpace",
    "InitialWeights",
    "InlineExecutor",
    "Loss",
    "Metric",
    "MultiplyAdds",
    "Objective",
    "OneOf",
    "Outcome",
    "Parameters",
    "PointResult",
    "ProxyEvaluator",
    "Request",
    "ScalingPoint",
    "Score",
    "SearchPlan",
    "SearchSpace",
    "Shares",
    "Stage",
    "StageSpec",
    "StagedSpace",
    "StemSpec",
    "Teacher",
    "__version__",
    "auto_resolution",
    "build_network",
    "cautions",
    "coefficient_grid",
    "cost_table",
    "count_flash",
    "count_macs",
    "count_params",
    "count_ram",
    "counts",
    "discover",
    "draw_frontier",
    "drift",
    "edge_space",
    "evaluate_all",
    "family",
    "fit_arch",
    "fit_strides",
    "format_blocks",
    "frontier_figure",
    "load_weights",
    "macro_space",
    "make_sampler",
    "mbconv_space",
    "measured_point",
    "mnasnet_space",
    "network_cost",
    "open_dataset",
    "open_study",
    "parse_blocks",
    "read_points",
    "reference_arch",
    "resize",
    "save_figure",
    "scale_arch",
    "scaling_lines",
    "scaling_points",
    "search_coefficients",
    "stage_costs",
    "staged_space",
    "stride_plan",
    "vary",
]

_PACKAGES = ("search_spaces", "nas", "scaling_search", "experiments")  # each loads those before it anyway


if not TYPE_CHECKING:  # to mypy only the names above are there

    def __getattr__(name: str) -> Any:
        if name in __all__:
            for package in map(_own, _PACKAGES):
                if name in package.__all__:
                    return getattr(package, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _own(name: str) -> ModuleType:
    """The package of that name beside this one. Raises ImportError where another of that name comes before it."""
    package = import_module(name)
    place = package.__file__ or next(iter(package.__path__))
    if Path(place) != Path(__file__).parents[1] / name / "__init__.py":
        raise ImportError(f"{place} hides the package {name!r} of scalenas: give it another name")
    return package


def __dir__() -> list[str]:
    return sorted(__all__)
