"""How a trial can end: as values, of which a ledger stores one for each trial."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.trial import TrialState

from nas.evaluation import Failure, Outcome
from nas.pool.executor import one_line
from nas.study.attributes import DUPLICATE_OF, UNTRAINED_BECAUSE, VALUES, outcome_attrs


@dataclass(frozen=True)
class Ending:
    """The end of a trial: its state and value in the study, and the attributes to be stored in this order.

    outcome: what a training gave, for people; None where nothing was trained. stopped_after: the epoch after which a
    pruner stopped it; 0 where none did.
    """

    state: TrialState
    attrs: Mapping[str, Any]
    value: float | None = None
    outcome: Outcome | None = None
    stopped_after: int = 0


def trained(outcome: Outcome, score: Callable[[float], float]) -> Ending:
    """With what a training gave; score: of its value."""
    attrs = outcome_attrs(outcome)
    if outcome.value is None:
        return Ending(TrialState.FAIL, attrs, outcome=outcome)
    return Ending(TrialState.COMPLETE, attrs, score(outcome.value), outcome)


def duplicate(original: int, outcome: Outcome, score: Callable[[float], float]) -> Ending:
    """With the outcome of the trial `original`, which asked for the same."""
    ending = trained(replace(outcome, seconds=0.0), score)
    return replace(ending, attrs={DUPLICATE_OF: original, **ending.attrs})


def stopped(epoch: int, outcome: Outcome | None) -> Ending:
    """By a pruner after `epoch`. What it came to is no answer to the request, so that it is not stored as its value.

    outcome: None where a kill came between the stop and the end.
    """
    attrs = {} if outcome is None else outcome_attrs(outcome)
    kept = {name: value for name, value in attrs.items() if name not in VALUES}
    return Ending(TrialState.PRUNED, kept, outcome=outcome, stopped_after=epoch)


def duplicate_of_stopped(original: int) -> Ending:
    """As the trial `original`, which asked for the same and was stopped."""
    reason = f"as trial {original}, which was stopped early"
    return Ending(TrialState.PRUNED, {DUPLICATE_OF: original, UNTRAINED_BECAUSE: reason})


def refused(reason: str) -> Ending:
    """Not trained, for a reason in words for people."""
    return Ending(TrialState.PRUNED, {UNTRAINED_BECAUSE: reason})


def unbuilt(error: ValueError) -> Ending:
    """Its parameters make no network."""
    outcome = Outcome(failure=Failure("crashed", one_line(error)))
    return Ending(TrialState.FAIL, outcome_attrs(outcome), outcome=outcome)
