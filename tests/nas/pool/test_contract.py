"""What every executor must do, and what the worker processes of the local one must withstand."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nas.evaluation import Evaluator, Failure, Outcome, Probe, Timing
from nas.pool import local
from nas.pool.executor import Event, Finished, ProbingExecutor, Reported, WorkersError, evaluate_safely
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.messages import UnpicklableError
from nas.pool.slots import Slot
from tests.helpers.evaluators import (
    Crowds,
    Dies,
    Fails,
    Formula,
    Hangs,
    Keeps,
    LosesDevice,
    NeedsMemory,
    Prepared,
    Raises,
    Returns,
    TellsKillOrder,
    Timed,
    Unloadable,
    formula,
    request,
)

Make = Callable[..., ProbingExecutor]


def drain(executor: ProbingExecutor, tickets: int = 1) -> list[Event]:
    """All events until `tickets` trials have finished."""
    events: list[Event] = []
    while sum(isinstance(event, Finished) for event in events) < tickets:
        news = executor.wait(60)
        assert news, "nothing comes any more, though a trial has not finished"
        events += news
    return events


def outcome_of(executor: ProbingExecutor) -> Outcome:
    (finished,) = (event for event in drain(executor) if isinstance(event, Finished))
    return finished.outcome


def start_cluster(cluster_class: Any) -> Any | None:
    """Two nodes; None where they do not start in time. Ray gives each 30 s, which a busy machine may not keep."""
    nodes = {"num_cpus": 1, "object_store_memory": 80_000_000}
    for _ in range(3):
        found = cluster_class()
        try:
            found.add_node(**nodes, include_dashboard=False)
            found.second = found.add_node(**nodes)
        except Exception:
            found.shutdown()
        else:
            return found
    return None


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster of two nodes with one core each, all of them processes of this machine."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  Ray's own spelling; else its workers starve beside others
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    found = start_cluster(Cluster)
    if found is None:
        pytest.skip("the nodes of Ray's cluster did not start within Ray's 30 s, three times")
    environment = {"env_vars": {"PYTHONPATH": str(Path(__file__).parents[3])}}
    ray.init(address=found.address, log_to_driver=False, logging_level="ERROR", runtime_env=environment)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture(params=["inline", "local", "ray"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    if request.param == "ray":
        request.getfixturevalue("cluster")
    with contextlib.ExitStack() as stack:

        def make_executor(evaluator: Evaluator, slots: int = 1, **options: Any) -> ProbingExecutor:
            executor: ProbingExecutor
            if request.param == "inline":
                if slots > 1:
                    pytest.skip("the inline executor has one slot")
                executor = InlineExecutor(evaluator, **options)
            elif request.param == "local":
                executor = LocalExecutor(evaluator, [Slot()] * slots, **options)
            else:
                from nas.pool.cluster import RayExecutor  # noqa: PLC0415  needs an optional package

                executor = RayExecutor(evaluator, [Slot()] * slots, **options)
            stack.callback(executor.close)
            return executor

        yield make_executor


# --- The contract ------------------------------------------------------------------------------------------------


def test_reports_come_before_the_outcome_and_slots_are_counted(make: Make) -> None:
    executor = make(Formula())
    accuracy = formula(request())
    assert executor.free_slots == 1
    for ticket in (7, 3):
        executor.submit(ticket, request())
        assert executor.free_slots == 0
        with pytest.raises(RuntimeError, match="no free slot"):
            executor.submit(99, request())
        *reports, finished = drain(executor)
        assert reports == [Reported(ticket, epoch, accuracy * epoch / 3) for epoch in (1, 2, 3)]
        assert isinstance(finished, Finished)
        assert finished.ticket == ticket
        assert finished.outcome.accuracy == accuracy
        assert finished.outcome.curve == tuple(accuracy * epoch / 3 for epoch in (1, 2, 3))
        assert finished.outcome.metrics == {"epochs": 3.0, "threads": 1.0}
        assert finished.outcome.device == "cpu"
        assert finished.outcome.seconds > 0
        assert executor.free_slots == 1


def test_nothing_running_waits_for_nothing(make: Make) -> None:
    assert make(Formula()).wait() == []


def test_waiting_no_time_ends_no_trial(make: Make) -> None:
    executor = make(Formula(delay=0.2))
    executor.submit(0, request())
    assert executor.wait(0) == []
    assert executor.free_slots == 0
    assert outcome_of(executor).accuracy == formula(request())


def test_waiting_no_time_tells_what_has_arrived(make: Make) -> None:
    executor = make(Formula())
    if isinstance(executor, InlineExecutor):
        pytest.skip("trains while it is waited for")
    executor.submit(0, request())
    events: list[Event] = []
    end = time.monotonic() + 60
    while not events and time.monotonic() < end:
        time.sleep(0.05)
        events = executor.wait(0)
    assert events


def test_an_exception_is_a_crash_and_the_executor_goes_on(make: Make) -> None:
    executor = make(Raises(KeyError("no\nsuch thing")))
    for ticket in range(2):
        executor.submit(ticket, request())
        outcome = outcome_of(executor)
        assert outcome.failure == Failure("crashed", r"KeyError: 'no\nsuch thing'")
        assert outcome.curve == (0.25,)


def test_a_stopped_trial_returns_after_its_epoch(make: Make) -> None:
    executor = make(Formula(delay=0.05))
    executor.submit(0, request(epochs=1000))
    executor.stop(0)
    executor.stop(5)  # not a running ticket: nothing happens
    outcome = outcome_of(executor)
    assert outcome.accuracy is not None
    assert outcome.metrics["epochs"] == len(outcome.curve) <= 3
    executor.submit(1, request(epochs=3))
    assert len(outcome_of(executor).curve) == 3  # the next trial is not stopped


def test_a_judge_ends_a_trial_after_the_very_epoch(make: Make) -> None:
    asked: list[Reported] = []

    def judge(report: Reported) -> bool:
        asked.append(report)
        return report.epoch < 3

    executor = make(Formula())
    for ticket, given in enumerate((judge, None, judge)):
        executor.submit(ticket, request(epochs=9), given)
        events = drain(executor)
        finished = events.pop()
        assert isinstance(finished, Finished)
        curve = finished.outcome.curve
        assert len(curve) == finished.outcome.metrics["epochs"] == (9 if given is None else 3)
        assert events == [Reported(ticket, epoch, accuracy) for epoch, accuracy in enumerate(curve, 1)]
    assert [(report.ticket, report.epoch) for report in asked] == [(t, e) for t in (0, 2) for e in (1, 2, 3)]


def test_a_cancelled_trial_is_silent_and_frees_its_slot(make: Make) -> None:
    executor = make(Hangs())
    executor.submit(0, request(8))
    executor.cancel(0)
    executor.cancel(5)
    assert executor.free_slots == 1
    executor.submit(1, request(16))
    assert {event.ticket for event in drain(executor)} == {1}


def test_a_hanging_trial_is_a_timeout_and_the_executor_goes_on(make: Make) -> None:
    executor = make(Hangs(), time_limit=1.5)
    executor.submit(0, request(8))
    outcome = outcome_of(executor)
    assert outcome.failure is not None
    assert outcome.failure.kind == "timeout"
    assert outcome.failure.message.startswith("no result within 1.5 s")
    assert outcome.curve == (0.5,)
    assert outcome.seconds >= 1.5
    executor.submit(1, request(16))
    assert outcome_of(executor).accuracy == formula(request(16))


def test_a_time_limit_may_depend_on_the_request(make: Make) -> None:
    executor = make(Hangs(), time_limit=lambda asked: 0.5 if asked.arch.stages[0].channels == 8 else None)
    executor.submit(0, request(8))
    failure = outcome_of(executor).failure
    assert failure is not None
    assert failure.message.startswith("no result within 0.5 s")
    executor.submit(1, request(16))
    assert outcome_of(executor).accuracy == formula(request(16))


def test_what_does_not_fit_into_memory_is_tried_with_batches_in_parts(make: Make, tmp_path: Path) -> None:
    log = str(tmp_path / "log")
    executor = make(NeedsMemory(parts=4, log=log))
    executor.submit(0, request())
    outcome = outcome_of(executor)
    assert outcome.accuracy == formula(request())
    assert (tmp_path / "log").read_text().split() == ["1", "2", "4"]


def test_what_fits_in_no_way_is_out_of_memory(make: Make) -> None:
    executor = make(NeedsMemory(parts=8))
    executor.submit(0, request())
    text = "OutOfMemoryError: needs more (the last of several tries: each batch in 4 parts)"
    assert outcome_of(executor).failure == Failure("oom", text)
    assert executor.free_slots == 1


def test_a_memory_error_is_out_of_memory_and_the_executor_goes_on(make: Make) -> None:
    executor = make(Raises(MemoryError("no room")))
    for ticket in range(2):
        executor.submit(ticket, request())
        text = "MemoryError: no room (the last of several tries: each batch in 4 parts)"
        assert outcome_of(executor).failure == Failure("oom", text)


def test_before_batches_are_in_parts_what_is_kept_is_released(make: Make, tmp_path: Path) -> None:
    (tmp_path / "other.kept").touch()
    executor = make(Keeps(str(tmp_path)))
    (tmp_path / "log").touch()
    executor.submit(0, request(16))
    failure = outcome_of(executor).failure
    assert failure is not None
    assert failure.kind == "oom"
    assert (tmp_path / "log").read_text().split() == ["1", "release", "2", "release", "4"]


def test_trials_run_side_by_side_and_finish_in_their_own_time(make: Make) -> None:
    executor = make(Hangs(), slots=2)
    executor.submit(0, request(8))
    executor.submit(1, request(16))
    finished = [event.ticket for event in drain(executor) if isinstance(event, Finished)]
    assert finished == [1]
    assert executor.free_slots == 1
    assert not any(isinstance(event, Finished) for event in executor.wait(0.2))


# --- Preparing -----------------------------------------------------------------------------------------------------


def lines_of(log: Path) -> list[list[str]]:
    return [line.split() for line in log.read_text().splitlines()] if log.exists() else []


def test_an_evaluator_is_prepared_once_for_the_run_and_once_in_each_worker(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    executor = make(Prepared(str(log)))
    assert lines_of(log)[0] == ["run", str(os.getpid())]
    for ticket in range(3):
        executor.submit(ticket, request())
        outcome = outcome_of(executor)
        assert outcome.accuracy == formula(request())
        assert outcome.metrics == {"prepared": 1.0, "run_prepared": 1.0}  # what the run's left goes along
    worker = lines_of(log)[1][1]
    assert (worker == str(os.getpid())) is isinstance(executor, InlineExecutor)
    assert lines_of(log)[1:] == [["prepare", worker, "cpu"], *[["evaluate", worker]] * 3]


def test_each_of_several_workers_is_prepared(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    executor = make(Prepared(str(log), delay=0.5), slots=2)
    executor.submit(0, request(8))
    executor.submit(1, request(16))
    drain(executor, 2)
    executor.submit(2, request(24))
    executor.submit(3, request(32))
    drain(executor, 2)
    by_worker: dict[str, list[str]] = {}
    for what, process, *_ in lines_of(log)[1:]:
        by_worker.setdefault(process, []).append(what)
    assert len(by_worker) == 2
    for seen in by_worker.values():
        assert seen[0] == "prepare"
        assert seen.count("prepare") == 1


def test_a_worker_that_takes_another_ones_place_is_prepared_again(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    executor = make(Prepared(str(log), delay=60))
    if isinstance(executor, InlineExecutor):
        pytest.skip("its worker is the caller's process")
    executor.submit(0, request())
    while not any(isinstance(event, Reported) for event in executor.wait(60)):
        pass
    executor.cancel(0)  # ends the worker
    executor.submit(1, request())
    while not any(isinstance(event, Reported) for event in executor.wait(60)):
        pass
    assert [line[0] for line in lines_of(log)] == ["run", "prepare", "evaluate", "prepare", "evaluate"]
    first, again = lines_of(log)[1], lines_of(log)[3]
    assert first[1] != again[1]


def test_what_cannot_be_prepared_ends_the_search_in_one_line(make: Make, tmp_path: Path) -> None:
    executor = make(Prepared(str(tmp_path / "log"), fails=KeyError("no\nsuch file")))
    executor.submit(0, request())
    with pytest.raises(WorkersError, match=r"cannot prepare the evaluator: KeyError: 'no\\nsuch file'$"):
        drain(executor)
    with pytest.raises(WorkersError, match=r"^cannot prepare the evaluator: KeyError: 'none'$"):
        make(Prepared(str(tmp_path / "log"), fails=KeyError("none"), fails_in_run=True))


@pytest.mark.parametrize("error", [MemoryError("no room"), RuntimeError("CUDA error: out of order")])
def test_what_a_trial_would_meet_as_well_is_left_to_it(make: Make, tmp_path: Path, error: BaseException) -> None:
    executor = make(Prepared(str(tmp_path / "log"), fails=error))
    executor.submit(0, request())
    outcome = outcome_of(executor)
    assert (outcome.accuracy, outcome.metrics["prepared"]) == (formula(request()), 0.0)


# --- Probes --------------------------------------------------------------------------------------------------------


def test_a_probe_times_every_slot_and_is_no_trial(make: Make, tmp_path: Path) -> None:
    log = tmp_path / "log"
    executor = make(Timed(str(log)))
    for _ in range(2):
        (timing,) = executor.probe(Probe(request(16).arch, 0.01))
        assert isinstance(timing, Timing)
        assert (timing.train_step, timing.images_per_second) == (0.5, 64)
    assert len(executor.probe(Probe(request(16).arch, 0.01), 3)) == 3  # one after another on the one slot
    assert len(lines_of(log)) == 5
    assert executor.free_slots == 1
    assert executor.wait(0) == []
    executor.submit(0, request())
    with pytest.raises(RuntimeError, match="running"):
        executor.probe(Probe(request(16).arch))
    assert outcome_of(executor).accuracy == formula(request())


def test_probes_run_side_by_side(make: Make) -> None:
    executor = make(Timed(), slots=2)
    executor.probe(Probe(request(16).arch), 2)  # all workers are there
    timings = executor.probe(Probe(request(16).arch), 2)
    assert len({timing.macs for timing in timings if isinstance(timing, Timing)}) == 2  # in different processes


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (MemoryError("no room"), Failure("oom", "MemoryError: no room")),
        (KeyError("x"), Failure("crashed", "KeyError: 'x'")),
    ],
)
def test_a_probe_that_fails_says_why(make: Make, error: BaseException, failure: Failure) -> None:
    executor = make(Timed(error=error))
    assert executor.probe(Probe(request(16).arch)) == [failure]
    executor.submit(0, request())
    assert outcome_of(executor).accuracy == formula(request())


def test_a_closed_pool_is_not_probed() -> None:
    executor = LocalExecutor(Timed(), [Slot()])
    executor.close()
    with pytest.raises(RuntimeError, match="closed"):
        executor.probe(Probe(request(16).arch))


def test_a_probe_that_hangs_is_a_timeout(make: Make) -> None:
    executor = make(Timed(), time_limit=1.0)
    (failure,) = executor.probe(Probe(request(8).arch))
    assert isinstance(failure, Failure)
    assert failure.kind == "timeout"
    assert failure.message.startswith("no result within 1 s")


def test_an_evaluator_that_cannot_time_says_so(make: Make) -> None:
    text = "TypeError: Formula has no method `time`"
    assert make(Formula()).probe(Probe(request().arch)) == [Failure("crashed", text)]


# --- The end -------------------------------------------------------------------------------------------------------


def test_close_can_be_called_twice_and_with_a_trial_running(make: Make) -> None:
    executor = make(Hangs())
    executor.submit(0, request(8))
    executor.close()
    executor.close()
    assert executor.wait() == []


# --- Evaluators that break their contract --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "TypeError: the evaluator returned NoneType, not an Outcome"),
        (0.5, "TypeError: the evaluator returned float, not an Outcome"),
        (Outcome(accuracy=93.5), "ValueError: accuracy must be in 0..1, not 93.5"),
        (Outcome(accuracy=-0.1), "ValueError: accuracy must be in 0..1, not -0.1"),
        (Outcome(value=1.5, metric="macro_f1"), "ValueError: macro_f1 must be in 0..1, not 1.5"),
        (Outcome(accuracy=0.5, seconds=float("inf")), "ValueError: seconds must be finite and at least 0, not inf"),
        (
            Outcome(failure=Failure("tired", "")),
            "ValueError: failure kind must be one of oom, timeout, diverged, crashed, not 'tired'",
        ),
        (Outcome(accuracy=0.5, metrics={"loss": "low"}), "ValueError: could not convert string to float: 'low'"),  # type: ignore[dict-item]
    ],
)
def test_what_is_no_outcome_is_a_crash(value: Any, text: str) -> None:
    outcome = evaluate_safely(Returns(value), request(), "cpu", lambda _epoch, _accuracy: True)
    assert outcome.failure == Failure("crashed", text)


@pytest.mark.parametrize("accuracy", [float("nan"), float("inf"), -float("inf"), np.float32("nan")])
def test_an_accuracy_that_is_not_finite_is_diverged(accuracy: float) -> None:
    given = Outcome(accuracy=accuracy, seconds=2.0, curve=(0.5, accuracy))
    outcome = evaluate_safely(Returns(given), request(), "cpu", lambda _e, _a: True)
    assert outcome.accuracy is None
    assert outcome.failure == Failure("diverged", f"the accuracy is {accuracy}")
    assert (outcome.seconds, outcome.curve[0]) == (2.0, 0.5)


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (MemoryError(), Failure("oom", "MemoryError")),
        (SystemExit(3), Failure("crashed", "SystemExit: 3")),
        (RuntimeError("x" * 2000), Failure("crashed", ("RuntimeError: " + "x" * 2000)[:500])),
    ],
)
def test_what_is_raised_names_its_kind(error: BaseException, failure: Failure) -> None:
    assert evaluate_safely(Raises(error), request(), "cpu", lambda _e, _a: True).failure == failure


def test_array_scalars_become_plain_numbers() -> None:
    given = Outcome(accuracy=np.float32(0.5), curve=(np.float64(0.25),), metrics={"loss": np.float32(2)})  # type: ignore[arg-type, dict-item]
    outcome = evaluate_safely(Returns(given), request(), "cpu", lambda _e, _a: True)
    assert [type(number) for number in (outcome.accuracy, *outcome.curve, *outcome.metrics.values())] == [float] * 3


# --- A cluster -----------------------------------------------------------------------------------------------------


def test_a_slot_of_a_cluster_may_be_any_of_its_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from nas.pool.cluster import cluster_card  # noqa: PLC0415  needs an optional package

    found = {"CPU": 8.0, "GPU": 3.0, "accelerator_type:T4": 1.0, "accelerator_type:H100": 2.0}
    monkeypatch.setattr(ray, "cluster_resources", lambda: found)
    assert cluster_card("cuda:0") == "accelerator_type:H100, accelerator_type:T4"
    assert cluster_card("cpu") == "cpu"
    monkeypatch.setattr(ray, "cluster_resources", lambda: {"CPU": 8.0, "GPU": 3.0})
    assert cluster_card("cuda:0") == "cuda:0"


EPOCHS = 24
"""Of half a second each: an actor on a busy machine takes some seconds to begin."""


def test_a_node_of_a_cluster_that_is_killed_costs_no_trial(cluster: Any, tmp_path: Path) -> None:
    from nas.pool.cluster import RayExecutor, cluster_slots  # noqa: PLC0415

    slots = cluster_slots(None, None, None)
    assert slots == (Slot("cpu", 1),) * 2
    log = tmp_path / "log"
    with contextlib.closing(RayExecutor(Formula(0.5, str(log)), slots)) as executor:
        for ticket in range(2):
            executor.submit(ticket, request(8 + 8 * ticket, epochs=EPOCHS))
        early: list[Event] = []
        while (log.read_text() if log.exists() else "").count("begin") < 2:
            early += executor.wait(0.1)
        assert not any(isinstance(event, Finished) for event in early), "the other node's worker began too late"
        cluster.remove_node(cluster.second, allow_graceful=False)
        outcomes = {e.ticket: e.outcome.accuracy for e in drain(executor, 2) if isinstance(e, Finished)}
    assert outcomes == {ticket: formula(request(8 + 8 * ticket, epochs=EPOCHS)) for ticket in range(2)}
    assert log.read_text().count("begin") == 3  # the killed node's was begun again, elsewhere


def test_a_cluster_that_is_not_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed")
    from nas.pool.cluster import ClusterError, connect  # noqa: PLC0415

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    with pytest.raises(ClusterError, match=r"^`address` 127\.0\.0\.1:1: Connection refused; is the head node up\?$"):
        connect("127.0.0.1:1")


def test_a_ray_of_this_machine_alone_listens_on_loopback_alone_whatever_the_environment_names() -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    program = """
import socket
import ray
from nas.pool.cluster import connect
connect(None)
host, _, port = ray.get_runtime_context().gcs_address.rpartition(":")
socket.create_connection((host, int(port)), timeout=10).close()
try:
    socket.create_connection(("127.0.0.2", int(port)), timeout=10)  # only who listens on all interfaces answers here
