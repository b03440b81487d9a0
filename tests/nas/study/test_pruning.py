"""Trials stopped early: which, what is stored of them, and that nothing is trained twice for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.pruners import BasePruner
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.data.dataset import Dataset
from nas.evaluation import Fidelity, Outcome, Report, Request
from nas.pool.executor import Executor
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.samplers import make_sampler, recommend
from nas.samplers.history import HistoryReader
from nas.search import SearchPlan, TrialEvent, candidates, discover
from nas.study.pruning import FACTOR, RUNG, expected_accuracy, make_pruner
from nas.study.store import open_study
from tests.helpers.command import Run, expect_mistake
from tests.helpers.evaluators import TINY, Formula, formula, note
from tests.helpers.search_driver import FIGURES, MACS, SCORE

LONG = Fidelity(epochs=9)
RUNGS = (1, 3)  # of trials of nine epochs; the next is at their end


def search(
    path: Path,
    *,
    pruner: str | BasePruner = "halving",
    sampler: str = "random",
    trials: int = 24,
    executor: Executor | None = None,
    on_event: Callable[[TrialEvent], None] = lambda _: None,
    fidelity: Fidelity = LONG,
    log: Path | None = None,
) -> optuna.Study:
    made = make_sampler(sampler, seed=0, macs=lambda params: MACS.of(TINY.decode(params)), score=SCORE)
    chosen = make_pruner(pruner, fidelity.epochs) if isinstance(pruner, str) else pruner
    study = open_study(path, "discover", ["maximize"], made, SCORE)
    with contextlib.closing(executor or InlineExecutor(Formula(log=None if log is None else str(log)))) as opened:
        plan = SearchPlan(TINY, SCORE, fidelity, trials, FIGURES, pruner=chosen)
        discover(plan, made, opened, study, on_event=on_event)
    return study


def facts(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [
        (t.number, t.state, t.params, t.values, t.intermediate_values,
         {k: v for k, v in t.user_attrs.items() if k != "seconds"})
        for t in study.trials
    ]  # fmt: skip


def stopped(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that were begun and stopped, no duplicates."""
    return [t for t in study.trials if t.state == TrialState.PRUNED and "duplicate_of" not in t.user_attrs]


def begun(log: Path) -> Counter[str]:
    return Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "discover.journal"


# --- What is stopped -----------------------------------------------------------------------------------------------


