"""Optuna's own contract for samplers, on every sampler of ours."""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
from optuna.samplers import BaseSampler
from optuna.testing.pytest_samplers import (
    BasicSamplerTestCase,
    MultiObjectiveSamplerTestCase,
    RelativeSamplerTestCase,
    SingleOnlySamplerTestCase,
)

from nas.samplers import SAMPLERS, make_sampler

Make = Callable[[], BaseSampler]

SINGLE_ONLY = ("hill_climbing", "evolution", "ppo", "cmaes")
# The relative cases ask a study of one trial for a joint draw. Left out: random has no joint draws; TPE and GP make
# theirs after ten trials and NSGA-II after a population of 50; CMA-ES refuses categorical parameters.
NOT_RELATIVE = ("random", "tpe", "gp", "nsga2", "cmaes")


def _make(names: tuple[str, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "sampler", [pytest.param(functools.partial(make_sampler, n, seed=7), id=n) for n in names]
    )


@_make(SAMPLERS)
@pytest.mark.filterwarnings("ignore::UserWarning")
class TestBasic(BasicSamplerTestCase):
    pass


@_make(tuple(name for name in SAMPLERS if name not in NOT_RELATIVE))
@pytest.mark.filterwarnings("ignore::UserWarning")
class TestRelative(RelativeSamplerTestCase):
    pass


@_make(tuple(name for name in SAMPLERS if name not in SINGLE_ONLY))
class TestSeveralObjectives(MultiObjectiveSamplerTestCase):
    pass


@_make(tuple(name for name in SINGLE_ONLY if name != "cmaes"))
class TestOneObjectiveOnly(SingleOnlySamplerTestCase):
    """CMA-ES draws independent parameters without asking how many objectives there are, so Optuna too leaves it out."""
