"""The journal: a kill is mended, outcomes come back whole, values follow the score, one driver at a time."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState, create_trial

from nas.evaluation import FAILURE_KINDS, Failure, Outcome
from nas.score import Score
from nas.study.attributes import outcome_attrs, request_attrs, stored_outcome, stored_request
from nas.study.store import JournalError, copy_study, driver_lives, open_study, read_study, rescore, run_lock
from tests.helpers.evaluators import request


def filled(path: Path) -> list[bytes]:
    """A journal with two finished trials and one running; its lines."""
    study = open_study(path, "discover", ["maximize"], optuna.samplers.RandomSampler(seed=0))
    for _ in range(3):
        study.ask({"x": FloatDistribution(0, 1)})
    for number in range(2):
        study.tell(number, float(number))
    return path.read_bytes().splitlines(keepends=True)


def states(path: Path) -> list[TrialState]:
    return [trial.state for trial in read_study(path, "discover").trials]


def told_by(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "nas.study.store"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "discover.journal"


# --- Mending -----------------------------------------------------------------------------------------------------


def test_a_journal_cut_anywhere_opens_and_can_be_written(path: Path) -> None:
    lines = filled(path)
    whole = b"".join(lines)
    for cut in range(len(whole) - len(lines[-1]) - len(lines[-2]), len(whole) + 1):
        path.write_bytes(whole[:cut])
        study = open_study(path, "discover", ["maximize"], optuna.samplers.RandomSampler(seed=0))
        # A record is kept when all of it but its line end is there.
        kept = sum(cut >= end - 1 for end in (len(whole), len(whole) - len(lines[-1])))
        finished = [TrialState.COMPLETE] * kept + [TrialState.RUNNING] * (3 - kept)
        assert [trial.state for trial in study.trials] == finished
        study.tell(2, 0.5)
        assert states(path) == [*finished[:2], TrialState.COMPLETE]


@pytest.mark.parametrize(
    "tail", [b"\0" * 4096, b"\0\0\0\n", b"garbage\n\0\n{", b'["no record"]\n', b"\n\n", b"\xff\xfe\n"]
)
def test_garbage_after_the_last_record_is_dropped_and_told(
    path: Path, tail: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    whole = b"".join(filled(path))
    path.write_bytes(whole + tail)
    open_study(path, "discover")
    told = f"{path}: dropped its last {len(tail)} bytes, which a kill left half written"
    assert told_by(caplog) == [told]
    assert path.read_bytes().startswith(whole)
    assert tail not in path.read_bytes()
    assert states(path) == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]


@pytest.mark.parametrize("dropped", [0, 1])
def test_what_loses_nothing_is_not_told(path: Path, dropped: int, caplog: pytest.LogCaptureFixture) -> None:
    whole = b"".join(filled(path))
    path.write_bytes(whole[: len(whole) - dropped])  # without its line end a record is still whole
    open_study(path, "discover")
    assert path.read_bytes() == whole
    assert told_by(caplog) == []


def test_an_empty_journal_starts_anew(path: Path) -> None:
    path.touch()
    assert states(path) == []
    assert path.read_bytes() == b""
    assert open_study(path, "discover").trials == []
    assert states(path) == []


def test_a_journal_cut_in_its_first_record_starts_anew(path: Path) -> None:
    first = filled(path)[0]
    for cut in range(len(first)):
        path.write_bytes(first[:cut])
        assert states(path) == []
        assert path.read_bytes() == first[:cut]
        assert open_study(path, "discover").trials == []
        assert states(path) == []


@pytest.mark.parametrize("content", [b"\0" * 100, b"{no", b"some\ntext\n", b"{}\n", b"[" * 100_000])
def test_a_journal_without_one_whole_record_is_refused_and_kept(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(JournalError, match=r"damaged journal: not one record is whole; .* delete it to begin"):
        open_study(path, "discover")
    assert path.read_bytes() == content


@pytest.mark.parametrize("line", [b"{broken", b"{}", b"12", b"[1]", b"", b"[" * 100_000])
@pytest.mark.parametrize("tail", [b"", b'{"cut'])
def test_damage_in_the_middle_is_an_error_and_changes_nothing(path: Path, line: bytes, tail: bytes) -> None:
    lines = filled(path)
    broken = b"".join([*lines[:2], line, b"\n", *lines[2:], tail])
    path.write_bytes(broken)
    for function in (open_study, read_study):
        with pytest.raises(JournalError, match=r"discover\.journal: damaged journal: line 3: "):
            function(path, "discover")
        assert path.read_bytes() == broken


def test_a_journal_without_its_first_line_is_refused_and_kept(path: Path) -> None:
    rest = b"".join(filled(path)[1:])
    path.write_bytes(rest)
    with pytest.raises(JournalError, match="damaged journal: line 1: not the begin of a study"):
        open_study(path, "discover")
    assert path.read_bytes() == rest


def test_the_lock_of_a_killed_writer_does_not_hold_up_the_next(path: Path) -> None:
    filled(path)
    lock = path.with_name(f"{path.name}.lock")
    lock.symlink_to(path)
    study = open_study(path, "discover")
    assert not lock.is_symlink()  # else Optuna waits for it, and takes it for dead after half a minute only
    study.tell(2, 0.5)
    assert states(path) == [TrialState.COMPLETE] * 3


def spoilt(path: Path, text: bytes, *, told: str) -> None:
    """Both ways to open the journal say what is wrong, and change nothing."""
    path.write_bytes(text)
    for function in (open_study, read_study):
        with pytest.raises(JournalError, match=told) as error:
            function(path, "discover")
        assert "\n" not in str(error.value)
        assert path.read_bytes() == text


def test_lines_that_are_lost_doubled_or_out_of_place_are_noticed(path: Path) -> None:
    lines = filled(path)
    for i in range(1, len(lines) - 1):
        spoilt(path, b"".join(lines[:i] + lines[i + 1 :]), told=rf"line {i + 1} was written as line {i + 2}: .+missing")
        spoilt(path, b"".join(lines[:i] + lines[i - 1 :]), told=rf"line {i + 1} was written as line {i}: ")
        swapped = [*lines[:i], lines[i + 1], lines[i], *lines[i + 2 :]]
        spoilt(path, b"".join(swapped), told=rf"line {i + 1} was written as line {i + 2}")


def test_lines_lost_before_what_was_written_later_are_noticed_in_an_older_journal(path: Path) -> None:
    older = [re.sub(rb',"line":\d+', b"", line) for line in filled(path)]
    path.write_bytes(b"".join(older))
    assert states(path) == [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.RUNNING]
    open_study(path, "discover").tell(2, 1.0)
    lines = path.read_bytes().splitlines(keepends=True)
    assert lines[: len(older)] == older
    spoilt(path, b"".join(lines[:2] + lines[3:]), told="was written as line")


@pytest.mark.parametrize("operation", [b"99", b"-1", b"null", b"[]", b'"0"', b"1.5", b"true"])
def test_an_operation_of_a_newer_optuna_is_told_and_kept(path: Path, operation: bytes) -> None:
    lines = filled(path)
    unknown = b'{"op_code":' + operation + b',"worker_id":"x"}\n'
    for place in (1, len(lines)):
        spoilt(path, b"".join([*lines[:place], unknown, *lines[place:]]), told=rf"line {place + 1}: unknown operation")


@pytest.mark.parametrize("record", [b'{"op_code":4}', b'{"op_code":6,"worker_id":"x","trial_id":2,"state":"x"}'])
def test_a_record_that_lacks_what_optuna_reads_is_told(path: Path, record: bytes) -> None:
    lines = filled(path)
    spoilt(path, b"".join([*lines[:3], record + b"\n", *lines[3:]]), told="damaged journal: (a record|line 5)")
    spoilt(path, b"".join([*lines, record + b"\n"]), told="damaged journal: (a record lacks|'x' is not)")


@pytest.mark.parametrize("name", ["arch_id", "arch", "macs", "seed", "fidelity", "request_key", "accuracy"])
def test_a_trial_that_lacks_a_part_is_told(path: Path, name: str) -> None:
    study = open_study(path, "discover")
    attrs = request_attrs(request(), {"macs": 10, "params": 2}) | outcome_attrs(Outcome(accuracy=0.5))
    study.add_trial(create_trial(value=1.0, user_attrs=attrs))
    assert read_study(path, "discover").trials[0].user_attrs.keys() == attrs.keys()
    study.add_trial(create_trial(value=1.0, user_attrs={key: value for key, value in attrs.items() if key != name}))
    for function in (open_study, read_study):
        with pytest.raises(JournalError, match=f"damaged journal: trial 1 lacks {name}; a copy from before"):
            function(path, "discover")


def test_reading_does_not_write(path: Path) -> None:
    whole = b"".join(filled(path)) + b'{"half'
    path.write_bytes(whole)
    assert len(read_study(path, "discover").trials) == 3
    assert path.read_bytes() == whole


def test_reading_what_is_not_there(tmp_path: Path, path: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        read_study(tmp_path / "none", "discover")
    filled(path)
    with pytest.raises(ValueError, match="holds no study 'scale'"):
        read_study(path, "scale")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(ValueError, match="cannot be written"):
        open_study(tmp_path / "discover.journal", "discover")
    with pytest.raises(ValueError, match="cannot be written"), run_lock(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be written: No such file"), run_lock(tmp_path / "none"):
        pass
    with pytest.raises(ValueError, match="cannot be written: No such file"):
        open_study(tmp_path / "none" / "discover.journal", "discover")


# --- Outcomes ----------------------------------------------------------------------------------------------------

numbers = st.floats(0, 1)
results = st.one_of(
    st.fixed_dictionaries({"accuracy": numbers}),
    st.fixed_dictionaries({"value": numbers, "metric": st.text()}),
    st.fixed_dictionaries({"failure": st.builds(Failure, st.sampled_from(FAILURE_KINDS), st.text())}),
)
outcomes = st.builds(
    lambda result, **rest: Outcome(**result, **rest),
    results,
    seconds=st.floats(0, 1e6),
    device=st.text(),
    curve=st.lists(numbers).map(tuple),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False)),
)


@given(outcome=outcomes, channels=st.integers(1, 512), seed=st.integers(0, 2**31), method=st.text())
def test_requests_and_outcomes_come_back_as_they_were(outcome: Outcome, channels: int, seed: int, method: str) -> None:
    asked = replace(request(channels, seed=seed), method=method)
    study = optuna.create_study()
    attrs = request_attrs(asked, {"macs": 10, "params": 20}) | outcome_attrs(outcome)
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs=attrs))
    (trial,) = study.trials
    assert stored_request(trial) == asked
    assert stored_outcome(trial) == outcome
    assert (trial.user_attrs["macs"], trial.user_attrs["params"]) == (10, 20)


def test_an_accuracy_is_stored_as_ever_and_another_metric_under_its_name() -> None:
    accuracy, other = outcome_attrs(Outcome(value=0.5)), outcome_attrs(Outcome(value=0.5, metric="macro_f1"))
    assert list(accuracy) == ["seconds", "device", "curve", "metrics", "accuracy"]
    assert other == {name: value for name, value in accuracy.items() if name != "accuracy"} | {
        "metric": "macro_f1", "metric_value": 0.5,
    }  # fmt: skip
    assert "method" not in request_attrs(request(), {})


def test_an_outcome_cut_short_by_a_kill_is_none() -> None:
    for outcome in (
        Outcome(accuracy=0.5), Outcome(value=0.5, metric="macro_f1"), Outcome(failure=Failure("oom", "no room")),
    ):  # fmt: skip
        attrs = list(outcome_attrs(outcome).items())
        for kept in range(len(attrs)):
            trial = create_trial(state=TrialState.FAIL, user_attrs=dict(attrs[:kept]))
            assert stored_outcome(trial) is None
            assert stored_request(trial) is None


# --- Scores ------------------------------------------------------------------------------------------------------


def scored(path: Path, score: Score) -> optuna.Study:
    return open_study(path, "discover", ["maximize"], None, score)


def test_another_score_changes_the_values_and_nothing_else(path: Path) -> None:
    first, second = Score(1e6), Score(2e6, -0.5)
    study = scored(path, first)
    x = FloatDistribution(0, 1)
    for number in range(5):
        trial = study.ask({"x": x})
        for name, value in request_attrs(request(8 + number), {"macs": 1000 * (number + 1), "params": 7}).items():
            trial.set_user_attr(name, value)
        study._storage.set_trial_system_attr(trial._trial_id, "sampler:note", number)
        trial.report(0.25, 1)
    for number in (0, 2):
        study._storage.set_trial_user_attr(number, "accuracy", 0.5)
        study.tell(number, first(0.5, 1000 * (number + 1)))
    study.tell(1, state=TrialState.FAIL)
    study.tell(3, state=TrialState.PRUNED)
    before = study.trials

    after = scored(path, second).trials
    assert [trial.value for trial in after[:3]] == [second(0.5, 1000), None, second(0.5, 3000)]
    for old, new in zip(before, after, strict=True):
        for field in (
            "number",
            "state",
            "params",
            "distributions",
            "user_attrs",
            "system_attrs",
            "intermediate_values",
            "datetime_start",
            "datetime_complete",
        ):
            assert getattr(old, field) == getattr(new, field), field
    assert len(optuna.study.get_all_study_names(read_study(path, "discover")._storage)) == 1
    assert [trial.value for trial in scored(path, first).trials] == [trial.value for trial in before]
    assert {file.name for file in path.parent.iterdir()} == {path.name}


def test_a_rescoring_changes_what_the_score_decides_and_drops_what_pruners_noted_of_it(path: Path) -> None:
    first, second = Score(1e6), Score(2e6, -0.5)
    study = scored(path, first)
    study.set_user_attr("note", "kept")
    noted = {"completed_rung_0": 0.5, "sampler:note": 1}
    told: list[tuple[TrialState, float | None, dict[str, float]]] = [
        (TrialState.COMPLETE, 0.75, {"accuracy": 0.5, "macs": 1000}),
        (TrialState.COMPLETE, 0.75, {"accuracy": 0.5, "macs": 1000, "cost": 3000}),
        (TrialState.COMPLETE, 0.75, {"metric_value": 0.25, "macs": 1000}),
        (TrialState.COMPLETE, 0.75, {"macs": 1000}),
        (TrialState.COMPLETE, 0.75, {"accuracy": 0.5}),
        (TrialState.PRUNED, None, {"expected_accuracy": 0.5, "expected_score": 0.75, "macs": 1000}),
        (TrialState.PRUNED, None, {"expected_accuracy": 0.5, "expected_score": 0.75}),
        (TrialState.FAIL, None, {"accuracy": 0.5, "macs": 1000}),
    ]
    for state, value, attrs in told:
        study.add_trial(create_trial(state=state, value=value, user_attrs=attrs, system_attrs=noted))
    for score, where in ((first, path.with_name("same")), (second, path.with_name("other")), (second, path)):
        if where != path:
            copy_study(study, where, "discover", score)
        new = scored(where, score)
        assert new.user_attrs == {"note": "kept", "score": asdict(score)}
        assert [trial.value for trial in new.trials] == [
            score(0.5, 1000), score(0.5, 3000), score(0.25, 1000), 0.75, 0.75, None, None, None,
        ]  # fmt: skip
        assert [trial.user_attrs.get("expected_score") for trial in new.trials[5:]] == [score(0.5, 1000), 0.75, None]
        left = noted if score == first else {"sampler:note": 1}
        assert [trial.system_attrs for trial in new.trials] == [left] * len(told)


def test_a_rescored_journal_is_on_the_disk_under_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored(path, Score(1e6)).add_trial(create_trial(value=1.0, user_attrs={"accuracy": 0.5, "macs": 10}))
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    rescore(path, "discover", Score(3e6))
    assert synced[-2:] == [path.stat().st_ino, path.parent.stat().st_ino]


def test_studies_of_several_objectives_keep_them(path: Path) -> None:
    study = open_study(path, "discover", ["maximize", "minimize"])
    study.add_trial(create_trial(values=[1.0, 2.0]))
    again = open_study(path, "discover", ["maximize", "minimize"])
    assert [direction.name for direction in again.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert again.trials[0].values == [1.0, 2.0]


def test_the_same_score_leaves_the_journal_alone(path: Path) -> None:
    study = scored(path, Score(1e6))
    study.add_trial(create_trial(value=1.0, user_attrs={"accuracy": 0.5, "macs": 10}))
    inode = path.stat().st_ino
    scored(path, Score(1e6))
    assert path.stat().st_ino == inode


def test_a_rescoring_that_was_killed_loses_nothing(path: Path) -> None:
    scored(path, Score(1e6)).add_trial(create_trial(value=1.0, user_attrs={"accuracy": 0.5, "macs": 10}))
    path.with_name(path.name + ".new").write_text('{"half')
    rescore(path, "discover", Score(3e6))
    assert read_study(path, "discover").trials[0].value == Score(3e6)(0.5, 10)


# --- One driver --------------------------------------------------------------------------------------------------

HOLD = """
import sys, time
from pathlib import Path
from nas.study.store import run_lock
with run_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_driver_is_told_who_holds_the_folder_until_it_dies(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"in use by process {holder.pid};"), run_lock(tmp_path):
            pass
        holder.kill()
    with run_lock(tmp_path):
        pass
    with run_lock(tmp_path):
        pass


