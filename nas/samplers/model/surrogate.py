"""From a history to a model: which points, which hyperparameters, which units.

| symbol | meaning                                                                               | in the code, shape |
|--------|---------------------------------------------------------------------------------------|--------------------|
| f      | the objective: f = t + g                                                              |                    |
| t      | target: what has to be learnt (see objective.py)                                      | Data.targets (n,)  |
| g      | known: what the cost alone decides                                                    | Data.known (n,)    |
| u      | where the upper tenth of f begins                                                     | Data.upper         |
| l      | floor: f below it counts as l                                                         | Data.floor         |
| y      | value: t of the floored f, standardised                                               | _Units.values (n,) |
| b      | blur: variance of y beside the noise, _BLUR ((u - f) / spread of t)^2 below u, else 0 | _Units.blur (n,)   |
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from nas.samplers.grid import Grid, Rows
from nas.samplers.model.covariance import NOISE, Floats, Inputs, Kernel
from nas.samplers.model.gp import Posterior, fit_hyperparameters, posterior
from nas.samplers.model.objective import floor_of

_FIRST_FIT, _GROWTH = 8, 1.3
"""Hyperparameters are fitted at 8 points, with which modelling begins, then whenever there are 1.3 times as many,
rounded down: a fit takes dozens of likelihoods, and a few points more change it little."""
_MOST_FITTED, _MOST_ROWS = 250, 500
"""Points that hyperparameters are fitted to, and that are conditioned on: time grows with their cube, and a suggestion
is to take no more than seconds."""
_BLUR = 0.02
"""At one standard deviation below the upper tenth a value is as uncertain as by twice the usual noise (_MEDIANS of
gp.py), at two by eight times."""


@dataclass(frozen=True, eq=False)
class Data:
    """Rows (n, axes), their log costs (n,), targets (n,) and the known parts (n,) that complete them to the objective,
    in the order in which they were found.

    peaked: only the best matter. The objective is cut off below, at a level under which it does not matter how bad a
    network is, and what lies below the upper tenth is learnt the less exactly the lower it is: near the summit
    parameters act otherwise than they do far from it.
    """

    rows: Rows
    costs: Floats
    targets: Floats
    known: Floats
    peaked: bool = True

    def __getitem__(self, index: Rows | slice) -> Data:
        return Data(self.rows[index], self.costs[index], self.targets[index], self.known[index], self.peaked)

    @property
    def floor(self) -> float:
        return floor_of(self.targets + self.known) if self.peaked else -math.inf

    @property
    def upper(self) -> float:
        """Where the objective's upper tenth begins, and with it exactness."""
        return float(np.quantile(self.targets + self.known, 0.9)) if self.peaked else -math.inf

    def cut(self, floor: float) -> Floats:
        """Targets whose objective is at least `floor`. The cut must be in the objective: one in the target would
        leave a cheap bad network its whole reward for being cheap."""
        return np.maximum(self.targets + self.known, floor) - self.known

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, eq=False)
class Surrogate:
    """A posterior over targets in their own unit. `noise` is the standard deviation of one observation."""

    posterior: Posterior
    units: _Units

    def predict(self, rows: Rows, costs: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation of the noise-free target, shapes (n,)."""
        mean, std = self.posterior.predict(self.units.inputs(self.posterior.kernel, rows, costs))
        return self.units.middle + self.units.spread * mean, self.units.spread * std

    def mean(self, rows: Rows, costs: Floats) -> Floats:
        """The mean alone, which is much cheaper."""
        mean = self.posterior.mean(self.units.inputs(self.posterior.kernel, rows, costs))
        return self.units.middle + self.units.spread * mean

    @property
    def noise(self) -> float:
        return float(self.units.spread * np.exp(0.5 * self.posterior.theta[NOISE]))


@dataclass(frozen=True)
class _Units:
    """Standardisation of costs and of targets whose objective is cut off below at `floor` and blurred below `upper`."""

    cost_middle: float
    cost_spread: float
    floor: float
    upper: float
    middle: float
    spread: float

    @classmethod
    def of(cls, data: Data) -> _Units:
        floor = data.floor
        cut = data.cut(floor)
        return cls(
            float(data.costs.mean()),
            _spread(data.costs),
            floor,
            data.upper,
            float(cut.mean()),
            _spread(cut),
        )

    def inputs(self, kernel: Kernel, rows: Rows, costs: Floats) -> Inputs:
        return kernel.inputs(rows, (costs - self.cost_middle) / self.cost_spread)

    def values(self, data: Data) -> Floats:
        return (data.cut(self.floor) - self.middle) / self.spread

    def blur(self, data: Data) -> Floats:
        """Variances of the values beside the noise's, shape (n,)."""
        gaps = np.maximum(self.upper - (data.cut(self.floor) + data.known), 0)
        return np.asarray(_BLUR * (gaps / self.spread) ** 2)


def _spread(values: Floats) -> float:
    """The standard deviation; 1 where all are equal but for rounding."""
    spread = float(values.std())
    return spread if spread > 1e-12 * float(np.abs(values).max()) else 1.0


class Surrogates:
    """Builds surrogates. Hyperparameters are fitted afresh whenever the history has grown by 1.3, to the points up to
    there, so that any process that sees the history finds the same ones; the last fit is kept."""

    def __init__(self) -> None:
        self._kernel = Kernel(Grid(()))
        self._fit: tuple[bytes, Floats] | None = None

    def build(self, grid: Grid, data: Data, pending: Rows, pending_costs: Floats) -> Surrogate:
        """The model of `data`, with pending points believed at their mean."""
        if grid != self._kernel.grid:
            self._kernel, self._fit = Kernel(grid), None
        theta = self._hyperparameters(data[: _rung(len(data))])
        units = _Units.of(data)
        kept = data[_informative(data)]
        x = units.inputs(self._kernel, kept.rows, kept.costs)
        waiting = units.inputs(self._kernel, pending, pending_costs)
        return Surrogate(
            posterior(self._kernel, theta, x, units.values(kept), units.blur(kept), pending=waiting), units
        )

    def _hyperparameters(self, data: Data) -> Floats:
        key = data.rows.tobytes() + data.targets.tobytes() + data.known.tobytes()
        if self._fit is None or self._fit[0] != key:
            units = _Units.of(data)
            if len(data) > _MOST_FITTED:
                data = data[np.linspace(0, len(data) - 1, _MOST_FITTED).astype(int)]
            x = units.inputs(self._kernel, data.rows, data.costs)
            self._fit = key, fit_hyperparameters(self._kernel, x, units.values(data), units.blur(data))
        return self._fit[1]


def _rung(n: int) -> int:
    """The largest number of the ladder 8, 10, 13, 16 ... that n has reached; below 8, n."""
    if n < _FIRST_FIT:
        return n
    rung = _FIRST_FIT
    while (larger := int(rung * _GROWTH)) <= n:
        rung = larger
    return rung


def _informative(data: Data) -> Rows:
    """Which points to condition on: all, or the best half and the latest half of the number that is affordable."""
    if len(data) <= _MOST_ROWS:
        return np.arange(len(data))
    chosen = np.zeros(len(data), bool)
    chosen[np.argsort(-(data.targets + data.known), kind="stable")[: _MOST_ROWS // 2]] = True
    rest = np.flatnonzero(~chosen)
    chosen[rest[-(_MOST_ROWS - _MOST_ROWS // 2) :]] = True
    return np.flatnonzero(chosen)
