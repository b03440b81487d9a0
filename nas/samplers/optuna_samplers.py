"""Optuna's own samplers, as they are, behind seeds that survive a restart."""

from __future__ import annotations

import warnings

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler

from nas.samplers.seeding import SeededSampler
from nas.study.optuna_adapter import QMCAt


def tpe_sampler(seed: int) -> BaseSampler:
    """Tree-structured Parzen estimator, with Optuna's defaults; multi-objective studies get MOTPE."""
    return SeededSampler(seed, lambda inner, _: TPESampler(seed=inner))


def nsga2_sampler(seed: int) -> BaseSampler:
    """NSGA-II with a population of 50, Optuna's default."""
    return SeededSampler(seed, lambda inner, _: NSGAIISampler(seed=inner))


def cmaes_sampler(seed: int) -> BaseSampler:
    """CMA-ES over numeric parameters; categorical ones are drawn uniformly."""
    return SeededSampler(seed, lambda inner, _: CmaEsSampler(seed=inner, warn_independent_sampling=False))


def gp_sampler(seed: int) -> BaseSampler:
    """Optuna's Gaussian process with its own kernel."""
    return SeededSampler(seed, lambda inner, _: _quiet_gp(inner))


def qmc_sampler(seed: int) -> BaseSampler:
    """One scrambled Sobol sequence; the trial's number is the index into it."""
    return SeededSampler(seed, lambda inner, number: QMCAt(seed, RandomSampler(seed=inner), number))


def _quiet_gp(seed: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return GPSampler(seed=seed, warn_independent_sampling=False)
