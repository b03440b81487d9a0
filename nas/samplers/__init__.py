"""Samplers: which architecture to train next. Each is an `optuna.samplers.BaseSampler` for any Optuna study."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.samplers import BaseSampler

from nas.samplers import library
from nas.score import Score

__all__ = ["SAMPLERS", "make_sampler"]

Macs = Callable[[Mapping[str, Any]], float]

_LIBRARY: dict[str, Callable[[int], BaseSampler]] = {
    "default": library.tpe_sampler,
    "random": library.random_sampler,
    "tpe": library.tpe_sampler,
    "nsga2": library.nsga2_sampler,
    "cmaes": library.cmaes_sampler,
    "gp": library.gp_sampler,
    "qmc": library.qmc_sampler,
}
SAMPLERS = tuple(_LIBRARY)


def make_sampler(
    name: str,
    *,
    seed: int,
    macs: Macs | None = None,  # noqa: ARG001
    score: Score | None = None,  # noqa: ARG001
) -> BaseSampler:
    """The sampler called `name`.

    Its suggestions depend on the study's history, on `seed` (0 or more) and on the trial's number alone, so that a
    search goes on after a kill, in another process, as if nothing had happened. `macs` maps a parameter dict to its
    known cost in multiply-adds, `score` is the objective in use; both are used where the sampler can.
    Raises ValueError when the name is not one of `SAMPLERS`.
    """
    if name not in _LIBRARY:
        raise ValueError(f"no sampler is called {name!r}; known are {', '.join(SAMPLERS)}")
    return _LIBRARY[name](seed)
