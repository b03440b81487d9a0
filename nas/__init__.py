"""Find a network: objective, samplers, pool and the search loop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nas.score import Score

if TYPE_CHECKING:
    from nas.data.source import open_dataset
    from nas.evaluation import Fidelity, Outcome, Request
    from nas.figures import Activations, Figure, InSpace, MultiplyAdds, Parameters, counts
    from nas.pool.inline import InlineExecutor
    from nas.samplers import make_sampler
    from nas.search import Bound, SearchPlan, discover, evaluate_all
    from nas.study.store import open_study
    from nas.training.objective import InitialWeights, Loss, Metric, Objective, Teacher
    from nas.training.proxy import ProxyEvaluator

__all__ = [
    "Activations",
    "Bound",
    "Fidelity",
    "Figure",
    "InSpace",
    "InitialWeights",
    "InlineExecutor",
    "Loss",
    "Metric",
    "MultiplyAdds",
    "Objective",
    "Outcome",
    "Parameters",
    "ProxyEvaluator",
    "Request",
    "Score",
    "SearchPlan",
    "Teacher",
    "counts",
    "discover",
    "evaluate_all",
    "make_sampler",
    "open_dataset",
    "open_study",
]

_HOMES = {
    "Activations": "nas.figures",
    "Bound": "nas.search",
    "Fidelity": "nas.evaluation",
    "Figure": "nas.figures",
    "InSpace": "nas.figures",
    "InitialWeights": "nas.training.objective",
    "InlineExecutor": "nas.pool.inline",
    "Loss": "nas.training.objective",
    "Metric": "nas.training.objective",
    "MultiplyAdds": "nas.figures",
    "Objective": "nas.training.objective",
    "Outcome": "nas.evaluation",
    "Parameters": "nas.figures",
    "ProxyEvaluator": "nas.training.proxy",
    "Request": "nas.evaluation",
    "SearchPlan": "nas.search",
    "Teacher": "nas.training.objective",
    "counts": "nas.figures",
    "discover": "nas.search",
    "evaluate_all": "nas.search",
    "make_sampler": "nas.samplers",
    "open_dataset": "nas.data.source",
    "open_study": "nas.study.store",
}


if not TYPE_CHECKING:  # to mypy only the names above are there

    def __getattr__(name: str) -> Any:
        # Worker processes import this package too, and should not wait for what only a driver uses.
        if name in _HOMES:
            return getattr(importlib.import_module(_HOMES[name]), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
