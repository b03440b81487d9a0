"""A study in PostgreSQL that two drivers fill: a real server on loopback, skipped where there is none."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import RandomSampler
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from nas.evaluation import Fidelity, Outcome
from nas.pool.executor import Finished, Reported
from nas.search import SearchPlan
from nas.study.ledger import Ledger
from nas.study.shared import DatabaseLostError, SharedStudy, open_shared_study
from nas.study.store import read_study
from nas.study.trials import SearchTrials
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec
from tests.helpers.command import Run
from tests.helpers.search_driver import FIGURES

pytest.importorskip("psycopg", reason="psycopg is not installed")
ROOT = Path(__file__).parents[3]
DRIVER = Path(__file__).parents[2] / "helpers" / "shared_driver.py"
TRIALS = 24


def server_programs() -> Path:
    found = [Path("/usr/local/bin"), *sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    for folder in reversed(found):
        if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
            return folder
    pytest.skip("PostgreSQL's server is not installed", allow_module_level=True)


PROGRAMS = server_programs()


def as_somebody(command: list[str]) -> list[str]:
    """The server refuses to run as root."""
    if os.geteuid() != 0:
        return command
    if shutil.which("runuser") is None or "postgres" not in {user.pw_name for user in pwd.getpwall()}:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run it as")
    return ["runuser", "-u", "postgres", "--", *command]


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a fresh server on loopback."""
    folder = Path(tempfile.mkdtemp(prefix="pg"))
    folder.chmod(0o777)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = folder / "data", folder / "log"
    settings = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off"

    def run(*command: str | Path) -> None:
        subprocess.run(as_somebody([str(part) for part in command]), check=True, capture_output=True, cwd=folder)

    run(PROGRAMS / "initdb", "-D", data, "-U", "scalenas", "-A", "trust", "-E", "UTF8", "--no-sync")
    try:
        # pg_ctl's child keeps the pipes open, so its output must go elsewhere.
        start = [PROGRAMS / "pg_ctl", "-D", data, "-o", settings, "-l", log, "-w", "start"]
        subprocess.run(
            as_somebody([str(part) for part in start]), check=True, cwd=folder,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield f"postgresql://scalenas@127.0.0.1:{port}/postgres"
        finally:
            run(PROGRAMS / "pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(
    folder: Path, url: str, trials: int = TRIALS, delay: float = 0.03, dead_after: float = 90
) -> subprocess.Popen[str]:
    asked = (DRIVER, folder, url, trials, delay, dead_after)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *map(str, asked)], env=environment, stderr=subprocess.PIPE, text=True)


def trials_of(url: str, name: str) -> list[FrozenTrial]:
    storage = RDBStorage(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        return optuna.load_study(study_name=name, storage=storage).trials
    finally:
        storage.engine.dispose()


@pytest.mark.slow
def test_two_drivers_fill_one_study_without_a_duplicate(server: str, tmp_path: Path) -> None:
    drivers = [start(tmp_path / name, server) for name in ("one", "two")]
    for driver in drivers:
        _, errors = driver.communicate(timeout=300)
        assert driver.returncode == 0, errors
    trials = trials_of(server, tmp_path.name)
    assert [trial.number for trial in trials] == list(range(TRIALS))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trial.user_attrs["driver"] for trial in trials} == {"one", "two"}
    lines = (tmp_path / "trainings.log").read_text().splitlines()
    begun = Counter(line.split()[1] for line in lines if line.startswith("begin"))
    assert set(begun.values()) == {1}
    assert begun.keys() == {trial.user_attrs["request_key"] for trial in trials}

    # One is killed and started again: it takes up what it left, and nothing that is finished is trained again.
    more = TRIALS + 12
    killed = start(tmp_path / "one", server, more, delay=0.3)
    end = time.monotonic() + 60
    while len(trials_of(server, tmp_path.name)) < TRIALS + 3 and time.monotonic() < end:
        time.sleep(0.1)
    killed.kill()
    killed.communicate()
    left = [trial.number for trial in trials_of(server, tmp_path.name) if trial.state == TrialState.RUNNING]
    assert left
    again = start(tmp_path / "one", server, more)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    trials = trials_of(server, tmp_path.name)
    assert [trial.number for trial in trials] == list(range(more))
    assert {trial.state for trial in trials} == {TrialState.COMPLETE}
    assert {trials[number].user_attrs["driver"] for number in left} == {"one"}


