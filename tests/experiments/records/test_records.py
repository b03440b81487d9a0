"""The JSON files of a run folder: old ones are read and written back the same, damaged ones are told in one line."""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import experiments
from experiments.errors import UserError
from experiments.records import (
    BaselineRecord,
    CoefficientsRecord,
    FamilyRecord,
    FidelityRecord,
    Record,
    RunRecord,
    TrainingRecord,
    read_record,
)
from experiments.records.run import Surroundings
from experiments.records.values import ABSENT, FLAT, KEY, RecordError, Share, plain, read_value
from experiments.run.calibration import PackingRecord, SpeedRecord
from experiments.run.folder import RunFolder
from search_spaces import ArchSpec, reference_arch
from tests.helpers.command import Run, expect_mistake
from tests.helpers.damage import JUNK, places
from tests.helpers.run_folders import made_up_run

KINDS: dict[str, type[Record]] = {
    kind.FILE: kind
    for kind in (
        BaselineRecord,
        CoefficientsRecord,
        FamilyRecord,
        FidelityRecord,
        RunRecord,
        SpeedRecord,
        TrainingRecord,
    )
}
OLD = Path(__file__).parents[1] / "old_runs"
RESULTS = Path(experiments.__file__ or "").parent / "results"
FILES = sorted(file for folder in (OLD, RESULTS) for file in folder.glob("*/*.json") if file.name in KINDS)


def example(name: str) -> Path:
    """A whole file of this name."""
    return next(file for file in FILES if file.name == name)


def with_ids(record: dict[str, Any]) -> Any:
    """An architecture as its id: how a stage is written may change."""
    return ArchSpec.from_dict(record).id if "stages" in record else record


# --- What is there ---------------------------------------------------------------------------------------------------


