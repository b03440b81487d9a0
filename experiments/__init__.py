"""Use it: the command, its runs, their tables, pictures and report."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from experiments.pictures.frontier import frontier_figure
    from experiments.pictures.save import save_figure
    from experiments.tables.frontier import FrontierPoint, measured_point, read_points
    from experiments.views.frontier import draw_frontier

__all__ = ["FrontierPoint", "draw_frontier", "frontier_figure", "measured_point", "read_points", "save_figure"]

_HOMES = {
    "FrontierPoint": "experiments.tables.frontier",
    "draw_frontier": "experiments.views.frontier",
    "frontier_figure": "experiments.pictures.frontier",
    "measured_point": "experiments.tables.frontier",
    "read_points": "experiments.tables.frontier",
    "save_figure": "experiments.pictures.save",
}


if not TYPE_CHECKING:  # to mypy only the names above are there

    def __getattr__(name: str) -> Any:
        # The command imports this package too, and `--help` should not wait for pandas and Matplotlib.
        if name in _HOMES:
            return getattr(import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
