"""What the trials of a study tell: which requests are answered, which were stopped, which seeds are used."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from nas.evaluation import Outcome
from nas.study.attributes import DUPLICATE_OF, stored_outcome
from nas.study.pruning import PRUNED_AT

FINAL_FAILURES = ("oom", "diverged")
"""Kinds of failure that the same request would meet again; the others may be bad luck."""


def is_final(outcome: Outcome) -> bool:
    """Whether the same request would end the same way again: then it is never trained twice."""
    return outcome.failure is None or outcome.failure.kind in FINAL_FAILURES


@dataclass
class Known:
    """What is known of a study's trials. All of it can be read from the study again, and each trial is read once.

    answers: by request key, the number of the trial and its outcome, of those that are final. stopped: by request key,
    the number of the trial that a pruner stopped. seeds: by architecture id, those that were asked for. open: numbers
    of trials that have not finished.
    """

    answers: dict[str, tuple[int, Outcome]] = field(default_factory=dict)
    stopped: dict[str, int] = field(default_factory=dict)
    seeds: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    open: set[int] = field(default_factory=set)
    _ended: set[int] = field(default_factory=set)
    _read: int = 0  # trials that `learn` has seen

    def learn(self, trials: Sequence[FrozenTrial]) -> int:
        """Take in what has happened since the last time; how many trials have finished. trials: all of the study's."""
        self.open.update(number for number in range(self._read, len(trials)) if number not in self._ended)
        self._read = len(trials)
        finished = [number for number in sorted(self.open) if trials[number].state.is_finished()]
        for number in finished:
            self.remember(trials[number])
        return len(finished)

    def remember(self, trial: FrozenTrial) -> None:
        """Take in a trial that has finished."""
        self.open.discard(trial.number)
        self._ended.add(trial.number)
        attrs = trial.user_attrs
        if "request_key" not in attrs:
            return
        self.seeds[attrs["arch_id"]].add(attrs["seed"])
        if DUPLICATE_OF in attrs:
            return
        if PRUNED_AT in attrs:
            self.stopped.setdefault(attrs["request_key"], trial.number)
        outcome = stored_outcome(trial)
        if outcome is not None and is_final(outcome):
            self.answers.setdefault(attrs["request_key"], (trial.number, outcome))

    def begun(self, trials: Sequence[FrozenTrial]) -> int:
        """How many of all trials were asked for: all but those that somebody put into the study to be asked next."""
        return len(trials) - sum(trials[number].state == TrialState.WAITING for number in self.open)


def known_of(study: Study) -> Known:
    """What is known of a study."""
    known = Known()
    known.learn(study.get_trials(deepcopy=False))
    return known
