"""Run folders that version 0.1 wrote, with every step: read, gone on with, and drawn again to the pixel."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from experiments.options.groups import REFERENCES
from experiments.tables.frontier import read_points
from nas.study.store import read_study
from search_spaces import ArchSpec
from tests.helpers.command import Run
from tests.helpers.redrawn import expect_same_pictures, tables_alone

OLD = Path(__file__).with_name("old_runs")
COMMANDS = {
    "full": ("run", "digits", "--target-macs", "200k", "--trials", "6", "--epochs", "1", "--final-epochs", "2"),
    "fidelity": ("fidelity", "digits", "--target-macs", "200k", "--candidates", "4", "--epochs", "1", "--seeds", "1",
                 "--final-epochs", "2"),
}  # fmt: skip
SAME = ("--resolution", "8", "--workers", "1", "--seed", "3")
"""What the folders were made with."""


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD, tmp_path / "runs"))


_BYTES = ["ram", "flash"]


def values(file: Path) -> list[str]:
    """All keys and cells of a table or record in order; numbers to nine digits, for sums differ in the last by the CPU.

    Architectures stand as their ids. Bytes of a frontier are left out: tables had none.
    """
    text = file.read_text()
    if file.name == "frontier.csv":
        table = pd.read_csv(file, dtype=str, keep_default_na=False)
        text = table.drop(columns=_BYTES, errors="ignore").to_csv(index=False)
    if file.suffix == ".json":
        text = json.dumps(json.loads(text, object_hook=_with_ids), indent=0)
    return [
        re.sub(r"-?\d+\.\d+(e-?\d+)?", lambda number: f"{float(number[0]):.9g}", cell)
        for cell in re.split(r"[,\n]", text)
    ]


def _with_ids(record: dict[str, Any]) -> Any:
    if "op" in record or "kind" in record:  # a stage, a stem, a head
        return record
    return ArchSpec.from_dict(record).id if "stages" in record else record


@pytest.mark.parametrize("name", COMMANDS)
def test_a_finished_run_trains_nothing_and_says_the_same(copied: Path, scalenas: Run, name: str) -> None:
    folder, alone = copied / name, copied / "alone.json"
    alone.write_text('{"references": []}')  # to version 0.1 known networks could not be made so small
    options = (*SAME, "--preset", alone)
    status, _, err = scalenas(*COMMANDS[name], *options, "--run", folder)
    assert status == 0, err
    for file in sorted((OLD / name).iterdir()):
        if file.suffix == ".journal":
            assert (folder / file.name).read_bytes() == file.read_bytes(), file.name
        elif file.suffix in {".json", ".csv"} and file.name != "run.json":  # which holds the time and the versions
            assert values(folder / file.name) == values(file), file.name
    assert expect_same_pictures(OLD / name, folder)


def test_a_finished_run_gets_the_opponents_that_it_lacks(copied: Path, scalenas: Run) -> None:
    folder = copied / "full"
    before = read_points(folder / "frontier.csv")
    status, _, err = scalenas(*COMMANDS["full"], *SAME, "--run", folder)
    assert status == 0, err
    for name in ("discover", "confirm", "scale", "compare"):
        old = (OLD / "full" / f"{name}.journal").read_bytes()
        new = (folder / f"{name}.journal").read_bytes()
        assert new.startswith(old) if name == "compare" else new == old, name
    points = read_points(folder / "frontier.csv")
    assert [replace(point, ram=None, flash=None) for point in points[: len(before)]] == before  # tables had none
    assert [(point.label, point.role) for point in points[len(before) :]] == [
        (name, "reference") for name in REFERENCES
    ]


def test_a_search_that_was_killed_goes_on_under_its_own_numbers(copied: Path, scalenas: Run) -> None:
    journal = copied / "full" / "discover.journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    last = max(i for i, line in enumerate(lines) if b'"arch_id"' in line)
    journal.write_bytes(b"".join(lines[: last + 1]))  # the last trial is told what to train, and no more
    before = read_study(journal, "discover").trials
    assert not before[-1].state.is_finished()
    command = ("discover", *COMMANDS["full"][1:-2], *SAME)
    status, _, err = scalenas(*command, "--run", copied / "full", "--confirm", "0")
    assert status == 0, err
    after = read_study(journal, "discover").trials
    assert [trial.params for trial in after] == [trial.params for trial in before]
    assert [trial.value for trial in after[:-1]] == [trial.value for trial in before[:-1]]
    assert after[-1].user_attrs["arch_id"] == before[-1].user_attrs["arch_id"]
    assert after[-1].state.is_finished()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_tables_give_the_same_pictures(tmp_path: Path, scalenas: Run, name: str) -> None:
    bare = tables_alone(OLD / name, tmp_path / "bare")
    status, _, err = scalenas("redraw", bare)
    assert status == 0, err
    assert len(expect_same_pictures(OLD / name, bare)) == len(
        [*(OLD / name).glob("*.png"), *(OLD / name).glob("*.svg")]
    )


@pytest.mark.parametrize("name", ["full", "fidelity", "train"])
def test_status_and_report_read_them(copied: Path, scalenas: Run, name: str) -> None:
    status, out, err = scalenas("status", copied / name, "--json")
    assert status == 0, err
    assert json.loads(out)
    status, _, err = scalenas("report", copied / name)
    assert status == 0, err
    assert (copied / name / "report.html").stat().st_size > 10_000


def test_their_networks_are_read(copied: Path, tmp_path: Path, scalenas: Run) -> None:
    baseline = json.loads((OLD / "full" / "baseline.json").read_text())
    status, out, err = scalenas("inspect", copied / "full", "--json")
    assert status == 0, err
    assert json.loads(out)["id"] == baseline["id"]
    status, _, err = scalenas("export", copied / "full", "-o", tmp_path / "net.json")
    assert status == 0, err
    assert ArchSpec.from_json((tmp_path / "net.json").read_text()).id == baseline["id"]
    assert ArchSpec.from_dict(baseline["arch"]).id == baseline["id"]
    status, _, err = scalenas("export", copied / "train", "-o", tmp_path / "net.py")
    assert status == 0, err
