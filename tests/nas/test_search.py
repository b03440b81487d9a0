"""The search loop: the same however it is run or broken off, and nothing trained that need not be."""

# ruff: noqa: ARG002  a sampler's methods take what Optuna passes

from __future__ import annotations

import contextlib
import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.evaluation import Evaluator, Failure, Fidelity, Outcome, Request
from nas.figures import Figure
from nas.pool.executor import Executor
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.samplers import SAMPLERS, make_sampler
from nas.search import (
    Bound,
    Candidate,
    NoCandidateError,
    SearchPlan,
    Space,
    TooManyFailuresError,
    TrialEvent,
    candidates,
    discover,
    evaluate_all,
)
from nas.study.attributes import REPEAT, outcome_attrs, request_attrs, stored_request
from nas.study.ledger import OnEvent
from nas.study.optuna_adapter import set_system_attr
from nas.study.store import open_study
from search_spaces import ArchSpec, Choice, SearchSpace
from tests.helpers.evaluators import FIDELITY, TINY, Fails, Formula, Returns, arch, formula, request
from tests.helpers.search_driver import FIGURES, MACS, PARAMS, SCORE


def macs_of(params: Mapping[str, Any]) -> float:
    return MACS.of(TINY.decode(params))


def search(
    path: Path,
    *,
    sampler: str | optuna.samplers.BaseSampler = "random",
    trials: int = 20,
    executor: Executor | None = None,
    evaluator: Evaluator | None = None,
    space: Space = TINY,
    on_event: OnEvent = lambda _: None,
    **asked: Any,
) -> optuna.Study:
    if isinstance(sampler, str):
        sampler = make_sampler(sampler, seed=0, macs=macs_of, score=SCORE)
    study = open_study(path, "discover", ["maximize"], sampler, SCORE)
    with contextlib.closing(executor or InlineExecutor(evaluator or Formula())) as opened:
        plan = SearchPlan(space, SCORE, FIDELITY, trials, FIGURES, **asked)
        with contextlib.suppress(NoCandidateError):  # tests look at the study
            discover(plan, sampler, opened, study, on_event=on_event)
    return study


def facts(trial: FrozenTrial) -> tuple[Any, ...]:
    """What must not depend on time or on the way that a search was run."""
    attrs = {name: value for name, value in trial.user_attrs.items() if name != "seconds"}
    return trial.number, trial.state, trial.params, trial.values, trial.intermediate_values, attrs


def history(study: optuna.Study) -> list[tuple[Any, ...]]:
    return [facts(trial) for trial in study.trials]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "discover.journal"


# --- What is measured ---------------------------------------------------------------------------------------------


def test_a_search_by_another_metric_is_the_same_search(path: Path, tmp_path: Path) -> None:
    by_accuracy = search(tmp_path / "accuracy", sampler="tpe", trials=8)
    search(path, sampler="tpe", trials=4, evaluator=Formula(metric="macro_f1"))
    by_other = search(path, sampler="tpe", trials=8, evaluator=Formula(metric="macro_f1"))
    assert [trial.values for trial in by_other.trials] == [trial.values for trial in by_accuracy.trials]
    assert candidates(by_other, SCORE) == candidates(by_accuracy, SCORE)
    for trial, same in zip(by_other.trials, by_accuracy.trials, strict=True):
        assert "accuracy" not in trial.user_attrs
        assert trial.user_attrs["metric"] == "macro_f1"
        assert trial.user_attrs["metric_value"] == same.user_attrs["accuracy"]