class OneNetwork:
    """A space whose every trial asks for the same network."""

    name = "one"

    def distributions(self) -> dict[str, BaseDistribution]:
        return {"n": CategoricalDistribution((0, 1))}

    def decode(self, params: Mapping[str, Any]) -> ArchSpec:  # noqa: ARG002
        return ArchSpec((StageSpec(channels=8),), StemSpec(8), HeadSpec(8), resolution=8)


class Meanwhile(RandomSampler):
    """Lets something happen while it is asked."""

    happens: Callable[[], None] = staticmethod(lambda: None)

    def sample_independent(self, *_: Any) -> int:
        self.happens()
        return 0


def search_in(shared: SharedStudy) -> SearchTrials:
    plan = SearchPlan(OneNetwork(), lambda accuracy, _: accuracy, Fidelity(1), 4, FIGURES)
    return SearchTrials(plan, Ledger(shared.study, plan.trials, lambda _: None), shared)


@pytest.mark.parametrize("name", ["running", "finished"])
def test_what_another_driver_took_over_is_let_go(server: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        open_shared_study(server, f"taken {name}", "a", RandomSampler()) as first,
        open_shared_study(server, f"taken {name}", "b", RandomSampler()) as second,
    ):
        mine, others = search_in(first), search_in(second)
        jobs = mine.jobs()
        job = next(jobs)
        assert isinstance(job, tuple)
        assert next(jobs) is None  # a second trial waits for the first, which asks the same
        with monkeypatch.context() as silent:
            silent.setattr("nas.study.shared.DEAD_AFTER", -1.0)
            assert next(others.jobs()) == job
        done = Finished(0, Outcome(accuracy=0.5, seconds=1.0))
        monkeypatch.setattr("nas.study.ledger.REPORTS_WAIT", 0.0)  # silent for long, it has not written either
        if name == "running":
            assert 0 in mine.handle(Reported(0, 1, 0.25))
            assert not mine.handle(done)
            assert first.study.trials[0].intermediate_values == {}
            assert "accuracy" not in first.study.trials[0].user_attrs
        assert not others.handle(done)
        assert mine.handle(Finished(0, Outcome(accuracy=0.25))) == ({0} if name == "finished" else set())
        assert first.study.trials[0].value == 0.5
        # The driver goes on: the trial that waited takes the other's answer, and a third is asked.
        assert next(mine.jobs()) is None
        assert [trial.value for trial in first.study.trials] == [0.5] * 3
        assert first.study.trials[1].user_attrs["duplicate_of"] == 0


@pytest.mark.slow
def test_a_driver_that_was_stopped_for_long_goes_on_with_others(server: str, tmp_path: Path) -> None:
    trials, log = 8, tmp_path / "trainings.log"
    stopped = start(tmp_path / "three", server, trials, delay=0.5, dead_after=3)
    while not log.exists() or log.read_text().count("begin") < 2:
        assert stopped.poll() is None
        time.sleep(0.02)
    stopped.send_signal(signal.SIGSTOP)
    other = start(tmp_path / "four", server, trials, dead_after=3)
    _, errors = other.communicate(timeout=120)
    assert other.returncode == 0, errors
    stopped.send_signal(signal.SIGCONT)
    _, errors = stopped.communicate(timeout=120)
    assert stopped.returncode == 0, errors
    found = trials_of(server, tmp_path.name)
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * trials
    assert {trial.user_attrs["driver"] for trial in found[:2]} == {"four"}


def cut_connections(url: str) -> None:
    """As a restart of the server does."""
    engine = sqlalchemy.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname <> ''"
        connection.execute(sqlalchemy.text(cut))
    engine.dispose()


def test_a_restart_of_the_server_between_two_turns_costs_nothing(server: str) -> None:
    with open_shared_study(server, "restarted", "a", RandomSampler()) as shared:
        search = search_in(shared)
        job = next(search.jobs())
        assert isinstance(job, tuple)
        cut_connections(server)
        assert not search.handle(Finished(job[0], Outcome(accuracy=0.5)))
        cut_connections(server)
        assert next(search.jobs()) is None
        assert [trial.value for trial in shared.study.trials] == [0.5, 0.5]


@pytest.mark.parametrize("cause", [None, sqlalchemy.exc.OperationalError("SELECT 1", {}, Exception("a query's own"))])
def test_a_database_that_is_lost_within_a_turn_is_told_in_one_line(server: str, cause: Exception | None) -> None:
    def lose() -> None:
        with open_shared_study(server, "lost", "a", RandomSampler()) as shared, shared.turn():
            cut_connections(server)
            if cause is not None:
                raise cause

    end = ": lost the database: (.+); when it is there again, go on with the same command"
    with pytest.raises(DatabaseLostError) as told:
        lose()
    found = re.fullmatch("`storage` " + re.escape(server) + end, str(told.value))
    assert found is not None
    assert (found[1] == "a query's own") == (cause is not None)  # not hidden by what the end of the turn meets


