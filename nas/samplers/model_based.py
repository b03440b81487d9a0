"""The default sampler: Bayesian optimisation that knows what networks cost."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from nas.samplers.base import Feasible, Mark, Network
from nas.samplers.costs import KnownCost, RowCosts
from nas.samplers.grid import Grid, Rows
from nas.samplers.history import History
from nas.samplers.local import may_be_asked, random_row
from nas.samplers.model.acquisition import candidates, log_expected_improvement, maximise
from nas.samplers.model.covariance import Floats
from nas.samplers.model.objective import Objective
from nas.samplers.model.surrogate import Data, Surrogates
from nas.samplers.pareto_gp import ParetoGP
from nas.score import Score

_START = 8
_DOUBT = 1.5
"""How much wider than the model says its uncertainty is taken to be: it errs by several of its standard deviations at
the very networks that are worth asking for, where parameters act otherwise than they do elsewhere."""


class CostAwareGP:
    """A Gaussian process learns the accuracy; the known cost is added back in the acquisition.

    Points are uniform until the first few are known. Then the next point is the best by expected improvement among
    mutations and crossovers of good points, uniform points, and what two steps of ascent reach from these: far from all
    data the model knows too little to be worth following. Running trials are believed at their mean; with one
    objective, what they are expected to reach must be improved upon, too. Of one objective, parameters that become a
    network which others became before are passed over; uniform points may be such.
    """

    multi_objective = True

    def __init__(
        self,
        macs: KnownCost | None = None,
        score: Score | None = None,
        feasible: Feasible | None = None,
        network: Network | None = None,
    ) -> None:
        self._costs = RowCosts(macs) if macs else None
        self._objective = Objective(score if macs else None)
        self._feasible = feasible
        self._network = network
        self._named_in: Grid | None = None
        self._names: dict[bytes, str | None] = {}  # of the networks of rows of that grid
        self._surrogates = Surrogates()
        self._pareto = ParetoGP(self._costs, feasible)

    def suggest(self, history: History, rng: np.random.Generator, mark: Mark) -> Rows:  # noqa: ARG002
        row: Rows | None = None
        if len(history.rows) >= _START:
            several = history.values.shape[1] > 1
            row = self._pareto.suggest(history, rng) if several else self._improve(history, rng)
        return random_row(history, rng, self._feasible) if row is None else row

    def _improve(self, history: History, rng: np.random.Generator) -> Rows | None:
        grid, pending = history.grid, history.pending
        macs = self._costs.of_finished(grid, history.rows) if self._costs else np.ones(len(history.rows))
        pending_macs = self._macs(grid, pending)
        pending, pending_macs = pending[~np.isnan(pending_macs)], pending_macs[~np.isnan(pending_macs)]
        targets = self._objective.targets(history.trials, history.values[:, 0], macs)
        data = Data(history.rows, np.log(macs), targets, self._objective.known(macs))
        model = self._surrogates.build(grid, data, pending, np.log(pending_macs))
        told = model.mean(data.rows, data.costs) + data.known
        believed = model.mean(pending, np.log(pending_macs)) + self._objective.known(pending_macs)
        best = float(np.concatenate([told, believed]).max())

        def acquisition(rows: Rows) -> Floats:
            macs = self._macs(grid, rows)
            mean, std = model.predict(rows, np.log(macs))
            out = log_expected_improvement(mean + self._objective.known(macs), _DOUBT * std, best)
            return np.where(may_be_asked(history, rows, self._feasible) & ~np.isnan(out), out, -np.inf)

        starts = candidates(grid, data.rows[np.argsort(-told, kind="stable")], rng)
        return maximise(grid, acquisition, starts, partial(history.conditions.settle, rng=rng), self._is_new(history))

    def _is_new(self, history: History) -> Callable[[Rows], bool]:
        """Whether a row becomes a network that no other has become: answers that are known teach nothing."""
        network, grid = self._network, history.grid
        if network is None:
            return lambda _: True
        if grid != self._named_in:
            self._named_in, self._names = grid, {}

        def name(row: Rows) -> str | None:
            key = row.tobytes()
            if key not in self._names:
                self._names[key] = network(grid.params(row))
            return self._names[key]

        known = {name(row) for row in (*history.rows, *history.pending, *history.bad)} - {None}
        return lambda row: name(row) not in known

    def _macs(self, grid: Grid, rows: Rows) -> Floats:
        return self._costs(grid, rows) if self._costs else np.ones(len(rows))