def test_a_study_of_another_method_is_refused_before_anything_is_trained(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    before = history(search(path, space=PAIR, trials=4))
    with pytest.raises(ValueError, match=r"'discover' holds values of another method \(accuracy .*\(teacher=b0\)"):
        search(path, space=PAIR, trials=12, evaluator=Formula(log=str(log)), method="teacher=b0")
    assert not log.exists()
    assert history(open_study(path, "discover", score=SCORE)) == before


def test_a_list_takes_no_figure_of_another_method_for_its_own(path: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    study = open_study(path, "list")
    wanted = [Request(arch(channels), FIDELITY) for channels in (8, 16)]
    other = [Request(arch(channels), FIDELITY, method="teacher=b0") for channels in (8, 16)]
    evaluate_all(wanted, InlineExecutor(Formula()), study, figures=FIGURES)
    evaluate_all(other[:1], InlineExecutor(Formula()), study, figures=FIGURES)
    found = evaluate_all([*wanted, *other], InlineExecutor(Formula(log=str(log))), study, figures=FIGURES)
    assert list(found) == [each.key for each in (*wanted, *other)]
    assert dict(begun(log)) == {other[1].key: 1}


# --- Determinism -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_two_runs_are_identical(tmp_path: Path, sampler: str) -> None:
    first, second = (search(tmp_path / name, sampler=sampler, trials=12) for name in ("a", "b"))
    assert history(first) == history(second)
    assert candidates(first, SCORE) == candidates(second, SCORE)
    assert len(first.trials) == 12


@pytest.mark.parametrize("sampler", ["random", "tpe", "evolution"])
def test_a_run_cut_off_anywhere_goes_on_as_if_it_had_not_been(tmp_path: Path, sampler: str) -> None:
    whole = tmp_path / "whole"
    unbroken = history(search(whole, sampler=sampler, trials=16))
    data = whole.read_bytes()
    for tenth in (3, 6, 9):
        cut = tmp_path / f"cut{tenth}"
        cut.write_bytes(data[: len(data) * tenth // 10])
        assert history(search(cut, sampler=sampler, trials=16)) == unbroken, f"cut at {tenth}/10"


def test_a_random_search_cut_off_between_any_two_records_goes_on(tmp_path: Path) -> None:
    whole, log = tmp_path / "whole", tmp_path / "log"
    unbroken = history(search(whole, trials=2))
    lines = whole.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut"
    for kept in range(len(lines)):
        cut.write_bytes(b"".join(lines[:kept]))
        log.unlink(missing_ok=True)
        stored = Counter(
            trial.user_attrs["request_key"]
            for trial in open_study(cut, "discover", ["maximize"]).trials
            if "accuracy" in trial.user_attrs
        )
        assert history(search(cut, trials=2, evaluator=Formula(log=str(log)))) == unbroken
        trained = begun(log)
        assert trained.keys().isdisjoint(stored)
        assert len(trained) + len(stored) == len({attrs["request_key"] for *_, attrs in unbroken})


def test_two_workers_find_the_same_with_random_sampling(tmp_path: Path) -> None:
    inline = search(tmp_path / "inline", trials=30)
    workers = search(tmp_path / "local", trials=30, executor=LocalExecutor(Formula(), [Slot(), Slot()]))
    assert history(workers) == history(inline)


def test_more_trials_go_on_from_fewer(tmp_path: Path) -> None:
    at_once = search(tmp_path / "a", sampler="tpe", trials=20)
    search(tmp_path / "b", sampler="tpe", trials=12)
    search(tmp_path / "b", sampler="tpe", trials=5)
    assert history(search(tmp_path / "b", sampler="tpe", trials=20)) == history(at_once)


def test_an_interrupt_is_heeded_where_nothing_needs_training(path: Path) -> None:
    def interrupt(news: TrialEvent) -> None:
        if news.finished and news.done == 20:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        search(path, space=PAIR, trials=10_000, on_event=interrupt)
    trials = open_study(path, "discover").trials
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 20


# --- What a trial holds ------------------------------------------------------------------------------------------


def test_a_trial_tells_all_about_itself(path: Path) -> None:
    (trial,) = search(path, trials=1).trials
    network = TINY.decode(trial.params)
    asked = Request(network, FIDELITY, 0)
    accuracy = formula(asked)
    macs, params = MACS.of(network), PARAMS.of(network)
    assert trial.state == TrialState.COMPLETE
    assert trial.value == SCORE(accuracy, macs)
    assert trial.intermediate_values == dict(enumerate((accuracy / 3, accuracy * 2 / 3, accuracy), 1))
    attrs = dict(trial.user_attrs)
    assert attrs.pop("seconds") > 0
    assert ArchSpec.from_dict(attrs.pop("arch")) == network
    assert attrs == {
        "arch_id": network.id,
        "accuracy": accuracy,
        "macs": macs,
        "params": params,
        "seed": 0,
        "fidelity": {"epochs": 3, "train_fraction": 1.0, "resolution_factor": 1.0},
        "split": "val",
        "request_key": asked.key,
        "device": "cpu",
        "curve": [accuracy / 3, accuracy * 2 / 3, accuracy],
        "metrics": {"epochs": 3.0, "threads": 1.0},
    }
    assert stored_request(trial) == asked


def test_candidates_come_best_first(path: Path) -> None:
    study = search(path, trials=30)
    found = candidates(study, SCORE)
    best = study.best_trial
    assert (found[0].arch.id, found[0].score) == (best.user_attrs["arch_id"], best.value)
    assert [c.score for c in found] == sorted((c.score for c in found), reverse=True)
    assert len(found) == len({trial.user_attrs["arch_id"] for trial in study.trials})


def test_a_candidate_is_the_mean_of_its_trainings_and_its_score_that_of_the_mean() -> None:
    study = optuna.create_study(direction="maximize")

    def add(channels: int, value: float | None, seed: int = 0, **attrs: Any) -> None:
        of = request_attrs(request(channels, seed=seed), {"macs": 100 * channels, "params": channels})
        outcome = outcome_attrs(
            Outcome(accuracy=value) if value is not None else Outcome(failure=Failure("oom", "full"))
        )
        state = TrialState.COMPLETE if value is not None else TrialState.FAIL
        study.add_trial(create_trial(state=state, value=value, user_attrs={**of, **outcome, **attrs}))

    add(24, 0.25)
    add(16, 0.5)
    add(8, 0.0)
    add(8, 1.0, seed=1)
    add(8, 0.875, seed=2, duplicate_of=3)
    add(40, None)
    add(32, 0.25, cost=2400)  # charged for another figure than its MACs
    add(56, 0.125, cost=2400)
    add(48, 0.125, cost=2400)
    add(8, None, seed=3)

    found = candidates(study, lambda accuracy, cost: accuracy * 2400 / cost if cost >= 2400 else accuracy)
    assert [(c.arch, c.accuracy, c.macs, c.params, c.score, c.n, c.number) for c in found] == [
        (arch(8), 0.5, 800, 8, 0.5, 2, 2),
        (arch(16), 0.5, 1600, 16, 0.5, 1, 1),
        (arch(24), 0.25, 2400, 24, 0.25, 1, 0),
        (arch(32), 0.25, 3200, 32, 0.25, 1, 6),
        (arch(48), 0.125, 4800, 48, 0.125, 1, 8),
        (arch(56), 0.125, 5600, 56, 0.125, 1, 7),
    ]
    assert candidates(optuna.create_study(), SCORE) == []


@pytest.mark.parametrize(
    ("fates", "told"),
    [
        (["a"], "1 x a"),
        (["a", "b", "b"], "2 x b; 1 x a"),
        (["a", "b", "c", "b", "c", "c"], "3 x c; 2 x b ..."),
        (["a", "", "fail"], "2 x fail; 1 x a"),  # one that nothing is known of beside its state
    ],
)
def test_a_search_without_a_value_says_what_became_of_most_trials(fates: list[str], told: str) -> None:
    study = optuna.create_study(direction="maximize")
    for fate in fates:
        attrs = {"failure_message": fate} if fate != "a" else {"pruned_because": fate}
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attrs if fate else {}))
    plan = SearchPlan(TINY, SCORE, FIDELITY, len(fates), FIGURES)
    with pytest.raises(NoCandidateError) as error:
        discover(plan, make_sampler("random", seed=0), InlineExecutor(Formula()), study)
    assert str(error.value) == f"no trial came to a value: {told}"


def test_a_study_is_refused_by_the_method_of_any_of_its_trials_either_way() -> None:
    study = optuna.create_study(direction="maximize", study_name="mixed")
    study.add_trial(create_trial(state=TrialState.FAIL))  # of no method
    attrs = request_attrs(Request(arch(8), FIDELITY, method="teacher=b0"), {})
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attrs))
    plan = SearchPlan(TINY, SCORE, FIDELITY, 3, FIGURES)
    with pytest.raises(ValueError, match=r"^the study 'mixed' holds values of another method") as error:
        discover(plan, make_sampler("random", seed=0), InlineExecutor(Formula()), study)
    assert "(teacher=b0) than the plan asks for (accuracy of a training from scratch)" in str(error.value)


