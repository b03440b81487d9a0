"""Which of the trained architectures is best, when every figure is uncertain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.study import Study

from nas.samplers.costs import KnownCost, RowCosts
from nas.samplers.grid import Rows, keys
from nas.samplers.history import Active, History, HistoryReader
from nas.samplers.model.covariance import Floats
from nas.samplers.model.objective import Objective
from nas.samplers.model.surrogate import Data, Surrogate, Surrogates
from nas.score import Score

_LEAST = 4
_UNKNOWN_SHARE = 0.5


@dataclass(frozen=True)
class Recommendation:
    """One architecture: its params, the numbers of its trials, its expected value in the study's own unit (the score)
    and the ends of the 95 % interval of its value without noise."""

    params: dict[str, Any]
    trials: tuple[int, ...]
    value: float
    low: float
    high: float


def recommend(
    study: Study,
    *,
    macs: KnownCost | None = None,
    score: Score | None = None,
    top: int = 5,
    active: Active | None = None,
    cache: Surrogates | None = None,
) -> list[Recommendation]:
    """The `top` architectures of a study's finished trials by expected value, the best first.

    The expectation is the model's at that point plus the shrunken mean residual of the architecture's own trials, so
    that a lucky training does not win and a good architecture that the model misjudges can. `macs`, `score` and
    `active` as for `make_sampler`; `cache` keeps hyperparameters between calls. Fewer than four finished trials are
    ranked by their values. Raises ValueError for a study with several objectives.
    """
    if len(study.directions) > 1:
        raise ValueError("a recommendation needs one objective; of several, take the Pareto front (study.best_trials)")
    reader = HistoryReader(active)
    history = reader.read(study, -1, reader.space(study, -1), estimates=False)
    if not len(history.rows):
        return []
    costs = RowCosts(macs)(history.grid, history.rows) if macs else np.ones(len(history.rows))
    objective = Objective(score if macs else None)
    targets = objective.targets(history.trials, history.values[:, 0], costs)
    data = Data(history.rows, np.log(costs), targets, objective.known(costs))
    model = None
    if len(data) >= _LEAST:
        none = data[:0]
        model = (cache or Surrogates()).build(history.grid, data, none.rows, none.costs)
    sign = 1.0 if study.directions[0].name == "MAXIMIZE" else -1.0
    found = _by_architecture(history, data, model)
    found.sort(key=lambda each: -each[1])
    return [
        Recommendation(
            dict(history.trials[members[0]].params),
            tuple(history.trials[i].number for i in members),
            *(sign * objective.value(f) for f in (middle, middle - sign * 1.96 * std, middle + sign * 1.96 * std)),
        )
        for members, middle, std in found[:top]
    ]


def _by_architecture(history: History, data: Data, model: Surrogate | None) -> list[tuple[list[int], float, float]]:
    """For each distinct row: its trials' positions, and the mean and standard deviation of its objective."""
    groups: dict[bytes, list[int]] = {}
    for i, key in enumerate(keys(history.rows)):
        groups.setdefault(key, []).append(i)
    first = np.array([members[0] for members in groups.values()])
    if model is None:
        means, stds, own, noise = data.targets[first], np.zeros(len(first)), 0.0, 0.0
    else:
        means, stds = model.predict(data.rows[first], data.costs[first])
        own, noise = _split_noise(model.noise, data.targets, list(groups.values()))
    out = []
    for members, mean, std in zip(groups.values(), means, stds, strict=True):
        share = own / max(own + noise / len(members), 1e-300)
        residual = float(data.targets[members].mean() - mean)
        spread = float(np.sqrt(std**2 + own * (1 - share)))
        out.append((members, float(mean) + share * residual + float(data.known[members[0]]), spread))
    return out


def _split_noise(total: float, targets: Floats, groups: list[Rows] | list[list[int]]) -> tuple[float, float]:
    """What the model calls noise is partly each architecture's own deviation from it and partly the training's
    randomness: their variances, told apart by repeated trials where there are any, and taken as equal where not."""
    repeated = [targets[members] for members in groups if len(members) > 1]
    if not repeated:
        return _UNKNOWN_SHARE * total**2, (1 - _UNKNOWN_SHARE) * total**2
    freedom = sum(len(each) - 1 for each in repeated)
    noise = float(sum(((each - each.mean()) ** 2).sum() for each in repeated)) / freedom
    # Few repetitions say little: they weigh as much as their number against one that agrees with the model.
    noise = (freedom * noise + total**2 / 2) / (freedom + 1)
    return max(total**2 - noise, 0.05 * total**2), noise
