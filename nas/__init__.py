"""Find a network: objective, samplers, pool and the search loop."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from nas.score import Score

if TYPE_CHECKING:
    from nas.samplers import make_sampler
    from nas.search import discover

__all__ = ["Score", "discover", "make_sampler"]

_HOMES = {"discover": "nas.search", "make_sampler": "nas.samplers"}


def __getattr__(name: str) -> Any:
    # Worker processes import this package too, and should not wait for what only a driver uses.
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
