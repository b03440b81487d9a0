"""Which choices of the space mattered for the accuracy, by Optuna's own measure."""

from __future__ import annotations

import statistics
import warnings
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.study.attributes import measured

LEAST_TRIALS = 12
SHOWN = 12


def importance(study: Study) -> list[dict[str, Any]]:
    """The most important choices, first the most: `name`, `share` (all choices sum to 1), and each value's mean
    accuracy with its number of trials.

    Source of the shares: PED-ANOVA (Watanabe et al. 2023): how far a choice's values among the most accurate tenth of
    the trials differ from those among all. Of the accuracy, for the cost is counted and needs no estimate. Empty for
    fewer than LEAST_TRIALS trials with an accuracy, whose shares would be noise.
    """
    known = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if len(known) < LEAST_TRIALS or len({_accuracy(trial) for trial in known}) == 1:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says that PED-ANOVA asks what makes its target low: hence the minus
        shares = get_param_importances(
            study, evaluator=PedAnovaImportanceEvaluator(), target=lambda trial: -_accuracy(trial)
        )
    names = sorted(shares, key=lambda name: -shares[name])[:SHOWN]
    return [{"name": name, "share": shares[name], "values": _by_value(name, known)} for name in names]


def _accuracy(trial: FrozenTrial) -> float:
    value = measured(trial.user_attrs)
    assert value is not None
    return value


def _by_value(name: str, trials: Sequence[FrozenTrial]) -> list[dict[str, Any]]:
    groups: dict[Any, list[float]] = defaultdict(list)
    for trial in trials:
        if name in trial.params:
            groups[trial.params[name]].append(_accuracy(trial))
    ordered = sorted(groups, key=lambda value: (isinstance(value, str), value))
    return [{"value": str(v), "accuracy": statistics.fmean(groups[v]), "n": len(groups[v])} for v in ordered]