except ConnectionRefusedError:
    print(host)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=os.environ | {"RAY_ADDRESS": "127.0.0.1:1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("127.0.0.1\n", 0), done.stderr


# --- Worker processes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evaluator", "text"),
    [
        (Dies(), "the worker process was killed by SIGKILL, 2 times in a row"),
        (Dies(exit_code=3), "the worker process exited with code 3, 2 times in a row"),
    ],
)
def test_a_worker_that_dies_twice_is_a_crash(evaluator: Evaluator, text: str) -> None:
    with contextlib.closing(LocalExecutor(evaluator, [Slot()])) as executor:
        executor.submit(0, request())
        outcome = outcome_of(executor)
        assert outcome.failure == Failure("crashed", text)
        assert executor.free_slots == 1


def test_a_worker_that_dies_once_is_replaced_and_its_trial_run_again(tmp_path: Path) -> None:
    marker = tmp_path / "tries"
    with contextlib.closing(LocalExecutor(Dies(marker=str(marker)), [Slot()])) as executor:
        executor.submit(0, request())
        outcome = outcome_of(executor)
    assert outcome.accuracy == formula(request())
    assert outcome.curve == (0.5,)
    assert marker.read_text() == "try\n" * 2


def test_a_hang_is_tried_again_in_a_new_worker() -> None:
    with contextlib.closing(LocalExecutor(Hangs(), [Slot()], time_limit=0.3, retries=2)) as executor:
        executor.submit(0, request(8))
        assert outcome_of(executor).failure == Failure("timeout", "no result within 0.3 s, 3 times in a row")