def test_progress_counts_to_the_end(path: Path) -> None:
    seen: list[TrialEvent] = []
    study = search(path, trials=6, on_event=seen.append)
    finished = [news for news in seen if news.finished]
    assert [(news.number, news.done, news.total) for news in finished] == [(i, i + 1, 6) for i in range(6)]
    trained = [trial for trial in study.trials if "duplicate_of" not in trial.user_attrs]
    for trial in trained:
        epochs = [(news.epoch, news.value) for news in seen if news.number == trial.number and not news.finished]
        assert epochs == [(0, None), *trial.intermediate_values.items()]


# --- Trainings saved ---------------------------------------------------------------------------------------------

PAIR = SearchSpace("pair", (Choice("channels", (8, 16)),), lambda params: arch(params["channels"]))


def begun(log: Path) -> Counter[str]:
    """How often each request was begun."""
    text = log.read_text() if log.exists() else ""
    return Counter(line.split()[1] for line in text.splitlines() if line.startswith("begin"))


@pytest.mark.parametrize("slots", [0, 2])
def test_a_duplicate_is_answered_and_not_trained(tmp_path: Path, slots: int) -> None:
    evaluator = Formula(0.01, str(tmp_path / "log"))
    executor = LocalExecutor(evaluator, [Slot()] * slots) if slots else InlineExecutor(evaluator)
    study = search(tmp_path / "journal", space=PAIR, trials=12, executor=executor)
    assert sorted(begun(tmp_path / "log").values()) == [1, 1]
    originals: dict[str, FrozenTrial] = {}
    for trial in study.trials:
        original = originals.setdefault(trial.user_attrs["request_key"], trial)
        assert trial.value == original.value
        assert trial.user_attrs["accuracy"] == original.user_attrs["accuracy"]
        if trial is not original:
            assert trial.user_attrs["duplicate_of"] == original.number
            assert trial.user_attrs["seconds"] == 0
    assert [c.n for c in candidates(study, SCORE)] == [1, 1]


