"""Kills at random moments, and what must hold in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections import Counter

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from tests.helpers.driven import Driven, finished_keys, size, wait_until


class Chaos:
    """A search of `trials` with `kills` SIGKILLs, of the driver or one worker each, spread over its course.

    bytes_per_trial: about what a trial takes in the journal, by which the course is measured.
    """

    def __init__(self, driven: Driven, trials: int, kills: int, bytes_per_trial: int, seed: int = 0) -> None:
        self.killed: Counter[str] = Counter()
        self._driven, self._trials, self._kills = driven, trials, kills
        self._gap = trials * bytes_per_trial // (kills + 1)
        self._random = random.Random(seed)
        self._known: list[tuple[set[str], int]] = []  # at each kill: keys that were finished, trainings begun

    def run(self) -> None:
        """Kill and start again to the end, then check that nothing was lost and nothing was done twice."""
        process = self._driven.start()
        for kill in range(self._kills):
            self._wait_for_a_moment(process, kill)
            workers = [pid for pid in self._driven.processes() if pid != process.pid]
            if workers and self._random.random() < 0.5:
                self._kill_worker(self._random.choice(workers))
            else:
                process = self._kill_driver(process)
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors
        self._check()

    def _wait_for_a_moment(self, process: subprocess.Popen[str], kill: int) -> None:
        goal = int((kill + self._random.random()) * self._gap)
        assert wait_until(lambda: size(self._driven.journal) >= goal or process.poll() is not None, 600)
        wait_until(lambda: process.poll() is not None, self._random.uniform(0, 0.2))
        assert process.poll() is None, f"the search ended after {kill} of {self._kills} kills"

    def _kill_worker(self, pid: int) -> None:
        self._note()
        self.killed["worker"] += 1
        os.kill(pid, signal.SIGKILL)

    def _kill_driver(self, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        process.kill()
        process.communicate()
        self.killed["driver"] += 1
        assert wait_until(lambda: self._driven.processes() == [], 10), "orphans"
        self._note()
        return self._driven.start()

    def _note(self) -> None:
        finished = finished_keys(self._driven.trials())  # read first: what begins later must be none of these
        self._known.append((finished, len(self._driven.begun())))

    def _check(self) -> None:
        assert wait_until(lambda: self._driven.processes() == [], 10), "orphans"
        begun = self._driven.begun()
        for finished, count in self._known:
            assert finished.isdisjoint(begun[count:])
        study = optuna.load_study(
            study_name="discover", storage=JournalStorage(JournalFileBackend(str(self._driven.journal)))
        )
        assert [trial.number for trial in study.trials] == list(range(self._trials))
        assert [trial.number for trial in study.trials if not _well_ended(trial)] == []


def _well_ended(trial: FrozenTrial) -> bool:
    """Finished, or given up because its worker was killed each time it was tried, and recorded as such."""
    if trial.state == TrialState.COMPLETE:
        return True
    return trial.state == TrialState.FAIL and "killed by SIGKILL" in trial.user_attrs["failure_message"]
