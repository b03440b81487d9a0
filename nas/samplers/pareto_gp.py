"""Multi-objective model-based search: the front of accuracy against known cost, or of objectives all of them learnt."""

from __future__ import annotations

from functools import partial

import numpy as np

from nas.pareto import pareto_front
from nas.samplers.base import Feasible
from nas.samplers.costs import RowCosts
from nas.samplers.grid import Rows
from nas.samplers.history import History
from nas.samplers.local import may_be_asked
from nas.samplers.model.acquisition import (
    Acquisition,
    candidates,
    expected_improvement,
    log_expected_improvement,
    maximise,
)
from nas.samplers.model.covariance import Floats
from nas.samplers.model.surrogate import Data, Surrogates

_AUGMENT = 0.05


class ParetoGP:
    """Suggests for two or more objectives.

    Two objectives of which one is the known cost (MACs or their logarithm, up to a linear map): maximises the expected
    hypervolume improvement, which with a known cost is a sum of expected improvements over the front's steps.
    Otherwise: expected improvement of a random augmented Chebyshev scalarisation (ParEGO, Knowles 2006).
    """

    def __init__(self, costs: RowCosts | None, feasible: Feasible | None) -> None:
        self._costs = costs
        self._feasible = feasible
        self._surrogates = Surrogates()

    def suggest(self, history: History, rng: np.random.Generator) -> Rows | None:
        """The next row, None when everything near has been seen."""
        macs = self._costs.of_finished(history.grid, history.rows) if self._costs else np.ones(len(history.rows))
        column = _cost_column(history.values, macs)
        if history.values.shape[1] == 2 and column is not None:
            return self._known_cost(history, rng, column, macs)
        return self._scalarised(history, rng, macs)

    def _known_cost(self, history: History, rng: np.random.Generator, column: int, macs: Floats) -> Rows | None:
        value, cost = history.values[:, 1 - column], -history.values[:, column]
        to_unit = _map(macs, cost)
        assert to_unit is not None
        front = pareto_front(cost.tolist(), value.tolist())
        # The staircase that a newcomer must rise above; its reference point is the worst seen on each axis.
        edges = np.append(cost[front], cost.max())
        steps = np.concatenate([[value.min()], value[front]])
        model = self._surrogates.build(
            history.grid,
            Data(history.rows, np.log(macs), value, np.zeros(len(value)), peaked=False),
            *self._pending(history),
        )

        def acquisition(rows: Rows) -> Floats:
            counted = self._macs(history, rows)
            mean, std = model.predict(rows, np.log(counted))
            at = to_unit(counted)
            starts = np.maximum(np.concatenate([[-np.inf], edges[:-1]]), at[:, None])
            widths = np.maximum(edges - starts, 0.0)
            gain = (widths * expected_improvement(mean[:, None], std[:, None], steps)).sum(1)
            allowed = may_be_asked(history, rows, self._feasible) & ~np.isnan(gain)
            return np.where(allowed, np.log(np.maximum(gain, 1e-300)), -np.inf)

        parents = history.rows[front][rng.permutation(len(front))]
        return self._best(history, rng, acquisition, parents)

    def _scalarised(self, history: History, rng: np.random.Generator, macs: Floats) -> Rows | None:
        low, high = history.values.min(0), history.values.max(0)
        unit = (history.values - low) / np.maximum(high - low, 1e-12)
        weight = rng.dirichlet(np.ones(unit.shape[1]))
        target = (weight * unit).min(1) + _AUGMENT * (weight * unit).sum(1)
        # The target changes with every draw, so hyperparameters kept from another would belong to another function.
        model = Surrogates().build(
            history.grid,
            Data(history.rows, np.log(macs), target, np.zeros(len(target))),
            *self._pending(history),
        )
        told = model.mean(history.rows, np.log(macs))

        def acquisition(rows: Rows) -> Floats:
            mean, std = model.predict(rows, np.log(self._macs(history, rows)))
            out = log_expected_improvement(mean, std, float(told.max()))
            return np.where(may_be_asked(history, rows, self._feasible) & ~np.isnan(out), out, -np.inf)

        parents = history.rows[np.argsort(-told, kind="stable")]
        return self._best(history, rng, acquisition, parents)

    @staticmethod
    def _best(history: History, rng: np.random.Generator, acquisition: Acquisition, parents: Rows) -> Rows | None:
        starts = candidates(history.grid, parents, rng)
        return maximise(history.grid, acquisition, starts, partial(history.conditions.settle, rng=rng))

    def _pending(self, history: History) -> tuple[Rows, Floats]:
        """Rows and log costs of running trials, but those whose cost cannot be told yet."""
        macs = self._macs(history, history.pending)
        return history.pending[~np.isnan(macs)], np.log(macs[~np.isnan(macs)])

    def _macs(self, history: History, rows: Rows) -> Floats:
        return self._costs(history.grid, rows) if self._costs else np.ones(len(rows))


class _Linear:
    """cost = slope * f(macs) + offset, f the identity or the logarithm."""

    def __init__(self, log: bool, slope: float, offset: float) -> None:
        self._log, self._slope, self._offset = log, slope, offset

    def __call__(self, macs: Floats) -> Floats:
        return self._slope * (np.log(macs) if self._log else macs) + self._offset


def _map(macs: Floats, cost: Floats) -> _Linear | None:
    """The map from MACs to an objective, if one of the two kinds fits exactly and rises."""
    if np.ptp(macs) == 0 or np.ptp(cost) == 0:
        return None
    for log in (False, True):
        x = np.log(macs) if log else macs
        slope = float(np.cov(x, cost)[0, 1] / np.var(x, ddof=1))
        line = _Linear(log, slope, float(cost.mean() - slope * x.mean()))
        if slope > 0 and np.allclose(line(macs), cost, rtol=0, atol=1e-6 * float(np.ptp(cost))):
            return line
    return None


def _cost_column(values: Floats, macs: Floats) -> int | None:
    for column in range(values.shape[1]):
        if _map(macs, -values[:, column]) is not None:
            return column
    return None