def test_what_runs_out_of_memory_beside_others_is_tried_again_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with contextlib.closing(LocalExecutor(Crowds(str(log)), [Slot()] * 3)) as executor:
        for ticket in range(3):
            executor.submit(ticket, request(8 + 8 * ticket))
        outcomes = {event.ticket: event.outcome for event in drain(executor, 3) if isinstance(event, Finished)}
        assert executor.free_slots == 3
    assert {ticket: outcome.accuracy for ticket, outcome in outcomes.items()} == {
        ticket: formula(request(8 + 8 * ticket)) for ticket in range(3)
    }
    assert set(log.read_text().split()) == {"1"}  # nobody's batches were split


def test_alone_on_a_device_no_idle_worker_keeps_memory_there(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with contextlib.closing(LocalExecutor(Keeps(str(tmp_path)), [Slot()] * 2)) as executor:
        executor.submit(0, request(8))
        executor.submit(1, request(24))
        drain(executor, 2)
        assert len(list(tmp_path.glob("*.kept"))) == 2
        executor.submit(2, request(16))
        assert outcome_of(executor).accuracy == formula(request(16))
        assert log.read_text().split() == ["1", "release", "release", "1"]  # and no batch was split
        assert executor.free_slots == 2


def test_an_idle_slot_waits_while_another_trial_needs_the_device_alone() -> None:
    with contextlib.closing(LocalExecutor(NeedsMemory(parts=2, delay=0.3), [Slot(), Slot("other")])) as executor:
        executor.submit(0, request(8))
        executor.submit(1, request(16))
        drain(executor, 2)
        assert executor.free_slots == 2


def test_a_trial_whose_device_is_lost_is_tried_on_another() -> None:
    slots = [Slot("bad"), Slot("good")]
    end = time.monotonic() + 300
    with contextlib.closing(LocalExecutor(LosesDevice("bad"), slots)) as executor:
        for ticket in itertools.count():
            if executor.free_slots == 1:
                break  # the bad one is given up
            executor.submit(ticket, request())
            (finished,) = (event for event in drain(executor) if isinstance(event, Finished))
            assert finished.outcome.accuracy == formula(request())
            assert finished.outcome.device == "good"
            assert time.monotonic() < end
            time.sleep(0.05)


def test_the_last_device_is_never_given_up() -> None:
    with contextlib.closing(LocalExecutor(LosesDevice("bad"), [Slot("bad")])) as executor:
        for ticket in range(4):
            executor.submit(ticket, request())
            text = "RuntimeError: CUDA error: unspecified launch failure, 2 times in a row"
            assert outcome_of(executor).failure == Failure("crashed", text)
            assert executor.free_slots == 1


def test_threads_of_a_slot_reach_the_worker() -> None:
    with contextlib.closing(LocalExecutor(Formula(), [Slot(threads=3)])) as executor:
        executor.submit(0, request())
        assert outcome_of(executor).metrics["threads"] == 3


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has this order")
def test_where_memory_runs_out_workers_are_killed_before_their_driver() -> None:
    with contextlib.closing(LocalExecutor(TellsKillOrder(), [Slot()])) as executor:
        executor.submit(0, request())
        assert outcome_of(executor).metrics["order"] == 1000


def test_close_leaves_no_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pids"
    executor = LocalExecutor(Hangs(str(pid_file)), [Slot()])
    executor.submit(0, request(8))
    executor.wait(60)
    pid = int(pid_file.read_text())
    os.kill(pid, 0)
    executor.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_killed_worker_that_does_not_die_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As one that waits in the driver of a GPU, which no signal ends."""
    pid_file = tmp_path / "pids"
    with monkeypatch.context() as deaf:
        deaf.setattr(local, "DEATH_LIMIT", 0.3)
        deaf.setattr(os, "killpg", lambda *_: None)
        deaf.setattr(SpawnProcess, "kill", lambda _: None)
        executor = LocalExecutor(Hangs(str(pid_file)), [Slot()], time_limit=0.5, retries=0)
        executor.submit(0, request(8))
        failure = outcome_of(executor).failure
        assert failure is not None
        assert failure.kind == "timeout"
        executor.submit(1, request(16))
        assert outcome_of(executor).accuracy == formula(request(16))
        begin = time.monotonic()
        executor.close()
        assert time.monotonic() - begin < 10
    pids = [int(pid) for pid in pid_file.read_text().split()]
    assert [record.getMessage() for record in caplog.records] == [
        f"worker cpu, process {pid}, does not end: left behind" for pid in pids
    ]
    for pid in pids:
        os.kill(pid, 0)  # it is there still
        assert pid not in [process.pid for process in multiprocessing.active_children()]  # which are joined at the end
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def test_an_idle_worker_that_is_killed_costs_no_trial(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with contextlib.closing(LocalExecutor(Formula(log=str(log)), [Slot()])) as executor:
        executor.submit(0, request())
        drain(executor)
        pid = int(log.read_text().split()[-1])
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
        executor.submit(1, request())
        assert outcome_of(executor).accuracy == formula(request())


def test_an_evaluator_that_cannot_be_loaded_raises() -> None:
    with contextlib.closing(LocalExecutor(Unloadable(), [Slot()])) as executor:
        executor.submit(0, request())
        with pytest.raises(RuntimeError, match="cannot load the evaluator: ValueError: invalid literal"):
            drain(executor)


def test_an_evaluator_that_cannot_be_pickled_raises() -> None:
    with pytest.raises(UnpicklableError, match="cannot be pickled"):
        LocalExecutor(Returns(lambda: None), [Slot()])


def test_no_slots_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one slot"):
        LocalExecutor(Fails("oom"), [])