class Repeating(optuna.samplers.RandomSampler):
    """Asks that every architecture be trained again."""

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        set_system_attr(study, trial, REPEAT, True)


def test_a_sampler_may_ask_for_another_seed(path: Path) -> None:
    space = SearchSpace("one", (Choice("channels", (8,)),), lambda _: arch(8))
    for trials in (2, 4):
        study = search(path, space=space, sampler=Repeating(seed=0), trials=trials, seed=7)
    assert [trial.user_attrs["seed"] for trial in study.trials] == [7, 8, 9, 10]
    assert not any("duplicate_of" in trial.user_attrs for trial in study.trials)
    accuracies = [formula(Request(arch(8), FIDELITY, seed)) for seed in range(7, 11)]
    assert [trial.user_attrs["accuracy"] for trial in study.trials] == accuracies
    mean = sum(accuracies) / 4
    macs, params = MACS.of(arch(8)), PARAMS.of(arch(8))
    assert candidates(study, SCORE) == [Candidate(arch(8), mean, macs, params, SCORE(mean, macs), 4, 0)]


@pytest.mark.parametrize(("kind", "trainings"), [("oom", 3), ("diverged", 1), ("crashed", None), ("timeout", None)])
def test_a_failure_is_stored_and_trained_again_only_where_it_may_have_been_bad_luck(
    tmp_path: Path, kind: str, trainings: int | None
) -> None:
    """trainings: of the one network that fails; None: one for each trial that asks for it."""
    log = tmp_path / "log"
    study = search(tmp_path / "journal", space=PAIR, trials=10, evaluator=Fails(kind, 8, str(log)))
    failed = [trial for trial in study.trials if trial.params["channels"] == 8]
    assert len(failed) > 3
    for trial in failed:
        assert trial.state == TrialState.FAIL
        assert trial.user_attrs["failure_kind"] == kind
        assert trial.user_attrs["failure_message"].startswith("as asked")
    assert begun(log)[Request(arch(8), FIDELITY).key] == (trainings or len(failed))
    assert [c.arch for c in candidates(study, SCORE)] == [arch(16)]