def test_halving_stops_what_is_not_among_the_best_scores_so_far(path: Path, tmp_path: Path) -> None:
    study = search(path, log=tmp_path / "log")
    reached: dict[int, list[float]] = {epoch: [] for epoch in RUNGS}
    seen: dict[str, FrozenTrial] = {}
    for trial in study.trials:
        arch = TINY.decode(trial.params)
        accuracy, macs = formula(Request(arch, LONG)), MACS.of(arch)
        if arch.id in seen:
            assert trial.state == seen[arch.id].state
            assert trial.user_attrs["duplicate_of"] == seen[arch.id].number
            continue
        seen[arch.id] = trial
        last = 9
        for epoch, scores in reached.items():
            scores.append(SCORE(accuracy * epoch / 9, macs))
            if scores[-1] < sorted(scores, reverse=True)[max(len(scores) // FACTOR, 1) - 1]:
                last = epoch
                break
        assert list(trial.intermediate_values) == list(range(1, last + 1))
        assert trial.state == (TrialState.COMPLETE if last == 9 else TrialState.PRUNED)
        assert trial.user_attrs.get("pruned_at", 9) == last
    assert len(study.trials) == 24  # a stopped trial counts
    assert {t.user_attrs["pruned_at"] for t in stopped(study)} == {1, 3}
    assert begun(tmp_path / "log") == Counter(t.user_attrs["request_key"] for t in seen.values())


def test_a_stopped_trial_has_no_accuracy_and_is_no_candidate(path: Path) -> None:
    news: list[TrialEvent] = []
    study = search(path, on_event=news.append)
    found = {candidate.arch.id for candidate in candidates(study, SCORE)}
    by_number = {event.number: event for event in news if event.finished}
    assert len(stopped(study)) > 5
    for trial in stopped(study):
        attrs, epoch = trial.user_attrs, trial.user_attrs["pruned_at"]
        assert "accuracy" not in attrs
        assert attrs["pruned_because"] == f"not promising after epoch {epoch} of 9"
        assert attrs["curve"] == list(trial.intermediate_values.values())
        assert attrs["seconds"] > 0
        assert attrs["arch_id"] not in found
        event = by_number[trial.number]
        assert (event.pruned, event.epoch) == (True, epoch)
        assert event.outcome is not None
    done = [event.done for event in news if event.finished]
    assert done == list(range(1, 25))


def test_hyperband_stops_some_and_begins_later_with_others(path: Path) -> None:
    study = search(path, pruner="hyperband", trials=40)
    assert {t.user_attrs["pruned_at"] for t in stopped(study)} == {1, 3}
    # A trial of the last bracket is not asked before its end: some bad ones are trained to it.
    ended = [t.value for t in study.trials if t.state == TrialState.COMPLETE and "duplicate_of" not in t.user_attrs]
    assert len(ended) > 3


def test_an_unknown_pruner_is_refused() -> None:
    assert make_pruner("none", 5) is None
    with pytest.raises(ValueError, match="none, halving, hyperband"):
        make_pruner("median", 5)


def test_workers_stop_trials_too(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    study = search(path, executor=LocalExecutor(Formula(log=str(log)), [Slot(), Slot()]))
    assert len(study.trials) == 24
    assert stopped(study)
    for trial in stopped(study):
        assert list(trial.intermediate_values) == list(range(1, trial.user_attrs["pruned_at"] + 1))
    assert max(begun(log).values()) == 1


# --- Going on ------------------------------------------------------------------------------------------------------


def test_a_search_cut_off_anywhere_keeps_what_it_stopped(path: Path, tmp_path: Path) -> None:
    unbroken = facts(search(path, trials=10))
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(4, len(lines), 11):
        cut, log = tmp_path / "cut", tmp_path / f"log{kept}"
        cut.write_bytes(b"".join(lines[:kept]))
        before = open_study(cut, "discover", ["maximize"]).trials
        final = {t.number: t.state for t in before if t.state.is_finished()}
        over = {t.user_attrs["request_key"] for t in before if t.state.is_finished() or "pruned_at" in t.user_attrs}
        log.touch()
        after = search(cut, trials=10, log=log)
        assert begun(log).keys().isdisjoint(over)
        assert {number: after.trials[number].state for number in final} == final
        assert [fact[2] for fact in facts(after)] == [fact[2] for fact in unbroken]
        for trial in after.trials:
            assert trial.state == (TrialState.PRUNED if "pruned_because" in trial.user_attrs else TrialState.COMPLETE)


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(path: Path, tmp_path: Path) -> None:
    unbroken = facts(search(tmp_path / "whole"))
    for number in (2, 5, 9):

        def interrupt(news: TrialEvent, number: int = number) -> None:
            if news.number == number and news.epoch == 1 and not news.finished:
                os.kill(os.getpid(), signal.SIGINT)

        with pytest.raises(KeyboardInterrupt):
            search(path, on_event=interrupt)
    assert facts(search(path)) == unbroken


@dataclass(frozen=True)
class Interrupts:
    """Formula, with a SIGINT to its own process in the middle of the one training."""

    log: str

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        if not Path(self.log).exists():
            note(self.log, "sent")
            os.kill(os.getpid(), signal.SIGINT)
        return Formula().evaluate(request, device, report)


def test_an_interrupt_within_a_training_cuts_no_record(path: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        search(path, executor=InlineExecutor(Interrupts(str(tmp_path / "sent"))))
    assert facts(search(path)) == facts(search(tmp_path / "whole"))


def test_another_score_forgets_what_was_compared_by_the_old_one(path: Path) -> None:
    study = search(path)
    rungs = [name for t in study.trials for name in t.system_attrs if name.startswith(RUNG)]
    assert rungs
    other = replace(SCORE, target_macs=1e5, exponent=-0.3)
    again = open_study(path, "discover", ["maximize"], score=other)
    assert not [name for t in again.trials for name in t.system_attrs if name.startswith(RUNG)]
    estimated = [t for t in again.trials if "expected_accuracy" in t.user_attrs]
    assert estimated
    for trial in estimated:
        attrs = trial.user_attrs
        assert attrs["expected_score"] == other(attrs["expected_accuracy"], attrs["macs"])


# --- What samplers make of it --------------------------------------------------------------------------------------


def test_a_stopped_trial_is_expected_to_gain_what_others_did() -> None:
    done = [create_trial(value=0.0, intermediate_values={1: 0.1, 2: 0.3, 3: end}) for end in (0.5, 0.7)]
    assert expected_accuracy(done, 1, 0.2, 3) == pytest.approx(0.7)
    assert expected_accuracy(done, 2, 0.95, 3) == 1.0
    assert expected_accuracy(done, 1, 0.2, 4) is None
    assert expected_accuracy([], 1, 0.2, 3) is None


def test_samplers_see_the_estimate_and_not_the_early_value(path: Path) -> None:
    study = search(path)
    reader = HistoryReader()
    space = reader.space(study, -1)
    history = reader.read(study, -1, space)
    values = dict(zip([trial.number for trial in history.trials], history.values[:, 0], strict=True))
    estimated = [t for t in stopped(study) if "expected_score" in t.user_attrs]
    assert len(estimated) > 5
    for trial in estimated:
        expected = expected_accuracy(
            [t for t in study.trials[: trial.number] if t.state == TrialState.COMPLETE],
            trial.user_attrs["pruned_at"], trial.user_attrs["curve"][-1], 9,
        )  # fmt: skip
        assert expected is not None
        assert values[trial.number] == pytest.approx(SCORE(expected, trial.user_attrs["macs"]))
    trained = {t.number for t in study.trials if t.state == TrialState.COMPLETE}
    assert set(values) == trained | {t.number for t in estimated}
    assert {t.number for t in reader.read(study, -1, space, estimates=False).trials} == trained
    assert {number for each in recommend(study, top=99) for number in each.trials} == trained


@pytest.mark.parametrize("sampler", ["default", "evolution", "tpe"])
def test_samplers_go_on_beside_stopped_trials(path: Path, sampler: str) -> None:
    study = search(path, sampler=sampler, trials=30)
    assert len(study.trials) == 30
    if sampler == "default":
        ids = [trial.user_attrs["arch_id"] for trial in study.trials]
        assert len(set(ids)) == len(ids)  # nothing is suggested twice, stopped or not


# --- The command ---------------------------------------------------------------------------------------------------


def made_up(dataset: Dataset) -> Formula:
    return Formula(log=str(dataset.images_path.parents[2] / "log"))


def test_the_command_shows_what_was_stopped(tmp_path: Path, scalenas: Run) -> None:
    command = (
        "discover", "digits", "--run", str(tmp_path), "--executor", "inline", "--devices", "cpu", "--target-macs", "1M",
        "--evaluator", "tests.nas.study.test_pruning:made_up", "--sampler", "random", "--trials", "8", "--epochs", "9",
        "--confirm", "1", "--confirm-seeds", "1", "--pruner",
    )  # fmt: skip
    status, _, err = scalenas(*command, "halving")
    assert status == 0, err
    table = pd.read_csv(tmp_path / "trials.csv")
    pruned = table[table.state == "pruned"]
    assert 0 < len(pruned) < len(table) == 8
    assert set(pruned.pruned_at) <= {1, 3}
    assert pruned.accuracy.isna().all()
    assert pruned.score.isna().all()
    _, out, _ = scalenas("status", tmp_path, "--json")
    states = json.loads(out)["studies"]["discover"]["states"]
    assert (states["pruned"], states["complete"]) == (len(pruned), 8 - len(pruned))
    baseline = json.loads((tmp_path / "baseline.json").read_text())
    assert baseline["id"] in set(table[table.state == "complete"].arch_id)
    trained = begun(tmp_path / "log")
    assert scalenas(*command, "none")[0] == 0  # stays stopped
    assert begun(tmp_path / "log") == trained
    expect_mistake(scalenas(*command, "median"), "pruner", "median", "halving")
