"""The ledger: what is known of a study, however it was read, and how a trial can end."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import numpy as np
import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.evaluation import FAILURE_KINDS, Failure, Outcome, Request
from nas.figures import counts
from nas.pool.inline import InlineExecutor
from nas.search import SearchPlan, TrialEvent, discover, evaluate_all, unanswered
from nas.study.attributes import outcome_attrs, request_attrs
from nas.study.ending import Ending, duplicate, duplicate_of_stopped, refused, stopped, trained, unbuilt
from nas.study.known import FINAL_FAILURES, Known, known_of
from nas.study.ledger import Ledger
from tests.helpers.evaluators import FIDELITY, TINY, Formula, request

STATES = (TrialState.RUNNING, TrialState.WAITING, TrialState.COMPLETE, TrialState.FAIL, TrialState.PRUNED)
FIGURES = counts(1000)


def frozen(number: int, state: TrialState, asked: Request | None, attrs: dict[str, object]) -> FrozenTrial:
    own = {} if asked is None else request_attrs(asked, {"macs": 1, "params": 1})
    value = 0.5 if state == TrialState.COMPLETE else None
    trial = create_trial(state=state, value=value, user_attrs=own | attrs)
    trial.number = number
    return trial


def noted(outcome: Outcome | None, pruned_at: int | None, original: int | None) -> dict[str, object]:
    attrs: dict[str, object] = {} if outcome is None else outcome_attrs(outcome)
    attrs |= {} if pruned_at is None else {"pruned_at": pruned_at}
    return attrs | ({} if original is None else {"duplicate_of": original})


outcomes = st.one_of(
    st.none(),
    st.builds(lambda value: Outcome(value=value), st.floats(0, 1)),
    st.builds(lambda kind: Outcome(failure=Failure(kind, "as asked")), st.sampled_from(FAILURE_KINDS)),
)
histories = st.lists(
    st.tuples(
        st.sampled_from(STATES),
        st.one_of(st.none(), st.builds(request, st.sampled_from((8, 16)), seed=st.integers(0, 2))),
        st.builds(noted, outcomes, st.one_of(st.none(), st.just(2)), st.one_of(st.none(), st.just(0))),
    ),
    max_size=12,
)


@given(history=histories, data=st.data())
def test_what_is_known_does_not_depend_on_when_it_was_read(
    history: list[tuple[TrialState, Request | None, dict[str, object]]], data: st.DataObject
) -> None:
    """A driver reads a study again and again while trials are added and end in the order of their numbers."""
    last = [frozen(number, *each) for number, each in enumerate(history)]
    at_once = Known()
    assert at_once.learn(last) == sum(trial.state.is_finished() for trial in last)
    bit_by_bit, finished = Known(), 0
    for begun in sorted(data.draw(st.lists(st.integers(0, len(last)), max_size=4))):
        over = data.draw(st.integers(0, begun))
        seen = [t if t.number < over else frozen(t.number, TrialState.RUNNING, None, {}) for t in last[:begun]]
        finished += bit_by_bit.learn(seen)
        if over < begun and last[over].state.is_finished() and over in bit_by_bit.open:
            bit_by_bit.remember(last[over])  # one that this driver ended itself
            finished += 1
    finished += bit_by_bit.learn(last)
    assert finished == sum(trial.state.is_finished() for trial in last)
    assert (bit_by_bit.answers, bit_by_bit.stopped) == (at_once.answers, at_once.stopped)
    assert (bit_by_bit.seeds, bit_by_bit.open) == (at_once.seeds, at_once.open)
    assert bit_by_bit.begun(last) == sum(trial.state != TrialState.WAITING for trial in last)


@given(history=histories)
def test_an_answer_is_the_first_final_outcome_of_a_request(
    history: list[tuple[TrialState, Request | None, dict[str, object]]],
) -> None:
    known = Known()
    known.learn([frozen(number, *each) for number, each in enumerate(history)])
    expected: dict[str, int] = {}
    for number, (state, asked, attrs) in enumerate(history):
        final = "accuracy" in attrs or attrs.get("failure_kind") in FINAL_FAILURES
        if state.is_finished() and asked is not None and final and "duplicate_of" not in attrs:
            expected.setdefault(asked.key, number)
    assert {key: number for key, (number, _) in known.answers.items()} == expected
    for number, outcome in known.answers.values():
        assert outcome.value == history[number][2].get("accuracy")


def test_endings() -> None:
    done, failed = Outcome(value=0.25, seconds=2.0, device="cpu"), Outcome(failure=Failure("oom", "no room"))

    def double(value: float) -> float:
        return 2 * value

    assert trained(done, double) == Ending(TrialState.COMPLETE, outcome_attrs(done), 0.5, done)
    assert trained(failed, double) == Ending(TrialState.FAIL, outcome_attrs(failed), None, failed)
    again = duplicate(3, done, double)
    assert next(iter(again.attrs)) == "duplicate_of"
    assert (again.attrs["duplicate_of"], again.attrs["seconds"], again.attrs["accuracy"]) == (3, 0, 0.25)
    assert (again.state, again.value) == (TrialState.COMPLETE, 0.5)
    early = stopped(2, done)
    assert (early.state, early.value, early.stopped_after, early.outcome) == (TrialState.PRUNED, None, 2, done)
    assert "accuracy" not in early.attrs
    assert early.attrs["seconds"] == 2.0
    assert stopped(2, None) == Ending(TrialState.PRUNED, {}, stopped_after=2)
    reason = "as trial 3, which was stopped early"
    assert duplicate_of_stopped(3).attrs == {"duplicate_of": 3, "pruned_because": reason}
    assert refused("too large") == Ending(TrialState.PRUNED, {"pruned_because": "too large"})
    assert unbuilt(ValueError("no such op")).attrs["failure_message"] == "ValueError: no such op"


def test_a_ledger_stores_and_then_tells() -> None:
    study = optuna.create_study(direction="maximize")
    told: list[tuple[TrialEvent, TrialState]] = []
    ledger = Ledger(study, 2, lambda event: told.append((event, study.trials[event.number].state)))
    trial = study.ask({"n": IntDistribution(1, 9)})
    ledger.tell_running(trial.number, request(8))
    for name, value in request_attrs(request(8), {"macs": 1, "params": 1}).items():
        trial.set_user_attr(name, value)
    ledger.close(trial, request(8), trained(Outcome(value=0.5), lambda value: value))
    assert [(event.done, event.total, event.finished, state) for event, state in told] == [
        (0, 2, False, TrialState.RUNNING), (1, 2, True, TrialState.COMPLETE),
    ]  # fmt: skip
    assert ledger.known.answers == known_of(study).answers
    assert unanswered([request(8), request(16), request(8)], study) == [request(16)]


def test_a_score_that_is_no_number_fails_its_trial() -> None:
    study = optuna.create_study(direction="maximize")
    with pytest.warns(UserWarning, match="not acceptable"):
        Ledger(study, 1, lambda _: None).close(study.ask(), None, Ending(TrialState.COMPLETE, {}, float("nan")))
    assert study.trials[0].state == TrialState.FAIL


def test_a_trial_that_was_put_into_the_study_is_asked_for_first() -> None:
    study = optuna.create_study(direction="maximize")
    wished = TINY.params(TINY.sample(np.random.default_rng(5), 1)[0])
    study.enqueue_trial(wished)
    plan = SearchPlan(TINY, lambda value, _: value, FIDELITY, 3, FIGURES)
    discover(plan, optuna.samplers.RandomSampler(seed=0), InlineExecutor(Formula()), study)
    assert study.trials[0].params == wished
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3


def test_a_list_is_told_of_by_the_same_events() -> None:
    study, told = optuna.create_study(direction="maximize"), list[TrialEvent]()
    asked = [request(8), request(16)]
    evaluate_all(asked[:1], InlineExecutor(Formula()), study, figures=FIGURES)
    evaluate_all(asked, InlineExecutor(Formula()), study, figures=FIGURES, on_event=told.append)
    assert {event.request for event in told} == {asked[1]}
    assert {event.number for event in told} == {0}  # the place among those that are trained
    assert [(event.done, event.total) for event in told if event.finished] == [(2, 2)]
    assert [event.epoch for event in told if not event.finished] == [0, 1, 2, 3]


def test_the_life_of_a_trial_names_functions_that_are_there() -> None:
    """docs/architecture.md lists what a trial passes: at most eight functions, each of which exists."""
    text = (Path(__file__).parents[3] / "docs" / "architecture.md").read_text()
    section = re.split(r"^## ", text.partition("## The life of a trial\n")[2], flags=re.MULTILINE)[0]
    steps = re.findall(r"^(\d+)\. `(\w+)\.(\w+)`", section, re.MULTILINE)
    assert [int(number) for number, *_ in steps] == list(range(1, len(steps) + 1))
    assert 0 < len(steps) <= 8
    homes = {"SearchTrials": "study.trials", "Ledger": "study.ledger", "BatchingJournal": "study.journal",
             "Executor": "pool.executor", "ProxyEvaluator": "training.proxy"}  # fmt: skip
    for home, function in [*(step[1:] for step in steps), *re.findall(rf"`({'|'.join(homes)})\.(\w+)`", section)]:
        assert callable(getattr(getattr(import_module(f"nas.{homes[home]}"), home), function))
    for file in re.findall(r"`(nas/[\w/]+\.py)`", section):
        assert (Path(__file__).parents[3] / file).is_file()
