"""The trials of a run's studies as the page takes them: rows of the search, failures, what was spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from experiments.records import RunRecord
from experiments.records.values import ABSENT, read_value
from experiments.report.frontier_data import frontier_data
from experiments.tables.frontier import FrontierPoint
from nas.evaluation import Fidelity
from nas.study.attributes import measured
from nas.study.store import read_study
from search_spaces import ArchSpec, format_blocks

_COLUMNS = ("number", "state", "score", "accuracy", "macs", "params", "cost", "epochs", "seed", "seconds", "device",
            "id", "blocks")  # fmt: skip


@dataclass(frozen=True)
class TrialFacts:
    """What a journal notes about a trial, in its user attributes; None for what it does not."""

    arch_id: str = ""
    arch: ArchSpec | None = field(default=None, metadata=ABSENT)
    macs: int | None = None
    params: int | None = None
    cost: float | None = None
    seed: int | None = None
    fidelity: Fidelity | None = field(default=None, metadata=ABSENT)
    seconds: float | None = field(default=None, metadata=ABSENT)
    device: str | None = None
    duplicate_of: int | None = field(default=None, metadata=ABSENT)
    failure_kind: str | None = None
    failure_message: str = ""
    pruned_because: str | None = None


@dataclass(frozen=True)
class Trial:
    """A trial: its number, state and score, the accuracy that it reached, and what is noted about it."""

    number: int
    state: TrialState
    score: float | None
    accuracy: float | None
    facts: TrialFacts

    @classmethod
    def of(cls, trial: FrozenTrial) -> Trial:
        complete = trial.state == TrialState.COMPLETE
        attrs = trial.user_attrs
        return cls(
            trial.number, trial.state, trial.value if complete else None, measured(attrs), read_value(TrialFacts, attrs)
        )

    @property
    def complete(self) -> bool:
        return self.state == TrialState.COMPLETE

    @property
    def trained(self) -> bool:
        """Whether it brought an accuracy of its own."""
        return self.complete and self.accuracy is not None and self.facts.duplicate_of is None


@dataclass(frozen=True)
class StudyTrials:
    """One study, and its trials by number."""

    study: Study
    trials: tuple[Trial, ...] = field(default=())

    @classmethod
    def read(cls, file: Path, name: str) -> StudyTrials:
        """Raises ValueError where the journal is damaged."""
        study = read_study(file, name)
        return cls(study, tuple(map(Trial.of, study.get_trials(deepcopy=False))))


Trials = Mapping[str, Sequence[Trial]]
"""By study."""


def best_trial(trials: Sequence[Trial]) -> Trial | None:
    """The trial of the highest score, of equals the first; None where none has a score."""
    scored = [trial for trial in trials if trial.score is not None]
    return max(scored, key=lambda trial: (trial.score or 0.0, -trial.number), default=None)


def accuracies_of(trials: Sequence[Trial], arch_id: str) -> list[float]:
    """What trainings of one network reached, in 0..1."""
    return [trial.accuracy for trial in trials if trial.facts.arch_id == arch_id and trial.accuracy is not None]


def search_data(trials: Sequence[Trial], record: RunRecord, *, lives: bool) -> dict[str, Any] | None:
    """Every finished trial of the search as a row, columns first: names are written once. lives: whether the run has a
    driver; if not, nothing runs."""
    if not trials:
        return None
    cost = record.cost
    return {
        "columns": _COLUMNS,
        "rows": [_row(trial) for trial in trials if trial.state.is_finished()],
        "images": record.data.train_images,
        "fraction": record.train_fraction,
        "target": None if record.score is None else record.score.target_macs,
        "cost": {"name": cost.name, "words": cost.words, "unit": cost.unit},
        "metric": record.measured,
        "running": sum(trial.state == TrialState.RUNNING for trial in trials) if lives else 0,
    }


def _row(trial: Trial) -> list[Any]:
    facts, state = trial.facts, trial.state.name.lower()
    copied = None if facts.duplicate_of is None else f"copy of #{facts.duplicate_of}"
    why = facts.failure_kind or facts.pruned_because or copied
    return [
        trial.number, f"{state}: {why}" if why else state, _rounded(trial.score, 6), _rounded(trial.accuracy, 6),
        facts.macs, facts.params, facts.cost, None if facts.fidelity is None else facts.fidelity.epochs, facts.seed,
        _rounded(facts.seconds, 2), facts.device, facts.arch_id,
        "" if facts.arch is None else format_blocks(facts.arch),
    ]  # fmt: skip


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def compared_archs(trials: Trials) -> dict[str, ArchSpec]:
    """The networks of which the frontier has points, by id."""
    both = (*trials.get("scale", ()), *trials.get("compare", ()))
    return {trial.facts.arch_id: trial.facts.arch for trial in both if trial.facts.arch is not None}


def compared_data(points: Sequence[FrontierPoint], trials: Trials) -> dict[str, Any] | None:
    """The frontier, with the networks and the seeds' accuracies that its studies hold."""
    seeds: dict[str, list[float]] = {}
    for trial in trials.get("compare", ()):
        if trial.complete and trial.accuracy is not None:
            seeds.setdefault(trial.facts.arch_id, []).append(trial.accuracy)
    return frontier_data(points, compared_archs(trials), seeds, "macs")


def failures(trials: Trials) -> list[dict[str, Any]]:
    """Every failed training of all studies, alike ones together."""
    rows = [
        {"step": step, "number": trial.number, "kind": trial.facts.failure_kind,
         "message": trial.facts.failure_message, "id": trial.facts.arch_id}
        for step, all_of in trials.items()
        for trial in all_of
        if trial.facts.failure_kind is not None
    ]  # fmt: skip
    return sorted(rows, key=lambda row: (row["kind"], row["step"], row["number"]))


def spent(step: str, trials: Sequence[Trial], record: RunRecord) -> dict[str, Any]:
    """What a step has spent: trainings, seconds of a slot, and multiply-adds of the forward passes."""
    images = record.data.train_images
    done = [trial.facts for trial in trials if trial.state.is_finished() and trial.facts.seconds is not None]
    trained = [facts for facts in done if facts.duplicate_of is None and facts.macs is not None]
    forward = sum(
        facts.macs * facts.fidelity.epochs * facts.fidelity.train_fraction
        for facts in trained
        if facts.macs is not None and facts.fidelity is not None
    )
    return {
        "step": step, "trainings": len(trained), "failed": sum(facts.failure_kind is not None for facts in done),
        "seconds": sum(facts.seconds or 0.0 for facts in trained),
        "macs": forward * images if images else None,
        "devices": ", ".join(sorted({facts.device for facts in trained if facts.device})),
    }  # fmt: skip
