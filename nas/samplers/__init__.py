"""Samplers: which architecture to train next. Each is an `optuna.samplers.BaseSampler` for any Optuna study."""

from __future__ import annotations

from collections.abc import Callable

from optuna.samplers import BaseSampler

from nas.samplers import optuna_samplers
from nas.samplers.base import Feasible, HistorySampler, Network
from nas.samplers.costs import KnownCost
from nas.samplers.history import Active
from nas.samplers.local import HillClimbing, RandomSearch, RegularizedEvolution
from nas.samplers.model_based import CostAwareGP
from nas.samplers.ppo import PPOController
from nas.samplers.recommend import Recommendation, recommend
from nas.samplers.seeding import UniformSampler
from nas.score import Score

__all__ = ["SAMPLERS", "Recommendation", "make_sampler", "recommend"]

_LIBRARY: dict[str, Callable[[int], BaseSampler]] = {
    "random": UniformSampler,
    "tpe": optuna_samplers.tpe_sampler,
    "nsga2": optuna_samplers.nsga2_sampler,
    "cmaes": optuna_samplers.cmaes_sampler,
    "gp": optuna_samplers.gp_sampler,
    "qmc": optuna_samplers.qmc_sampler,
}
SAMPLERS = ("default", "random", "hill_climbing", "evolution", "ppo", "tpe", "nsga2", "cmaes", "gp", "qmc")


def make_sampler(
    name: str,
    *,
    seed: int,
    macs: KnownCost | None = None,
    score: Score | None = None,
    feasible: Feasible | None = None,
    active: Active | None = None,
    network: Network | None = None,
) -> BaseSampler:
    """The sampler called `name`.

    Its suggestions depend on the study's history, on `seed` (0 or more) and on the trial's number alone, so that a
    search goes on after a kill, in another process, as if nothing had happened. `macs` is the known cost that the score
    charges for, mostly multiply-adds: a figure in the space (`nas.figures.InSpace`), or any function from a dict of
    parameters to it. `score` is the objective in use, `feasible` says whether a dict of parameters keeps the hard
    bounds on what is known without training (`nas.figures.keeps` makes one), `active` which parameters make a
    difference beside the others (`SearchSpace.active`), `network` which ones become the same network
    (`SearchSpace.network_id`); each is used where the sampler can, which Optuna's own cannot.
    Raises ValueError when the name is not one of `SAMPLERS`.
    """
    if name == "random" and feasible is not None:
        return HistorySampler(seed, RandomSearch(feasible), active)
    if name in _LIBRARY:
        return _LIBRARY[name](seed)
    if name == "default":
        return HistorySampler(seed, CostAwareGP(macs, score, feasible, network), active)
    if name == "hill_climbing":
        return HistorySampler(seed, HillClimbing(feasible), active)
    if name == "evolution":
        return HistorySampler(seed, RegularizedEvolution(feasible=feasible), active)
    if name == "ppo":
        return HistorySampler(seed, PPOController(feasible=feasible), active)
    raise ValueError(f"no sampler is called {name!r}; known are {', '.join(SAMPLERS)}")
