"""What is used of Optuna beside its public interface: each name is there, and does what it is used for."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.samplers import QMCSampler, RandomSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.study.journal import BatchingJournal
from nas.study.optuna_adapter import QMCAt, as_stored, backend_of, go_on_with, set_system_attr

ROOT = Path(__file__).parents[3]


def test_optuna_has_the_private_names() -> None:
    study = optuna.create_study()
    trial = study.ask()
    assert isinstance(study._storage, BaseStorage)
    assert study._storage.get_trial(trial._trial_id).number == trial.number
    assert study.trials[0]._trial_id == trial._trial_id
    assert list(inspect.signature(Trial).parameters) == ["study", "trial_id"]
    assert list(inspect.signature(Trial._suggest).parameters) == ["self", "name", "distribution"]
    assert list(inspect.signature(BaseStorage.set_trial_system_attr).parameters)[1:] == ["trial_id", "key", "value"]
    assert list(inspect.signature(QMCSampler._find_sample_id).parameters) == ["self", "study", "search_space"]


def test_nothing_else_uses_private_names_of_optuna() -> None:
    private = re.compile(r"\b(?:study|old|new|trial|frozen|storage)\._[a-z]|\b_trial_id\b|\._storage\b|_find_sample_id")
    users = {
        str(path.relative_to(ROOT))
        for package in ("nas", "scaling_search", "experiments")
        for path in (ROOT / package).rglob("*.py")
        if private.search(path.read_text())
    }
    assert users == {"nas/study/optuna_adapter.py"}


def test_a_trial_as_stored_has_all_that_was_noted() -> None:
    study = optuna.create_study()
    trial = study.ask({"n": IntDistribution(1, 9)})
    trial.set_user_attr("seed", 3)
    trial.report(0.5, 1)
    set_system_attr(study, trial, "note", True)
    stored = as_stored(study, trial)
    assert isinstance(stored, FrozenTrial)
    assert (stored.params, stored.user_attrs, stored.system_attrs, stored.intermediate_values) == (
        trial.params, {"seed": 3}, {"note": True}, {1: 0.5},
    )  # fmt: skip
    set_system_attr(study, stored, "note", False)
    assert as_stored(study, trial).system_attrs == {"note": False}


class Draws(RandomSampler):
    """Draws by name and trial, whenever it is asked."""

    def sample_independent(self, study, trial, param_name, param_distribution):  # type: ignore[no-untyped-def]  # noqa: ARG002
        return len(param_name) + trial.number


def test_a_trial_goes_on_under_its_number_with_what_it_had() -> None:
    study = optuna.create_study(sampler=Draws())
    study.ask()
    begun = study.ask({"a": IntDistribution(0, 9)})
    resumed = go_on_with(study, study.trials[1], {"a": IntDistribution(0, 9), "abc": IntDistribution(0, 9)})
    assert resumed.number == begun.number == 1
    assert resumed.params == {"a": 2, "abc": 4}
    study.tell(resumed, 0.5)
    assert [trial.state for trial in study.trials] == [TrialState.RUNNING, TrialState.COMPLETE]


def test_the_journal_behind_a_study(tmp_path: Path) -> None:
    backend = BatchingJournal(tmp_path / "j")
    assert backend_of(optuna.create_study(storage=JournalStorage(backend))) is backend
    assert backend_of(optuna.create_study()) is None


def test_a_point_of_a_sequence_is_the_same_whenever_it_is_asked_for() -> None:
    space = {"x": CategoricalDistribution((0, 1)), "y": IntDistribution(1, 64)}
    points = []
    for number in (5, 5, 6):
        study = optuna.create_study()
        study.add_trial(optuna.create_trial(value=0.0, params={"x": 0, "y": 1}, distributions=space))
        trial = optuna.create_study(sampler=QMCAt(7, RandomSampler(seed=1), number)).ask({"y": space["y"]})
        points.append(trial.params)
        sampler = QMCAt(7, RandomSampler(seed=1), number)
        relative = sampler.infer_relative_search_space(study, as_stored(study, study.ask()))
        points.append(sampler.sample_relative(study, as_stored(study, study.ask()), relative))
    assert points[:2] == points[2:4]
    assert points[1] != points[5]
