"""A search as a process of its own that is killed, interrupted, and started again."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections import Counter
from pathlib import Path

import pytest
from optuna.trial import TrialState

from nas.study.store import read_study
from tests.helpers.driven import Driven, driven_search, finished_keys, size, wait_until
from tests.helpers.search_driver import run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
TRIALS = 20


def check_complete(driven: Driven) -> None:
    trials = driven.trials()
    assert [trial.number for trial in trials] == list(range(TRIALS))
    failures = [trial.user_attrs.get("failure_message") for trial in trials if trial.state != TrialState.COMPLETE]
    assert failures == []
    assert driven.processes() == []


@pytest.mark.slow
def test_a_driver_killed_five_times_loses_nothing_and_trains_nothing_twice(tmp_path: Path) -> None:
    moments = random.Random(0)
    driven = driven_search(tmp_path, TRIALS)
    finished: set[str] = set()
    for _ in range(5):
        begun = len(driven.begun())
        process = driven.start()
        # Up to so many bytes of journal, about a fifth of the whole: anywhere from the first import to mid-trial.
        goal = size(driven.journal) + moments.randrange(12_000)
        wait_until(lambda goal=goal, p=process: size(driven.journal) >= goal or p.poll() is not None, 60)  # type: ignore[misc]
        process.kill()
        process.communicate()
        assert wait_until(lambda: driven.processes() == [], 10), "orphans"
        assert finished.isdisjoint(driven.begun()[begun:])
        finished = finished_keys(driven.trials())
    assert 0 < len(finished) < TRIALS
    begun = len(driven.begun())
    driven.finish()
    check_complete(driven)
    assert finished.isdisjoint(driven.begun()[begun:])

    undisturbed = tmp_path / "undisturbed"
    undisturbed.mkdir()
    run(undisturbed, TRIALS, slots=0, delay=0)
    expected = read_study(undisturbed / "discover.journal", "discover").trials
    assert [(trial.params, trial.values) for trial in driven.trials()] == [(t.params, t.values) for t in expected]


@pytest.mark.parametrize(("number", "slots"), [(signal.SIGINT, 2), (signal.SIGTERM, 0)])
def test_an_interrupted_driver_stops_in_good_order_and_goes_on(tmp_path: Path, number: int, slots: int) -> None:
    driven = driven_search(tmp_path, TRIALS, slots, 0.05)
    process = driven.start()
    assert wait_until(lambda: len(driven.begun()) >= 3, 60)
    process.send_signal(number)
    _, errors = process.communicate(timeout=10)
    assert "KeyboardInterrupt" in errors
    assert wait_until(lambda: driven.processes() == [], 10), "orphans"
    trials = driven.trials()
    assert 0 < len(trials) < TRIALS
    assert {trial.state for trial in trials} <= {TrialState.COMPLETE, TrialState.RUNNING}
    begun, known = len(driven.begun()), finished_keys(trials)
    driven.finish()
    check_complete(driven)
    assert known.isdisjoint(driven.begun()[begun:])


def test_killed_workers_cost_no_trial(tmp_path: Path) -> None:
    driven = driven_search(tmp_path, TRIALS, delay=0.05)
    process = driven.start()
    for victims in (3, 8, 13):
        assert wait_until(lambda n=victims: len(driven.begun()) >= n, 60)  # type: ignore[misc]
        begun = [line.split()[1:] for line in driven.log.read_text().splitlines() if line.startswith("begin")]
        times = Counter(key for key, _ in begun)
        # A trial is given up when it loses its worker twice, so each kill meets one that has not lost any.
        os.kill(next(int(pid) for key, pid in reversed(begun) if times[key] == 1), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    check_complete(driven)
    times = Counter(driven.begun())
    assert max(times.values()) <= 2
    assert sum(n == 2 for n in times.values()) <= 3