@pytest.mark.parametrize(("figure", "unit"), [(MACS, "MACs"), (PARAMS, "parameters")])
def test_what_is_over_a_bound_is_refused(tmp_path: Path, figure: Figure, unit: str) -> None:
    log = tmp_path / "log"
    small, large = figure.of(arch(8)), figure.of(arch(16))
    study = search(tmp_path / "j", space=PAIR, evaluator=Formula(log=str(log)), bounds=(Bound(figure, small),))
    assert set(begun(log)) == {Request(arch(8), FIDELITY).key}
    for trial in study.trials:
        assert (trial.state == TrialState.PRUNED) == (trial.params["channels"] == 16)
        assert ("pruned_because" in trial.user_attrs) == (trial.params["channels"] == 16)
    too_much = next(trial for trial in study.trials if trial.state == TrialState.PRUNED)
    assert too_much.user_attrs["pruned_because"] == f"{large:,} {unit} are more than the bound of {small:,}"
    assert too_much.user_attrs["arch_id"] == arch(16).id


class Squared(Figure):
    """A figure of one's own."""

    name = "squared"
    words = "squared MACs"
    unit = "sq"

    def of(self, arch: ArchSpec) -> float:
        return 1e-3 * MACS.of(arch) ** 2


@pytest.mark.parametrize("charge", [None, Squared()])
def test_a_figure_of_ones_own_has_a_bound_too(tmp_path: Path, charge: Figure | None) -> None:
    log, figure = tmp_path / "log", charge or Squared()
    small, large = figure.of(arch(8)), figure.of(arch(16))
    asked: dict[str, Any] = {"charge": charge, "bounds": (Bound(PARAMS, 1e12), Bound(figure, small))}
    study = search(tmp_path / "j", space=PAIR, evaluator=Formula(log=str(log)), **asked)
    assert set(begun(log)) == {Request(arch(8), FIDELITY).key}
    for trial in study.trials:
        assert (trial.state == TrialState.PRUNED) == (trial.params["channels"] == 16)
        value = trial.user_attrs.get("cost")
        assert value == (None if charge is None else figure.of(arch(trial.params["channels"])))
        if trial.value is not None:
            assert trial.value == SCORE(trial.user_attrs["accuracy"], MACS.of(arch(8)) if charge is None else small)
    reason = next(trial for trial in study.trials if trial.state == TrialState.PRUNED).user_attrs["pruned_because"]
    if charge is None:
        assert reason == f"{large:,.0f} sq are more than the bound of {small:,.0f}"
    else:
        assert reason == f"a cost of {large:,.6g} is more than the bound of {small:,.6g}"


def test_what_is_over_one_bound_is_not_looked_at_by_those_of_the_charge(tmp_path: Path) -> None:
    bounds = (Bound(MACS, MACS.of(arch(8))), Bound(Squared(), 1.0))
    study = search(tmp_path / "j", space=PAIR, bounds=bounds, charge=Squared())
    for trial in study.trials:
        assert trial.state in (TrialState.PRUNED, TrialState.COMPLETE)
        assert ("MACs" in trial.user_attrs.get("pruned_because", "")) == (trial.params["channels"] == 16)


class Unknown(Squared):
    """A figure that networks of 16 channels lack."""

    def of(self, arch: ArchSpec) -> float:
        if arch.stages[0].channels == 16:
            raise ValueError("no figure of 16 channels")
        return super().of(arch)


@pytest.mark.parametrize("asked", [{"bounds": (Bound(Unknown(), 1e12),)}, {"charge": Unknown()}])
def test_a_network_that_lacks_a_figure_is_a_failed_trial(path: Path, asked: dict[str, Any]) -> None:
    study = search(path, space=PAIR, **asked)
    for trial in study.trials:
        assert (trial.state == TrialState.FAIL) == (trial.params["channels"] == 16)
        message = trial.user_attrs.get("failure_message")
        assert message in (None, "ValueError: no figure of 16 channels")


def test_a_plan_without_macs_is_none() -> None:
    with pytest.raises(ValueError, match="macs"):
        SearchPlan(PAIR, SCORE, FIDELITY, 1, (PARAMS,))


