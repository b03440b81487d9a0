"""Latency by a command of one's own: what it is given, how it is tried, and a search that keeps a bound by it."""

from __future__ import annotations

import json
import logging
import os
import re
import select
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.figures.latency import LatencyBook
from nas.figures.latency_command import DeviceError, LatencyCommand
from nas.study.store import read_study
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec

Run = Callable[..., tuple[int, str, str]]
TINY = ArchSpec((StageSpec(channels=8),), StemSpec(8), HeadSpec(16), resolution=16)

DEVICE = """
import json, sys
arch = json.load(open(sys.argv[1]))  # what a runtime would find in the file
pixels, inputs, ms = arch["resolution"] / arch["stem"]["stride"], arch["stem"]["channels"], 0.2
for stage in arch["stages"]:
    pixels = -(-pixels // stage.get("stride", 1))
    wide = inputs * stage.get("expand", 1)
    for _ in range(stage["layers"]):
        ms += 0.03 + 1e-6 * pixels**2 * (wide * stage.get("kernel", 3) ** 2 + wide * stage["channels"] / 8)
    inputs = stage["channels"]
print("bench: warm")
print(f"{ms} ms")
"""
"""Milliseconds by a formula that only it knows: of layers, kernels and widths, not of multiply-adds."""


def hidden(folder: Path) -> str:
    """The command of the fake device."""
    (folder / "device.py").write_text(DEVICE)
    return f"{shlex.quote(sys.executable)} -S {shlex.quote(str(folder / 'device.py'))} {{json}}"


def test_a_command_gets_the_network_and_its_last_number_counts(tmp_path: Path) -> None:
    command = LatencyCommand(f"cp {{json}} {{pt2}} {shlex.quote(str(tmp_path))} && echo starting && echo ' 12.5 ms'", 2)
    assert command.measure(TINY, 7) == 12.5
    assert ArchSpec.from_json((tmp_path / f"{TINY.id}.json").read_text()) == TINY
    network = torch.export.load(tmp_path / f"{TINY.id}.pt2").module()
    assert network(torch.zeros(2, 3, 16, 16)).shape == (2, 7)
    assert "batch 2" in command.words


def test_a_command_gets_onnx_and_its_user_no_words_of_the_exporter(
    recwarn: pytest.WarningsRecorder, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    check = "import onnx, sys; print(len(onnx.load(sys.argv[1]).graph.input))"
    assert LatencyCommand(f'{sys.executable} -c "{check}" {{onnx}}').measure(TINY, 7) == 1
    logged = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (recwarn.list, logged, *capsys.readouterr()) == ([], [], "", "")


@pytest.mark.parametrize(
    ("line", "ms"),
    [("12.3ms", 12.3), ("12.3 ms", 12.3), ("5", 5), (".5ms", 0.5), ("5.", 5), ("1.5e-1ms", 0.15), ("2ms, 31 runs", 2)],
)
def test_milliseconds_are_told_with_or_without_their_unit(line: str, ms: float) -> None:
    assert LatencyCommand(f"echo '{line}'; : {{json}}").measure(TINY, 7) == ms


@pytest.mark.parametrize("line", ["12,3ms", "12.3.4", "12.3s", "12.3msec", "ms", "1e999", "-4ms", "0ms", "inf", "1e"])
def test_a_line_that_begins_with_no_milliseconds_is_refused(line: str) -> None:
    with pytest.raises(DeviceError, match=f"no number of milliseconds: {re.escape(line)}$"):
        LatencyCommand(f"echo '{line}'; : {{json}}", tries=1).measure(TINY, 7)


def test_a_failing_command_is_tried_again_which_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    notes = shlex.quote(str(tmp_path / "notes"))
    flaky = f"test -f {{json}} && echo try >> {notes} && test $(wc -l < {notes}) -ge 3 && echo 4"
    assert LatencyCommand(flaky, pause=0).measure(TINY, 7) == 4
    assert (tmp_path / "notes").read_text() == "try\n" * 3
    assert [record.getMessage() for record in caplog.records] == [
        f"latency of network {TINY.id}, try {done} of 3: status 1; nothing was printed" for done in (1, 2)
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("echo out of memory >&2; false {json}", "status 1; out of memory"),
        ("echo fast; : {json}", "its last line is no number of milliseconds: fast"),
        ("echo 0; : {json}", "no number of milliseconds: 0"),
        ("echo nan; : {json}", "no number of milliseconds: nan"),
        (": {json}", "nothing was printed"),
        ("no-such-program {json}", "status 127; "),
    ],
)
def test_what_a_command_did_wrong_is_one_line(command: str, said: str) -> None:
    with pytest.raises(DeviceError) as raised:
        LatencyCommand(command, tries=2, pause=0).measure(TINY, 7)
    assert said in str(raised.value)
    assert f"of network {TINY.id}, tried 2 times" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_command_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    mark = shlex.quote(str(tmp_path / "late"))
    hanging = LatencyCommand(f"(sleep 0.6; touch {mark}) & wait; : {{json}}", tries=1, seconds=0.2)
    with pytest.raises(DeviceError, match=r"no answer within 0\.2 s"):
        hanging.measure(TINY, 7)
    time.sleep(0.8)
    assert not (tmp_path / "late").exists()