def test_there_is_an_old_file_of_each_kind() -> None:
    assert {file.name for file in FILES} == set(KINDS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_a_file_is_written_as_it_was_read(file: Path) -> None:
    text = file.read_text()
    written = json.dumps(read_record(KINDS[file.name], file).to_json(), indent=2) + "\n"
    if '"stages"' not in text:
        assert written == text
    again, before = (json.dumps(json.loads(each, object_hook=with_ids), indent=2) for each in (written, text))
    assert again == before


def test_a_given_baseline_tells_nothing_of_trainings() -> None:
    arch = reference_arch("mobilenet_v2")
    content = BaselineRecord.given(arch, 12, 3, 10).to_json()
    assert list(content) == ["id", "accuracy", "n", "macs", "params", "score", "num_classes", "blocks", "arch"]
    assert (content["accuracy"], content["n"], content["score"]) == (None, 0, None)
    assert BaselineRecord.from_json(json.loads(json.dumps(content))) == BaselineRecord.given(arch, 12, 3, 10)


def test_a_claim_keeps_what_was_there_in_its_place() -> None:
    made_by = Surroundings({"torch": "2"}, None, "here")
    first = RunRecord().claimed("scale", {"started": "1", "command": "a", "settings": {"seed": 1, "step": 0.1}},
                                {"seed": 1}, {"devices": ("cpu",)}, made_by)  # fmt: skip
    assert list(first.to_json()) == [
        "created", "updated", "devices", "identity", "steps", "versions", "git_revision", "machine",
    ]  # fmt: skip
    old = RunRecord.from_json({"note": "mine", **first.to_json()})
    second = old.claimed("train", {"started": "2", "command": "b", "settings": {}}, {"epochs": 3},
                         {"devices": ("cpu", "cpu"), "training": {"keep": "last"}}, made_by)  # fmt: skip
    content = second.to_json()
    assert list(content) == ["note", *first.to_json(), "training"]
    assert (content["created"], content["updated"], content["devices"]) == ("1", "2", ["cpu", "cpu"])
    assert content["identity"] == {"seed": 1, "epochs": 3}
    assert list(content["steps"]) == ["scale", "train"]
    assert content["steps"]["scale"]["settings"] == {"seed": 1, "step": 0.1}


def test_devices_that_were_left_to_measuring() -> None:
    content = {"cuda:0": {"slots": 2, "measured": [{"slots": 1, "images_per_second": 9.5}]}}
    assert PackingRecord.from_json(content).to_json() == content
    with pytest.raises(RecordError, match=r"cuda:0\.slots must be a whole number of at least 1, not 0"):
        PackingRecord.from_json({"cuda:0": {"slots": 0, "measured": []}})


def test_what_older_files_lack_has_a_default() -> None:
    assert CoefficientsRecord.from_json({"alpha": 1.2, "beta": 1.1, "gamma": 1.15}).finding.verdict == ()
    result = json.loads(example("train.json").read_text())
    for name in ("mean", "std"):
        del result[name]
    assert TrainingRecord.from_json(result).to_json() == TrainingRecord.from_json(result | {}).to_json()
    assert "mean" not in TrainingRecord.from_json(result).to_json()
    assert RunRecord.from_json({}) == RunRecord()


def test_a_folder_grows_by_the_rule_that_it_began_with() -> None:
    def growth(identity: dict[str, str], *steps: str) -> str:
        facts = {step: {"command": "c", "started": "1", "settings": {}} for step in steps}
        return RunRecord.from_json({"identity": identity, "steps": facts}).growth

    assert growth({}) == growth({}, "discover") == growth({"growth": "thrifty"}, "scale") == "thrifty"
    assert (
        growth({}, "discover", "scale") == growth({}, "compare") == growth({"growth": "matched"}, "scale") == "matched"
    )


# --- What is damaged -------------------------------------------------------------------------------------------------


Damage = Callable[[Any], Any]


def put(value: Any, *place: str | int) -> Damage:
    """A change of the content: this value at that place."""

    def change(content: Any) -> Any:
        if not place:
            return value
        part = content
        for key in place[:-1]:
            part = part[key]
        part[place[-1]] = value
        return content

    return change


def cut(*place: str | int) -> Damage:
    """A change of the content: the last key of the place is left out."""

    def change(content: Any) -> Any:
        part = content
        for key in place[:-1]:
            part = part[key]
        del part[place[-1]]
        return content

    return change


DAMAGED = [
    ("run.json", put([]), "the whole must be an object, not a list"),
    ("run.json", put([], "identity"), "identity must be an object, not a list"),
    ("run.json", put([], "steps"), "steps must be an object, not a list"),
    ("run.json", put("mine", "steps", "discover"), "steps.discover must be an object, not 'mine'"),
    ("run.json", cut("steps", "discover", "command"), "steps.discover.command is missing"),
    ("run.json", put([[]], "identity", "seed"), "identity.seed must be a text or a number, not a list"),
    ("run.json", put(None, "space"), "space must be an object, not null"),
    ("run.json", put(None, "space", "fitted_to"), "space.fitted_to must be a whole number, not null"),
    ("run.json", put(-1, "score", "target_macs"), "score: target_macs must be above 0 and at most"),
    ("run.json", put("cpu", "devices"), "devices must be a list, not 'cpu'"),
    ("run.json", put(-5, "data", "images", "train"), "data.images.train must be a whole number of at least 0, not -5"),
    ("baseline.json", put(None), "the whole must be an object, not null"),
    ("baseline.json", cut("macs"), "macs is missing"),
    ("baseline.json", put(math.nan, "accuracy"), "accuracy must be a number, not nan"),
    ("baseline.json", put(math.inf, "score"), "score must be a number, not inf"),
    ("baseline.json", put(1.5, "accuracy"), "accuracy must be a number from 0 to 1, not 1.5"),
    ("baseline.json", put(True, "n"), "n must be a whole number, not true"),
    ("baseline.json", put(2.5, "macs"), "macs must be a whole number, not 2.5"),
    ("baseline.json", put([], "arch"), "arch"),
    ("coefficients.json", put(None, "beta"), "beta must be a number, not null"),
    ("coefficients.json", put(0.5, "gamma"), "gamma must be a number of at least 1, not 0.5"),
    ("coefficients.json", put({"alpha": None}, "intervals"), "intervals.alpha must be a list, not null"),
    ("coefficients.json", put({"alpha": [1]}, "intervals"), "intervals.alpha must have 2 values, not 1"),
    ("coefficients.json", put({}, "grid", 1), "grid[1].alpha is missing"),
    ("coefficients.json", put(3, "cautions", 0), "cautions[0] must be a text, not 3"),
    ("family.json", put({}), "the whole must be a list, not an object"),
    ("family.json", put([]), "it has no member"),
    ("family.json", cut(2, "phi"), "[2].phi is missing"),
    ("family.json", put("none", 0, "arch"), "[0].arch"),
    ("train.json", put(None, "accuracy"), "accuracy must be an object, not null"),
    ("train.json", cut("accuracy", "test"), "accuracy.test is missing"),
    ("train.json", put("all", "epochs"), "epochs must be a whole number, not 'all'"),
    ("train.json", put(None, "weights"), "weights must be an object, not null"),
    ("speed.json", put("fast", "speed", "step"), "speed.step must be a number, not 'fast'"),
    ("speed.json", put([1], "macs"), "macs must have 2 values, not 1"),
    ("fidelity.json", put([None], "stand_ins"), "stand_ins[0] must be an object, not null"),
    ("fidelity.json", put("x" * 99, "bar"), f"bar must be a number, not '{'x' * 39} ..."),
]


@pytest.mark.parametrize(("name", "damage", "told"), DAMAGED, ids=[f"{d[0]} {d[2]}"[:50] for d in DAMAGED])
def test_what_is_wrong_is_named(tmp_path: Path, name: str, damage: Damage, told: str) -> None:
    source = OLD / "full" / name
    content = damage(json.loads((source if source.exists() else example(name)).read_text()))
    (tmp_path / name).write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_record(KINDS[name], tmp_path / name)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / name}: not {KINDS[name].WHAT}: {told}")
    assert message.endswith(f"; {KINDS[name].MEND}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "not JSON"), (b"{", "not JSON"), (b'{"id": ', "not JSON"), (b"\xff\xfe{}", "not JSON"),
     (b"[" * 100_000, "nested too deeply"), (b'{"a":' * 100_000, "nested too deeply"),
     (b'{"n": ' + b"9" * 5000 + b"}", "not JSON")],
)  # fmt: skip
def test_what_is_no_json(tmp_path: Path, content: bytes, told: str) -> None:
    path = tmp_path / "baseline.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"baseline\.json: .*{told}.*{BaselineRecord.MEND}"):
        read_record(BaselineRecord, path)


