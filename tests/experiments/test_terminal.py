"""Names from outside on a terminal, output that cannot be written, and links in a run folder."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.run.folder import FOLDERS
from experiments.run.progress import Narrator
from experiments.terminal import SafeConsole, printable
from tests.helpers.command import Run, expect_mistake
from tests.helpers.run_folders import made_up_run

TITLE = "\x1b]0;owned\x07"
DISCOVER = (
    "--trials", "1", "--epochs", "1", "--confirm", "0", "--executor", "inline", "--target-macs", "1M",
    "--evaluator", "tests.helpers.evaluators:formula_for",
)  # fmt: skip


@given(st.text())
def test_what_is_printable_obeys_nothing_and_stays_so(text: str) -> None:
    shown = printable(text)
    assert not any((ord(each) < 32 and each not in "\t\n") or 0x7F <= ord(each) < 0xA0 for each in shown)
    assert printable(shown) == shown
    shown.encode()


@pytest.mark.parametrize("bad", ["\x1b", "\x9b", "\r", "\x08", "\u202e", "\u2066", "\udce9"])
def test_a_console_shows_what_it_does_not_obey(bad: str) -> None:
    console = SafeConsole(file=io.StringIO(), force_terminal=True, color_system=None, width=80)
    Narrator(console).say(f"a{bad}b")
    with Narrator(console).task(f"t{bad}", 1) as task:
        task.reach(1, f"n{bad}")
    assert isinstance(console.file, io.StringIO)
    out = console.file.getvalue()
    assert f"a{printable(bad)}b" in out or "ab" in out  # Rich itself leaves some out
    assert f"{bad}b" not in out
    assert f"n{bad}" not in out


def test_no_name_reaches_the_terminal_as_an_order(scalenas: Run, tmp_path: Path) -> None:
    run = made_up_run(tmp_path / f"run{TITLE}", 2, name=f"data{TITLE}")
    (tmp_path / "arch.json").write_text(json.dumps({f"field{TITLE}": 1}))
    for args in (
        ("discover", tmp_path / f"data{TITLE}", "--run", tmp_path / "new"),
        ("status", run), ("report", run), ("redraw", run), ("frontier", run, "-o", tmp_path / f"no{TITLE}" / "x.png"),
        ("inspect", tmp_path / "arch.json"), ("export", "squeezenet1_1", "-o", tmp_path / f"x{TITLE}.json"),
        ("inspect", f"name{TITLE}"), ("status", run, "--json"),
    ):  # fmt: skip
        status, out, err = scalenas(*args)
        assert status in (0, 2)
        assert "owned" in out + err, args
        assert "\x1b" not in out + err, args
        assert "\x07" not in out + err, args


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_nobody_takes_is_one_line(tmp_path: Path) -> None:
    run = made_up_run(tmp_path / "r", 2)
    for into in (">/dev/full", "| true"):
        command = f"set -o pipefail; {sys.executable} -m experiments status {run} --json {into}"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("scalenas: the output cannot be written: ")
        assert done.stderr.count("\n") == 1


def test_any_path_can_be_told_in_any_encoding(tmp_path: Path) -> None:
    ascii_only = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    code = """
import os, sys
from experiments.cli import cli, prepare_streams
prepare_streams()
for run in os.listdir("."):
    for command in ("report", "status"):
        cli.main([command, run], standalone_mode=False)
"""
    runs = [made_up_run(tmp_path / os.fsdecode(name), 2) for name in (b"d\xe9ta", "dätä".encode())]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=ascii_only, cwd=tmp_path, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    for run in runs:
        assert (run / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize("name", [".lock", "discover.journal", *FOLDERS])
def test_a_link_in_the_run_folder_is_refused(scalenas: Run, tmp_path: Path, name: str) -> None:
    run, treasure = tmp_path / "r", tmp_path / "treasure"
    run.mkdir()
    (run / name).symlink_to(treasure)
    expect_mistake(scalenas("discover", "digits", "--run", run, *DISCOVER), name, "is a link", "remove it")
    assert not treasure.exists()


@pytest.mark.parametrize("name", ["run.json", "report.html", "trials.csv", "frontier.png", "run.json.partial"])
def test_a_link_in_place_of_a_result_is_replaced(scalenas: Run, tmp_path: Path, name: str) -> None:
    run, treasure = made_up_run(tmp_path / "r", 6), tmp_path / "treasure"
    treasure.write_text((run / "run.json").read_text() if name == "run.json" else "mine")
    before = treasure.read_bytes()
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(treasure)
    assert scalenas("redraw", run)[0] == 0
    assert treasure.read_bytes() == before


def test_a_run_folder_that_is_removed_meanwhile_is_one_line(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def remove(*_: object) -> None:
        shutil.rmtree(tmp_path / "r", ignore_errors=True)

    monkeypatch.setattr("experiments.run.context.note_trial", remove)
    answer = scalenas("discover", "digits", "--run", tmp_path / "r", *DISCOVER)
    expect_mistake(answer, "the run folder", "was removed meanwhile")
