"""What is modelled and what is known: the accuracy is learnt, the cost's part of the score is counted.

| symbol | meaning                                      | power form               | absolute form       | shape |
|--------|----------------------------------------------|--------------------------|---------------------|-------|
| f      | the objective, f = t + g, larger is better   | log(score)               | score               | (n,)  |
| t      | target: what has to be learnt                | log(accuracy)            | accuracy            | (n,)  |
| g      | known: what the cost alone decides           | log(score at accuracy 1) | score at accuracy 0 | (n,)  |

Without a score f = t = the study's value, and g = 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial

from nas.samplers.model.covariance import Floats
from nas.score import Score

_LEAST = 1e-4
"""Accuracies below count as this: of 0 there is no logarithm."""
_FLOOR = 3.0
"""Gaps between the median and the upper tenth that the floor lies below the median: of normal values 3.8 standard
deviations, so that it cuts off what went wrong and no more."""


@dataclass(frozen=True)
class Objective:
    """Takes an objective f apart, f = t + known(macs), where only t has to be learnt.

    With a power-form score f = log(score), t = log(accuracy); with the absolute form f = score, t = accuracy; without
    a score f = t = the study's value.
    """

    score: Score | None = None

    @property
    def _log(self) -> bool:
        return self.score is not None and self.score.form == "power"

    def known(self, macs: Floats) -> Floats:
        """The part of f that the cost alone decides, shape (n,)."""
        if self.score is None:
            return np.zeros(len(macs))
        if self._log:
            return np.log([self.score(1.0, cost) for cost in macs])
        return np.array([self.score(0.0, cost) for cost in macs])

    def value(self, f: float) -> float:
        """f in the study's own unit (larger is better)."""
        return math.exp(f) if self._log else f

    def targets(self, trials: tuple[FrozenTrial, ...], values: Floats, macs: Floats) -> Floats:
        """t of finished trials: from their accuracy where they carry one, else from their value and known cost."""
        if self.score is None:
            return values
        recovered = values * np.exp(-self.known(macs)) if self._log else values - self.known(macs)
        accuracy = np.array([trial.user_attrs.get("accuracy", r) for trial, r in zip(trials, recovered, strict=True)])
        return np.log(np.maximum(accuracy, _LEAST)) if self._log else accuracy.astype(float)


def floor_of(targets: Floats) -> float:
    """The value below which it does not matter how bad a network is: the median less three times the gap to the
    upper tenth. It keeps diverged trainings from bending the model."""
    if not len(targets):
        return -math.inf
    middle, high = np.quantile(targets, [0.5, 0.9])
    return float(middle - _FLOOR * (high - middle)) if high > middle else float(targets.min())