def test_what_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "baseline.json").mkdir()
    for path in (tmp_path / "baseline.json", tmp_path / "none" / "baseline.json"):
        with pytest.raises(UserError, match=r"baseline\.json: "):
            read_record(BaselineRecord, path)


CONTENTS = {name: json.loads(example(name).read_text()) for name in KINDS}
PLACES = {name: [(), *places(content)] for name, content in CONTENTS.items()}


@given(data=st.data(), name=st.sampled_from(sorted(KINDS)), junk=JUNK)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_whatever_stands_anywhere_is_read_or_refused(data: st.DataObject, name: str, junk: Any) -> None:
    damage = put(junk, *data.draw(st.sampled_from(PLACES[name])))
    content = damage(copy.deepcopy(CONTENTS[name]))
    try:
        record = KINDS[name].from_json(content)
    except RecordError:
        return
    json.dumps(record.to_json())  # and what is read can be written


# --- Values ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Inner:
    one: int
    two: float | None = field(default=None, metadata=ABSENT)


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(metadata=FLAT)
    of: str = field(metadata={KEY: "class"})
    share: Share | None = None
    perhaps: Inner | None = field(default=None, metadata=ABSENT)


def test_keys_stand_in_the_order_of_the_fields() -> None:
    value = Outer(Inner(1, 2.5), "a", 0.5, Inner(3))
    content = plain(value)
    assert json.dumps(content) == '{"one": 1, "two": 2.5, "class": "a", "share": 0.5, "perhaps": {"one": 3}}'
    assert read_value(Outer, content) == value
    assert plain(Outer(Inner(1), "a")) == {"one": 1, "class": "a", "share": None}


def test_a_wrong_value_is_told_before_a_missing_one() -> None:
    with pytest.raises(RecordError, match="share must be a number from 0 to 1, not 2"):
        read_value(Outer, {"one": 1, "share": 2})
    with pytest.raises(RecordError, match="class is missing"):
        read_value(Outer, {"one": 1, "share": 1})


def test_whole_numbers_stay_whole() -> None:
    assert type(read_value(float, 3)) is int
    with pytest.raises(RecordError):
        read_value(float, 10**400)


# --- Commands --------------------------------------------------------------------------------------------------------