def test_what_a_command_leaves_behind_is_not_waited_for_but_ended(tmp_path: Path) -> None:
    held = tmp_path / "held"  # by the shell and by its child: at its end when both have ended
    os.mkfifo(held)
    reader = os.open(held, os.O_RDONLY | os.O_NONBLOCK)
    try:
        command = f"exec 9> {shlex.quote(str(held))}; sleep 300 & echo 5; : {{json}}"
        assert LatencyCommand(command, tries=1, seconds=60).measure(TINY, 7) == 5  # within the limit: without the child
        assert select.select([reader], [], [], 20)[0], "the child is alive"
        assert os.read(reader, 1) == b""
    finally:
        os.close(reader)


@pytest.mark.parametrize("where", ["", ">&2"])
def test_a_command_that_prints_without_end_is_ended(where: str) -> None:
    with pytest.raises(DeviceError, match="it prints without end: more than 10 MB"):
        LatencyCommand(f"yes {{json}} {where}", tries=1).measure(TINY, 7)


def test_of_much_output_the_last_line_counts() -> None:
    many = f"{sys.executable} -S -c \"print('1 ms\\n' * 100_000 + '%s')\"; : {{json}}"
    assert LatencyCommand(many % "progress\\r 7 ms").measure(TINY, 7) == 7
    long = f"{sys.executable} -S -c \"print('8 ' * 10_000)\"; : {{json}}"
    with pytest.raises(DeviceError, match=r"no number of milliseconds: …[8 ]+"):
        LatencyCommand(long, tries=1).measure(TINY, 7)


def test_a_command_without_a_network_is_refused() -> None:
    with pytest.raises(ValueError, match=r"is given no network: \{onnx\}, \{pt2\}, \{json\} stand for its file"):
        LatencyCommand("./bench net.onnx")


def test_networks_are_measured_once_by_each_command(tmp_path: Path) -> None:
    book = LatencyBook(tmp_path / "latency.json", LatencyCommand(hidden(tmp_path)), 10)
    found = book(TINY)
    (tmp_path / "device.py").write_text("print(1e9)")
    assert book(TINY) == found
    assert LatencyBook(tmp_path / "latency.json", LatencyCommand("another {json}"), 10).known == {}
    (tmp_path / "device.py").unlink()
    assert LatencyBook(tmp_path / "latency.json", book.setup, 10)(TINY) == found


def test_a_search_by_a_device_ends_within_its_bound(
    tmp_path: Path, scalenas: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The score charges for the device's time; no network above the bound comes out, by the device itself."""
    command, run = hidden(tmp_path), tmp_path / "r"
    bound = "0.85"
    options = (
        "--executor", "inline", "--devices", "cpu", "--target-macs", "1M", "--epochs", "1", "--confirm", "1",
        "--confirm-seeds", "1", "--train-images", "120", "--space", "mnasnet", "--trials", "4", "--cost", "latency",
        "--latency-samples", "20", "--target-cost", bound, "--max-cost", bound,
    )  # fmt: skip
    status, _, err = scalenas("discover", "digits", "--run", run, *options, "--latency-command", command)
    assert status == 0, err
    assert "latency: 20 networks measured, the others are predicted from them; each" in err
    baseline = json.loads((run / "baseline.json").read_text())
    ((how, measured),) = json.loads((run / "latency.json").read_text()).items()
    assert command in how
    assert measured[baseline["id"]] == baseline["cost"] <= float(bound)
    assert min(measured.values()) < float(bound) < max(measured.values())
    trials = read_study(run / "discover.journal", "discover").trials
    predicted = np.array([trial.user_attrs["cost"] for trial in trials])
    device = LatencyBook(run / "latency.json", LatencyCommand(command), 10)
    true = np.array([device(ArchSpec.from_dict(trial.user_attrs["arch"])) for trial in trials])
    assert np.abs(predicted / true - 1).max() < 0.3
    monkeypatch.setattr(time, "sleep", lambda _: None)
    gone = f"rm -f {shlex.quote(str(tmp_path / 'device.py'))} && false {{json}}"
    status, _, err = scalenas("discover", "digits", "--run", tmp_path / "s", *options, "--latency-command", gone)
    assert (status, err.count("--latency-command"), "Traceback" in err) == (2, 1, False)
    assert "tried 3 times: status 1; nothing was printed" in err
