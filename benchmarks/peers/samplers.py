"""Samplers of other projects as Optuna samplers, so that benchmarks.samplers runs them like ours.

    pip install -r benchmarks/peers/requirements.txt        (HEBO: as is said there)
    python -m benchmarks.samplers run --samplers smac,botorch --only planted-small/clean --seeds 20

Each is used as its documentation has it for a space of categories and integers, one suggestion at a time, and none is
told what a network costs: it sees the score.

smac: SMAC3 (Lindauer et al. 2022), its facade for hyperparameters: a random forest, log expected improvement.
botorch: BoTorch (Balandat et al. 2020): eight points of a Sobol sequence; then a Gaussian process with a Hamming kernel
(`CategoricalKernel`) and a length for each parameter, whose log expected improvement a discrete local search maximises.
hebo: HEBO (Cowen-Rivers et al. 2022), the winner of NeurIPS 2020's black-box optimisation challenge, with its defaults.
"""

# ruff: noqa: ARG002  a sampler takes all arguments of the seam

from __future__ import annotations

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

Values = dict[str, list[Any]]
"""The values of each parameter; suggestions are positions in these."""


def values_of(distribution: BaseDistribution) -> list[Any]:
    """All values of a category or an integer. Raises ValueError on any other."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    raise ValueError(f"peers are run on categories and integers, not on {distribution}")


class Peer(BaseSampler, ABC):
    """A peer that suggests whole points one after another, and is told the value of each before the next."""

    def __init__(self, distributions: Mapping[str, BaseDistribution], seed: int) -> None:
        self._distributions = dict(distributions)
        self.values: Values = {name: values_of(distribution) for name, distribution in distributions.items()}
        self.ordered = {name: isinstance(of, IntDistribution) for name, of in distributions.items()}
        self.seed = seed
        self._waiting = False

    @abstractmethod
    def suggest(self) -> dict[str, Any]:
        """The next point, a value for each parameter."""

    @abstractmethod
    def observe(self, value: float) -> None:
        """The score of the point suggested last; more is better."""

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._distributions

    def sample_relative(
        self,
        study: Study,
        trial: FrozenTrial,
        search_space: dict[str, BaseDistribution],
    ) -> dict[str, Any]:
        if self._waiting:
            raise RuntimeError("a peer is told the value of a point before it suggests the next: one worker alone")
        self._waiting = True
        return self.suggest()

    def sample_independent(self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: Any) -> Any:
        raise NotImplementedError("a peer suggests whole points")

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if values is None:
            raise ValueError("peers are run where every trial has a value")
        self._waiting = False
        self.observe(values[0])


def _unused(config: Any, seed: int = 0) -> float:
    """SMAC3 wants a function to minimise; asked and told, it does not call it."""
    raise NotImplementedError


class Smac(Peer):
    """SMAC3's facade for hyperparameters, by ask and tell."""

    def __init__(self, distributions: Mapping[str, BaseDistribution], seed: int, evaluations: int) -> None:
        super().__init__(distributions, seed)
        from ConfigSpace import Categorical, ConfigurationSpace, Integer  # noqa: PLC0415  not installed with scalenas
        from smac import HyperparameterOptimizationFacade, Scenario  # noqa: PLC0415

        space = ConfigurationSpace(seed=seed)
        for name, values in self.values.items():
            levels = range(len(values))
            space.add(
                Integer(name, (0, len(values) - 1)) if self.ordered[name] else Categorical(name, list(map(str, levels)))
            )
        # Repetitions count as trials there and as nothing here, so it may ask more often.
        scenario = Scenario(
            space, deterministic=True, n_trials=4 * evaluations, seed=seed, output_directory=tempfile.mkdtemp()
        )
        initial = HyperparameterOptimizationFacade.get_initial_design(scenario, n_configs=max(8, evaluations // 10))
        self._smac = HyperparameterOptimizationFacade(
            scenario, _unused, initial_design=initial, overwrite=True, logging_level=False
        )
        self._info: Any = None

    def suggest(self) -> dict[str, Any]:
        self._info = self._smac.ask()
        return {name: values[int(self._info.config[name])] for name, values in self.values.items()}

    def observe(self, value: float) -> None:
        from smac.runhistory.dataclasses import TrialValue  # noqa: PLC0415

        self._smac.tell(self._info, TrialValue(cost=-value))


class BoTorch(Peer):
    """A Gaussian process with a Hamming kernel, and log expected improvement."""

    INITIAL = 8

    def __init__(self, distributions: Mapping[str, BaseDistribution], seed: int, evaluations: int) -> None:
        super().__init__(distributions, seed)
        import torch  # noqa: PLC0415

        sobol = torch.quasirandom.SobolEngine(len(self.values), scramble=True, seed=seed).draw(self.INITIAL)
        levels = torch.tensor([len(values) for values in self.values.values()])
        self._initial = (sobol * levels).floor().double()
        self._points: list[Any] = []
        self._told: list[float] = []

    def suggest(self) -> dict[str, Any]:
        known = len(self._points)
        point = self._initial[known] if known < self.INITIAL else self._best_expected()
        self._points.append(point)
        return {name: values[int(i)] for (name, values), i in zip(self.values.items(), point.tolist(), strict=True)}

    def observe(self, value: float) -> None:
        self._told.append(value)

    def _best_expected(self) -> Any:
        import torch  # noqa: PLC0415
        from botorch.acquisition import LogExpectedImprovement  # noqa: PLC0415
        from botorch.fit import fit_gpytorch_mll  # noqa: PLC0415
        from botorch.models import SingleTaskGP  # noqa: PLC0415
        from botorch.models.kernels.categorical import CategoricalKernel  # noqa: PLC0415
        from botorch.models.transforms import Standardize  # noqa: PLC0415
        from botorch.optim import optimize_acqf_discrete_local_search  # noqa: PLC0415
        from gpytorch.kernels import ScaleKernel  # noqa: PLC0415
        from gpytorch.mlls import ExactMarginalLogLikelihood  # noqa: PLC0415

        torch.manual_seed(self.seed + len(self._points))
        x, y = torch.stack(self._points), torch.tensor(self._told, dtype=torch.double)[:, None]
        kernel = ScaleKernel(CategoricalKernel(ard_num_dims=x.shape[1]))
        model = SingleTaskGP(x, y, covar_module=kernel, outcome_transform=Standardize(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        choices = [torch.arange(len(values), dtype=torch.double) for values in self.values.values()]
        found, _ = optimize_acqf_discrete_local_search(
            LogExpectedImprovement(model, best_f=y.max()), discrete_choices=choices, q=1, num_restarts=20,
            raw_samples=2048, X_avoid=x,
        )  # fmt: skip
        return found[0]


class Hebo(Peer):
    """HEBO, with its defaults."""

    def __init__(self, distributions: Mapping[str, BaseDistribution], seed: int, evaluations: int) -> None:
        super().__init__(distributions, seed)
        from hebo.design_space.design_space import DesignSpace  # noqa: PLC0415
        from hebo.optimizers.hebo import HEBO  # noqa: PLC0415

        space = [
            {"name": name, "type": "int", "lb": 0, "ub": len(values) - 1}
            if self.ordered[name]
            else {"name": name, "type": "cat", "categories": list(range(len(values)))}
            for name, values in self.values.items()
        ]
        self._hebo = HEBO(DesignSpace().parse(space), scramble_seed=seed)
        self._asked: Any = None

    def suggest(self) -> dict[str, Any]:
        self._asked = self._hebo.suggest(n_suggestions=1)
        row = self._asked.iloc[0]
        return {name: values[int(row[name])] for name, values in self.values.items()}

    def observe(self, value: float) -> None:
        self._hebo.observe(self._asked, np.array([[-value]]))


PEERS: dict[str, Callable[[Mapping[str, BaseDistribution], int, int], Peer]] = {
    "smac": Smac,
    "botorch": BoTorch,
    "hebo": Hebo,
}
"""By name; called with the distributions, a seed, and how many evaluations there will be."""