def test_the_command_ends_with_one_line_when_the_database_is_lost(
    scalenas: Run, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(*asked: Any, **_: Any) -> None:
        shared: SharedStudy = asked[3]
        with shared.turn():
            cut_connections(server)

    monkeypatch.setattr("experiments.steps.discover.discover", lose)
    status, _, errors = scalenas(
        "discover", "digits", "--run", tmp_path / "r", "--executor", "inline", "--target-macs", "1M", "--trials", 3,
        "--train-images", 64, "--evaluator", "tests.helpers.evaluators:formula_for",
        "--storage", server.replace("scalenas@", "scalenas:secret@"),
    )  # fmt: skip
    assert status == 1
    assert "Traceback" not in errors
    assert "secret" not in errors
    assert errors.splitlines()[-1].startswith("scalenas: stopped, with all that is finished saved: --storage postgres")


def test_what_another_driver_finishes_while_this_one_asks_is_not_trained_again(server: str) -> None:
    sampler = Meanwhile()
    with (
        open_shared_study(server, "race", "a", RandomSampler()) as first,
        open_shared_study(server, "race", "b", sampler) as second,
    ):
        mine, others = search_in(first), search_in(second)
        job = next(mine.jobs())
        assert isinstance(job, tuple)
        done = Finished(job[0], Outcome(accuracy=0.5, seconds=1.0))
        storing = threading.Thread(target=mine.handle, args=(done,))  # waits for the end of the other's turn
        sampler.happens = lambda: None if storing.ident else storing.start()
        jobs = others.jobs()
        assert next(jobs) is None
        storing.join(60)
        assert next(jobs) is None
        assert [trial.state for trial in first.study.trials[:2]] == [TrialState.COMPLETE] * 2
        assert [trial.user_attrs.get("duplicate_of") for trial in first.study.trials[:2]] == [None, 0]


def test_the_command_shares_a_search_and_keeps_a_copy_in_each_run_folder(
    scalenas: Run, server: str, tmp_path: Path
) -> None:
    asked = ("--executor", "inline", "--devices", "cpu", "--sampler", "random", "--target-macs", "1M", "--trials", 3,
             "--epochs", 1, "--train-images", 64, "--confirm", 0, "--evaluator", "tests.helpers.evaluators:formula_for",
             "--storage", server.replace("scalenas@", "scalenas:secret@"))  # fmt: skip
    for name in ("one", "two"):
        status, _, errors = scalenas("discover", "digits", "--run", tmp_path / name, *asked)
        assert status == 0, errors
        assert "secret" not in errors
        assert "secret" not in (tmp_path / name / "run.json").read_text()
    one, two = (read_study(tmp_path / name / "discover.journal", "discover").trials for name in ("one", "two"))
    assert len(one) == 3
    assert [(t.params, t.values, t.user_attrs) for t in one] == [(t.params, t.values, t.user_attrs) for t in two]
    assert {trial.user_attrs["driver"].rpartition("/")[2] for trial in two} == {"one"}
    assert (tmp_path / "one" / "baseline.json").read_text() == (tmp_path / "two" / "baseline.json").read_text()


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nonsense", "`storage` must be an address such as postgresql://user@host/database.+"),
        ("sqlite:///x.db", "`storage` must be an address such as postgresql://user@host/database.+"),
        ("postgresql://me:secret@127.0.0.1:1/x", r"`storage` postgresql://me:\*\*\*@127.0.0.1:1/x: cannot be used: .+"),
    ],
)
def test_an_address_that_is_none_is_told_in_one_line(url: str, text: str) -> None:
    with (
        pytest.raises(ValueError, match="^" + text + "$"),
        open_shared_study(url, "s", "d", optuna.samplers.RandomSampler()),
    ):
        pass


def test_tables_of_another_optuna_are_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("no longer compatible with the table schema\nand more")

    monkeypatch.setattr("nas.study.shared.RDBStorage", refuse)
    monkeypatch.setattr("nas.study.shared.database_turn", lambda *_: contextlib.nullcontext())
    url = "postgresql://me@127.0.0.1:1/x"
    with (
        pytest.raises(ValueError, match=r"^`storage` .+: cannot be used: no longer compatible with the table schema$"),
        open_shared_study(url, "s", "d", optuna.samplers.RandomSampler()),
    ):
        pass