def test_parameters_that_make_no_network_are_a_failed_trial(path: Path) -> None:
    space = SearchSpace("odd", (Choice("kernel", (3, 4)),), lambda params: arch(8, params["kernel"]))
    study = search(path, space=space, trials=10)
    failed = [trial for trial in study.trials if trial.state == TrialState.FAIL]
    assert failed
    assert all(trial.params["kernel"] == 4 for trial in failed)
    message = "ArchError: stages[0].kernel: must be odd, not 4"
    assert {trial.user_attrs["failure_message"] for trial in failed} == {message}


def test_a_defect_of_the_space_raises(path: Path) -> None:
    space = SearchSpace("bad", (Choice("kernel", (3, 5)),), lambda params: params["no such"])
    with pytest.raises(KeyError):
        search(path, space=space)


def test_a_run_in_which_all_fails_stops_with_the_commonest_reason(path: Path) -> None:
    with pytest.raises(TooManyFailuresError, match=r"^10 of 10 trials failed, most often with crashed: TypeError"):
        search(path, evaluator=Returns(None), trials=50)
    assert [trial.state for trial in open_study(path, "discover").trials] == [TrialState.FAIL] * 10


# --- Resuming trials by hand ---------------------------------------------------------------------------------------


class Stubborn(optuna.samplers.RandomSampler):
    """Draws 1 for everything, and refuses to draw what is stored already."""

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        assert param_name not in trial.params
        return 1


def test_stored_parameters_of_an_unfinished_trial_are_kept(path: Path) -> None:
    study = open_study(path, "discover", ["maximize"], optuna.samplers.RandomSampler(), SCORE)
    trial = study.ask()
    trial.suggest_int("layers", 2, 2)
    study._storage.set_trial_param(trial._trial_id, "kernel", 3, IntDistribution(1, 3))
    space = SearchSpace(
        "two",
        (Choice("kernel", (1, 2, 3)), Choice("layers", (1, 2))),
        lambda p: arch(8, 2 * p["kernel"] + 1, p["layers"]),
    )
    study = search(path, space=space, sampler=Stubborn(), trials=1)
    assert [trial.params for trial in study.trials] == [{"kernel": 3, "layers": 2}]


# --- Fixed lists ---------------------------------------------------------------------------------------------------


def evaluate(path: Path, requests: list[Request], evaluator: Evaluator, **options: Any) -> dict[str, Outcome]:
    study = open_study(path, "scale", ["maximize"])
    with contextlib.closing(InlineExecutor(evaluator)) as executor:
        return evaluate_all(requests, executor, study, figures=FIGURES, **options)


def test_a_list_is_trained_in_its_order_and_each_request_once(tmp_path: Path, path: Path) -> None:
    log = tmp_path / "log"
    requests = [request(channels, seed=seed) for channels in (24, 8) for seed in (1, 0)]
    outcomes = evaluate(path, [*requests, requests[0]], Formula(log=str(log)))
    assert list(outcomes) == [asked.key for asked in requests]
    assert {key: outcome.accuracy for key, outcome in outcomes.items()} == {r.key: formula(r) for r in requests}
    assert list(begun(log).items()) == [(asked.key, 1) for asked in requests]

    more = [request(8, seed=2), *requests]
    assert evaluate(path, more, Formula(log=str(log))).keys() == {asked.key for asked in more}
    assert begun(log) == Counter(asked.key for asked in more)
    trials = open_study(path, "scale").trials
    assert [stored_request(trial) for trial in trials] == [*requests, request(8, seed=2)]
    assert [trial.value for trial in trials] == [trial.user_attrs["accuracy"] for trial in trials]


def test_a_list_tells_its_progress_with_what_was_known_before(path: Path) -> None:
    evaluate(path, [request(8)], Formula())
    seen: list[TrialEvent] = []
    asked = [request(16), request(8), request(24)]
    evaluate(path, asked, Formula(), on_event=seen.append)
    assert {news.total for news in seen} == {3}
    for number, (of, done) in enumerate([(request(16), 1), (request(24), 2)]):
        told = [(news.epoch, news.value, news.done, news.finished) for news in seen if news.request == of]
        curve = [formula(of) * epoch / 3 for epoch in (1, 2, 3)]
        running = [(0, None), *enumerate(curve, 1)]
        expected = [(epoch, value, done, False) for epoch, value in running]
        assert told == [*expected, (0, None, done + 1, True)]
        assert {news.number for news in seen if news.request == of} == {number}


