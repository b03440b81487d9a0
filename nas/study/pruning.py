"""Stopping trials early: Optuna's pruners over epochs, shown scores, and what a stopped trial would have come to."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

from optuna.pruners import BasePruner, HyperbandPruner, SuccessiveHalvingPruner
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.study.attributes import UNTRAINED_BECAUSE

PRUNERS = ("none", "halving", "hyperband")
FACTOR = 3
"""One trial in so many goes on from a rung; rungs are at epoch 1 and at this times the rung before."""

PRUNED_AT, EXPECTED, EXPECTED_SCORE = "pruned_at", "expected_accuracy", "expected_score"
"""User attributes of a trial that was stopped early: after which epoch, and what it would have come to, where that can
be estimated. It has no `accuracy`: that is of whole trainings."""

RUNG = "completed_rung_"
"""Optuna's system attributes of what a trial had reached at a rung begin with this."""


def make_pruner(name: str, epochs: int) -> BasePruner | None:
    """The pruner called `name` for trials of `epochs`; None for none. Raises ValueError on another name.

    halving: asynchronous successive halving (Li et al. 2020, "A system for massively parallel hyperparameter tuning"),
    as Optuna has it: a trial goes on where it is among the best third of those that reached the rung so far.
    hyperband: several of these side by side, which begin at epoch 1, 3, 9 ... (Li et al. 2018), for curves that cross.
    """
    if name == "none":
        return None
    if name == "halving":
        return SuccessiveHalvingPruner(min_resource=1, reduction_factor=FACTOR)
    if name == "hyperband":
        return HyperbandPruner(min_resource=1, max_resource=epochs, reduction_factor=FACTOR)
    raise ValueError(f"`pruner` must be one of {', '.join(PRUNERS)}, not {name!r}")


def is_unpromising(pruner: BasePruner, study: Study, trial: FrozenTrial, score: Callable[[float], float]) -> bool:
    """Whether the pruner would stop `trial` after its last reported epoch.

    Reported values are accuracies, but trials compete by what the search is about: the pruner sees, and keeps in the
    trial's system attributes, score(accuracy).
    """
    scored = copy.copy(trial)
    scored.intermediate_values = {epoch: score(value) for epoch, value in trial.intermediate_values.items()}
    return pruner.prune(study, scored)


def pruned_attrs(
    study: Study, epoch: int, accuracy: float, epochs: int, score: Callable[[float], float]
) -> dict[str, Any]:
    """The user attributes of a trial of `epochs` that is stopped after `epoch` with `accuracy`."""
    attrs: dict[str, Any] = {UNTRAINED_BECAUSE: f"not promising after epoch {epoch} of {epochs}"}
    done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    expected = expected_accuracy(done, epoch, accuracy, epochs)
    if expected is not None:
        attrs |= {EXPECTED: expected, EXPECTED_SCORE: score(expected)}
    return attrs | {PRUNED_AT: epoch}  # last: where it is, all are


def expected_accuracy(done: Iterable[FrozenTrial], epoch: int, accuracy: float, epochs: int) -> float | None:
    """What a trial stopped after `epoch` would have come to; None while no trial in `done` went on for all `epochs`.

    It is its accuracy and the mean gain of those from there to the end. They were among the best at that epoch, partly
    by luck that did not last, so that the estimate is rather low.
    """
    curves = [trial.intermediate_values for trial in done if epochs in trial.intermediate_values]
    if not curves:
        return None
    gain = sum(curve[epochs] - curve[epoch] for curve in curves) / len(curves)
    return min(1.0, max(0.0, accuracy + gain))