def damaged_run(folder: Path, name: str, damage: Damage) -> Path:
    shutil.copytree(OLD / ("train" if name == "train.json" else "full"), folder)
    content = damage(json.loads((folder / name).read_text()))
    (folder / name).write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize(
    ("name", "damage", "word", "commands"),
    [("run.json", put([], "steps"), "steps", ("status", "report", "redraw")),
     ("run.json", put([], "identity"), "identity", ("status", "report", "redraw")),
     ("run.json", put(None, "space"), "space", ("status", "report", "redraw")),
     ("baseline.json", cut("macs"), "macs", ("status", "inspect", "export")),
     ("baseline.json", put(math.nan, "accuracy"), "accuracy", ("status", "inspect", "export")),
     ("coefficients.json", put(None, "alpha"), "alpha", ("status",)),
     ("train.json", put(None, "accuracy"), "accuracy", ("status", "export")),
     ("train.json", cut("arch"), "arch", ("export",))],
)  # fmt: skip
def test_each_reader_tells_it(
    tmp_path: Path, scalenas: Run, *, name: str, damage: Damage, word: str, commands: tuple[str, ...]
) -> None:
    folder = damaged_run(tmp_path / "run", name, damage)
    for command in commands:
        more = ("-o", tmp_path / "net.json") if command == "export" else ()
        expect_mistake(scalenas(command, folder, *more), name, word)


@pytest.mark.parametrize(
    ("name", "damage", "word", "command"),
    [("run.json", put([], "identity"), "identity", ("discover", "digits", "--trials", "1")),
     ("run.json", put({}, "space"), "space.name is missing", ("discover", "digits", "--trials", "1")),
     ("baseline.json", put({}), "is missing", ("scale", "digits")),
     ("baseline.json", put("many", "macs"), "macs", ("compare", "digits")),
     ("coefficients.json", put([]), "an object", ("scale", "digits", "--epochs", "1"))],
)  # fmt: skip
def test_each_step_that_goes_on_tells_it(
    tmp_path: Path, scalenas: Run, *, name: str, damage: Damage, word: str, command: tuple[str, ...]
) -> None:
    folder = damaged_run(tmp_path / "run", name, damage)
    journals = {file: file.read_bytes() for file in folder.glob("*.journal")}
    asked = ("--resolution", "8", "--workers", "1", "--seed", "3", "--devices", "cpu", "--run", folder)
    expect_mistake(scalenas(*command, *asked), name, word)
    assert {file: file.read_bytes() for file in folder.glob("*.journal")} == journals


ARGUMENTS: dict[str, tuple[str, ...]] = {
    "status": ("{run}",), "redraw": ("{run}",), "report": ("{run}",), "inspect": ("{run}",),
    "frontier": ("{run}", "-o", "{run}/all.csv"),
    "export": ("{run}", "-o", "{run}/net.json"),
    "train": ("{run}", "digits", "--run", "{run}/other", "--devices", "cpu"),
    "compare": ("digits", "--run", "{run}", "--resolution", "8", "--seed", "3", "--devices", "cpu", "--workers", "1"),
    "scale": ("digits", "--run", "{run}", "--resolution", "8", "--seed", "3", "--devices", "cpu", "--workers", "1"),
    "discover": ("digits", "--run", "{run}", "--preset", "{run}/preset.json"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "command"),
    [*(("run.json", command) for command in ("status", "report", "redraw", "scale", "compare")),
     *(("baseline.json", command) for command in ("status", "inspect", "export", "train", "scale", "compare")),
     ("coefficients.json", "status"), ("train.json", "status"), ("preset.json", "discover")],
)  # fmt: skip
@pytest.mark.parametrize("content", ["deep", "huge"])
def test_each_reader_bounds_what_it_reads(
    tmp_path: Path, scalenas: Run, monkeypatch: pytest.MonkeyPatch, *, name: str, command: str, content: str
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(OLD / ("train" if name == "train.json" else "full"), folder)
    value = json.loads((folder / name).read_text()) if name != "preset.json" else {}
    if content == "deep":
        value["note"] = json.loads("[" * 400 + "]" * 400)
    else:
        value["note"] = "x" * 100_000
        monkeypatch.setattr("nas.files.LARGEST_JSON", 100_000)
    (folder / name).write_text(json.dumps(value))
    told = {"deep": "nested too deeply", "huge": "is larger than 0.1 MB"}[content]
    expect_mistake(scalenas(command, *(part.format(run=folder) for part in ARGUMENTS[command])), name, told)


def test_a_run_that_is_told_in_two_ways_is_one(tmp_path: Path) -> None:
    folder = RunFolder(made_up_run(tmp_path / "run", 3))
    assert folder.has(BaselineRecord)
    assert folder.find(BaselineRecord) == folder.get(BaselineRecord)
    assert folder.find(FamilyRecord) is None
    with pytest.raises(UserError, match=r"family\.json"):
        folder.get(FamilyRecord)