def test_the_score_of_a_list_charges_for_its_first_figure(path: Path) -> None:
    study = open_study(path, "scale", ["maximize"])
    for figures, channels in (((PARAMS, MACS), 8), ((MACS, PARAMS), 16)):
        evaluate_all(
            [request(channels)],
            InlineExecutor(Formula()),
            study,
            figures=figures,
            score=lambda value, cost: value + cost,
        )
    for trial, (figure, channels) in zip(study.trials, ((PARAMS, 8), (MACS, 16)), strict=True):
        assert trial.value == formula(request(channels)) + figure.of(arch(channels))
        assert (trial.user_attrs["macs"], trial.user_attrs["params"]) == (
            MACS.of(arch(channels)),
            PARAMS.of(arch(channels)),
        )


def test_a_list_holds_the_callers_parameters_attributes_and_values(path: Path) -> None:
    evaluate(
        path,
        [request(8), request(16)],
        Formula(),
        score=SCORE,
        labels=lambda r: {"channels": r.arch.stages[0].channels, "phi": r.seed, "seed": r.seed},
        axes={"channels": IntDistribution(1, 512), "seed": IntDistribution(0, 9)},
    )
    for trial, asked in zip(open_study(path, "scale").trials, (request(8), request(16)), strict=True):
        assert trial.params == {"channels": asked.arch.stages[0].channels, "seed": 0}
        assert trial.user_attrs["phi"] == 0
        assert stored_request(trial) == asked  # its seed, too, though that is a parameter
        assert trial.value == SCORE(formula(asked), MACS.of(asked.arch))
        assert trial.intermediate_values == dict(enumerate(trial.user_attrs["curve"], 1))
        assert trial.duration is not None


@pytest.mark.parametrize(("kind", "again"), [("diverged", False), ("crashed", True)])
def test_a_failure_in_a_list_is_an_outcome(path: Path, kind: str, again: bool) -> None:
    asked = [request(8), request(16)]
    outcomes = evaluate(path, asked, Fails(kind, 8))
    failure = outcomes[asked[0].key].failure
    assert failure is not None
    assert failure.kind == kind
    assert outcomes[asked[1].key].accuracy == formula(asked[1])
    assert (evaluate(path, asked, Formula())[asked[0].key].accuracy is not None) == again


def test_different_fidelity_and_split_are_different_requests(path: Path) -> None:
    asked = [
        Request(arch(8), Fidelity(epochs=1)),
        Request(arch(8), Fidelity(epochs=2)),
        Request(arch(8), Fidelity(epochs=2), split="test"),
    ]
    assert len(evaluate(path, asked, Formula())) == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "the evaluator returned NoneType, not an Outcome"),
        ("a", "the evaluator returned str, not an Outcome"),
        (2.0, "the evaluator returned float, not an Outcome"),
        (Outcome(accuracy=2.0), "accuracy must be in 0..1, not 2.0"),
    ],
)
def test_a_search_whose_evaluator_gives_no_outcome_says_so(path: Path, answer: Any, told: str) -> None:
    study = open_study(path, "discover", ["maximize"], None, SCORE)
    plan = SearchPlan(TINY, SCORE, FIDELITY, 2, FIGURES)
    with pytest.raises(NoCandidateError, match=f"^no trial came to a value: 2 x .*{told}$"):
        discover(plan, make_sampler("random", seed=0), InlineExecutor(Returns(answer)), study)


def test_a_search_whose_bound_nothing_keeps_says_so(path: Path) -> None:
    study = open_study(path, "discover", ["maximize"], None, SCORE)
    plan = SearchPlan(TINY, SCORE, FIDELITY, 2, FIGURES, bounds=(Bound(FIGURES[0], 1),))
    with pytest.raises(NoCandidateError, match="more than the bound of 1"):
        discover(plan, make_sampler("random", seed=0), InlineExecutor(Formula()), study)
