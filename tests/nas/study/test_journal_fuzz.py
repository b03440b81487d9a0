"""Journals that were damaged in any way: one line about it, or the same studies."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.study import Study
from optuna.trial import TrialState

from nas.score import Score
from nas.study.attributes import stored_cost, stored_outcome, stored_request
from nas.study.store import JournalError, open_study, read_study
from tests.helpers.damage import JUNK, places, put, refusal
from tests.helpers.run_folders import made_up_run


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of three trials that have finished, and one that runs."""
    folder = made_up_run(tmp_path_factory.mktemp("runs") / "run", 3)
    study = open_study(folder / "discover.journal", "discover")
    study.ask()
    return folder / "discover.journal"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("damaged") / "discover.journal"


def told(study: Study) -> list[Any]:
    """All that a search takes from a study it goes on with."""
    return [
        (trial.number, trial.state, trial.params, trial.value if trial.state == TrialState.COMPLETE else None,
         stored_request(trial), stored_outcome(trial), stored_cost(trial))
        for trial in study.trials
    ]  # fmt: skip


def read_or_told(path: Path, content: bytes) -> list[list[Any]]:
    """What the readers and the writer of a journal take from it; nothing of those that refuse it in one line."""
    found: list[list[Any]] = []

    def take(opened: Callable[[Path, str], Study]) -> None:
        found.append(told(opened(path, "discover")))

    for opened in (read_study, open_study, partial(open_study, score=Score(2e6))):
        path.write_bytes(content)
        message = refusal(JournalError, partial(take, opened))
        assert message is None or (message.startswith(f"{path}: ") and "\n" not in message)
    return found


@given(data=st.data(), junk=JUNK)
@settings(max_examples=120, deadline=None, derandomize=True)
def test_a_field_of_another_kind(sound: Path, path: Path, data: st.DataObject, junk: Any) -> None:
    lines = sound.read_bytes().splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    record = json.loads(lines[number])
    found = places(record)
    outside = [place for place in found if "arch" not in place[:-1]]  # whose fields are most of all
    put(record, data.draw(st.sampled_from(outside) | st.sampled_from(found)), junk)
    lines[number] = json.dumps(record).encode() + b"\n"
    read_or_told(path, b"".join(lines))


WRONG = [("arch", {}), ("arch", {"stages": [1]}), ("fidelity", {"epochs": 0}), ("fidelity", "short"), ("accuracy", []),
         ("macs", "many"), ("params", math.nan), ("seconds", None), ("curve", 2.5), ("curve", ["x"]), ("metrics", 3),
         ("arch_id", []), ("seed", 1.5), ("device", 0)]  # fmt: skip


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_what_is_stored_of_a_trial_is_checked(sound: Path, path: Path, name: str, value: Any) -> None:
    lines = sound.read_bytes().splitlines(keepends=True)
    record = json.loads(lines[3])
    record["user_attrs"][name] = value
    path.write_bytes(b"".join([*lines[:3], json.dumps(record).encode() + b"\n", *lines[4:]]))
    for opened in (read_study, open_study):
        with pytest.raises(JournalError, match=rf"damaged journal: trial \d: {name}"):
            opened(path, "discover")


@given(data=st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_lines_lost_doubled_or_out_of_place(sound: Path, path: Path, data: st.DataObject) -> None:
    lines = sound.read_bytes().splitlines(keepends=True)
    whole = told(read_study(sound, "discover"))
    one, other = (data.draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    match data.draw(st.sampled_from(["swap", "drop", "double", "cut"])):
        case "swap":
            lines[one], lines[other] = lines[other], lines[one]
        case "drop":
            del lines[one]
        case "double":
            lines.insert(one, lines[other])
        case _:
            lines[one:] = [lines[one][: data.draw(st.integers(0, len(lines[one])))]]
    for found in read_or_told(path, b"".join(lines)):
        kept = [each[:3] + each[4:] for each in whole]  # but for the scores
        shorter = [each[:3] + each[4:] for each in found]
        assert all(each in kept or each[1] == TrialState.RUNNING for each in shorter)
        assert [each[0] for each in found] == list(range(len(found)))


@given(data=st.data())
@settings(max_examples=80, deadline=None, derandomize=True)
def test_bytes_changed_or_lost(sound: Path, path: Path, data: st.DataObject) -> None:
    content = bytearray(sound.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 300) | st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=3))
    read_or_told(path, bytes(content))
