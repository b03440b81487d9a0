"""The attributes of a trial in its study: their names, what is stored in them, and what is read back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from nas.evaluation import ACCURACY, Failure, Fidelity, Outcome, Request
from search_spaces import ArchSpec

REPEAT = "scalenas:repeat"
"""System attribute by which a sampler says that it knows this network, and wants it trained again with a seed not used
yet."""

COST = "cost"
"""The figure that the score charges for, where that is not the MACs."""

DUPLICATE_OF = "duplicate_of"
"""The number of the trial that asked for the same before, and whose end this one shares."""

UNTRAINED_BECAUSE = "pruned_because"
"""Why a trial was not trained, or not to the end: for people. Files say `pruned` for what was refused, too."""

METRIC_VALUE = "metric_value"
VALUES = (ACCURACY, METRIC_VALUE)
"""The user attributes of a trial's value: the first, or the second beside `metric`, the name of another metric."""

_OF_REQUEST = frozenset({"arch_id", "arch", "seed", "fidelity", "split", "request_key"})


def request_attrs(request: Request, figures: Mapping[str, float]) -> dict[str, Any]:
    """The user attributes that say what a trial trains, with the network's figures (`macs`, `params`) under their
    names; `stored_request` reads them back.

    What tells that there is a request comes after all that it needs, so that a kill between two writes leaves a whole
    one or none.
    """
    return {
        "arch_id": request.arch.id,
        "arch": asdict(request.arch),
        **figures,
        "seed": request.seed,
        "fidelity": asdict(request.fidelity),
        "split": request.split,
        **({"method": request.method} if request.method else {}),
        "request_key": request.key,
    }


def lacking_attrs(trial: FrozenTrial, figures: Collection[str]) -> set[str]:
    """The user attributes that a finished trial of a request lacks; none of a trial that has none of them.

    figures: the names of those that trials of the study have.
    """
    attrs, needed = trial.user_attrs, {*_OF_REQUEST, *figures}
    if not trial.state.is_finished() or not attrs.keys() & _OF_REQUEST:
        return set()
    if trial.state == TrialState.COMPLETE and DUPLICATE_OF not in attrs and measured(attrs) is None:
        needed.add(ACCURACY)
    return needed - attrs.keys()


def check_attrs(attrs: Mapping[str, Any]) -> None:
    """Raise ValueError, naming it, where a user attribute of a trial is nothing that is stored under its name."""
    for name, value in attrs.items():
        for words, (names, fits) in _KINDS.items():
            if name in names and not fits(value):
                raise ValueError(f"{name} must be {words}, not {value!r:.40}")
    for name, made in (("arch", ArchSpec.from_dict), ("fidelity", lambda value: Fidelity(**value))):
        if name in attrs:
            try:
                made(attrs[name])
            except (TypeError, ValueError) as error:
                raise ValueError(f"{name}: {error}") from None


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and -_MOST < value < _MOST


_MOST = 1e100  # no figure is larger; a float may not hold what is
_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Any], bool]]] = {
    "a text": (
        ("arch_id", "split", "device", "request_key", "method", "metric", "failure_kind", "failure_message"),
        lambda value: isinstance(value, str),
    ),
    "a number": ((ACCURACY, METRIC_VALUE, "macs", "params", COST, "seconds"), _is_number),
    "a whole number": (("seed", DUPLICATE_OF), lambda value: type(value) is int),
    "a list of numbers": (
        ("curve",),
        lambda value: isinstance(value, list | tuple) and all(type(each) in (int, float) for each in value),
    ),
    "an object": (("metrics",), lambda value: isinstance(value, Mapping)),
}
"""What is stored in the attributes of these names."""


def outcome_attrs(outcome: Outcome) -> dict[str, Any]:
    """The user attributes that say what came out; `stored_outcome` reads them back.

    What tells that there is an outcome comes last, so that a kill between two writes leaves a whole one or none.
    """
    attrs: dict[str, Any] = {
        "seconds": outcome.seconds,
        "device": outcome.device,
        "curve": list(outcome.curve),
        "metrics": dict(outcome.metrics),
    }
    if outcome.failure is not None:
        return attrs | {"failure_message": outcome.failure.message, "failure_kind": outcome.failure.kind}
    if outcome.metric != ACCURACY:
        return attrs | {"metric": outcome.metric, METRIC_VALUE: outcome.value}
    return attrs | {ACCURACY: outcome.value}


def measured(attrs: Mapping[str, Any]) -> float | None:
    """The value of its metric that a trial with these user attributes came to; None where it came to none."""
    value: float | None = attrs.get(ACCURACY, attrs.get(METRIC_VALUE))
    return value


def stored_cost(trial: FrozenTrial) -> float | None:
    """The figure that the score of a trial charges for: COST, else the MACs; None where it has neither."""
    cost: float | None = trial.user_attrs.get(COST, trial.user_attrs.get("macs"))
    return cost


def stored_request(trial: FrozenTrial) -> Request | None:
    """What the trial trains, or None when it was never submitted."""
    attrs = trial.user_attrs
    if "request_key" not in attrs:
        return None
    arch = ArchSpec.from_dict(attrs["arch"])
    fidelity = Fidelity(**attrs["fidelity"])
    return Request(arch, fidelity, attrs["seed"], attrs["split"], method=attrs.get("method", ""))


def stored_outcome(trial: FrozenTrial) -> Outcome | None:
    """What the trial gave, or None when its outcome is not in the journal."""
    attrs: Mapping[str, Any] = trial.user_attrs
    common = {name: attrs[name] for name in ("seconds", "device", "metrics") if name in attrs}
    common["curve"] = tuple(attrs.get("curve", ()))
    value = measured(attrs)
    if value is not None:
        return Outcome(value=value, metric=attrs.get("metric", ACCURACY), **common)
    if "failure_kind" in attrs:
        return Outcome(failure=Failure(attrs["failure_kind"], attrs["failure_message"]), **common)
    return None
