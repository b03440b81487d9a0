"""Requests and outcomes: what tells two figures apart, and what a figure is of."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from nas.evaluation import Failure, Fidelity, Outcome, Request, metric_of
from tests.helpers.evaluators import arch, request


def test_the_key_of_an_accuracy_from_scratch_is_the_one_of_all_journals() -> None:
    asked = Request(arch(), Fidelity(3, 0.5, 1.25), 7, "test")
    assert asked.key == f"{arch().id}/e3/f0.5/r1.25/s7/test"
    assert replace(asked, micro_batches=4).key == asked.key
    assert replace(asked, micro_batches=4) == asked


def test_the_same_network_measured_in_another_way_is_another_request() -> None:
    plain, other = request(), replace(request(), method="metric=macro_f1")
    assert other.key == f"{plain.key}/metric=macro_f1"
    assert other != plain


def test_an_accuracy_is_a_value_of_the_metric_that_is_meant_unnamed() -> None:
    outcome = Outcome(accuracy=0.9, curve=(0.5, 0.9))
    assert outcome == Outcome(value=0.9, curve=(0.5, 0.9)) == Outcome(0.9, curve=(0.5, 0.9))
    assert (outcome.value, outcome.metric, outcome.accuracy) == (0.9, "accuracy", 0.9)
    assert pickle.loads(pickle.dumps(outcome)) == outcome
    assert replace(outcome, seconds=2.0) == Outcome(accuracy=0.9, seconds=2.0, curve=(0.5, 0.9))


def test_another_metric_has_a_value_and_no_accuracy() -> None:
    outcome = replace(Outcome(value=0.7, metric="macro_f1"), device="cpu")
    assert (outcome.value, outcome.metric, outcome.device) == (0.7, "macro_f1", "cpu")
    assert outcome != Outcome(value=0.7, device="cpu")
    with pytest.raises(AttributeError, match="no accuracy: its value is of the metric macro_f1"):
        _ = outcome.accuracy


def test_a_failure_has_neither() -> None:
    outcome = Outcome(failure=Failure("oom", "no room"))
    assert (outcome.value, outcome.accuracy) == (None, None)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"accuracy": 0.5, "failure": Failure("oom", "no room")},
        {"value": 0.5, "failure": Failure("oom", "no room")},
        {"accuracy": 0.5, "value": 0.5},
        {"accuracy": 0.5, "metric": "macro_f1"},
    ],
)
def test_what_is_no_single_result_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="an outcome"):
        Outcome(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epochs": 0}, "epochs must be a whole number of at least 1, not 0"),
        ({"epochs": -1, "train_fraction": 2}, "epochs must be"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"epochs": True}, "epochs must be"),
        ({"train_fraction": 0}, "train_fraction must be above 0 and at most 1, not 0"),
        ({"train_fraction": float("nan")}, "train_fraction must be"),
        ({"train_fraction": "all"}, "train_fraction must be"),
        ({"resolution_factor": -1}, "resolution_factor must be above 0"),
        ({"resolution_factor": float("inf")}, "resolution_factor must be above 0"),
    ],
)
def test_a_fidelity_that_cannot_be_is_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        Fidelity(**given)


@pytest.mark.parametrize(
    ("method", "metric"),
    [
        ("", "accuracy"),
        ("metric=macro_f1", "macro_f1"),
        ("loss=class weights,metric=top 5,teacher=ab12", "top 5"),
        ("fast, metric=macro_f1, no flip", "macro_f1"),
        ("module:symmetric=x", "accuracy"),
    ],
)
def test_a_method_tells_its_metric(method: str, metric: str) -> None:
    assert metric_of(method) == metric