def test_the_lock_tells_its_holder_and_nothing_of_the_one_before(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text("123456789012345")
    with run_lock(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())


def test_a_driver_starts_while_somebody_looks_whether_one_lives(tmp_path: Path) -> None:
    with run_lock(tmp_path):
        pass
    look = os.open(tmp_path / ".lock", os.O_RDONLY)
    fcntl.flock(look, fcntl.LOCK_SH)
    end = threading.Timer(0.05, os.close, [look])
    end.start()
    with run_lock(tmp_path):
        assert driver_lives(tmp_path)
    assert not driver_lives(tmp_path)


def test_without_a_lock_there_is_no_driver_and_one_that_cannot_be_asked_may_have_one(tmp_path: Path) -> None:
    assert not driver_lives(tmp_path)
    (tmp_path / ".lock").symlink_to(tmp_path / "elsewhere")
    assert driver_lives(tmp_path)


@pytest.mark.parametrize(("make", "said"), [(os.mkfifo, "is no regular file"), (os.mkdir, "is no regular file"),
                                            (lambda _: None, "no such file")])  # fmt: skip
def test_what_is_no_journal_is_not_read(path: Path, make: Callable[[Path], None], said: str) -> None:
    make(path)
    with pytest.raises(JournalError, match=f"{re.escape(str(path))}: {said}"):
        read_study(path, "s")
