"""Every option of every command that trains nothing changes what the command says or writes."""

from __future__ import annotations

import hashlib
import shutil
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import numpy as np
import pytest
from PIL import Image

import experiments
from experiments.cli import cli
from experiments.options.groups import TRAINING
from experiments.records.model import ImageFormat, ModelRecord, OpenedData
from experiments.records.training import Accuracies
from nas.data.levels import Levels
from nas.training.checkpoint import save_weights
from search_spaces import build_network, reference_arch
from tests.helpers.command import Run, expect_mistake

OLD = Path(__file__).parents[1] / "old_runs" / "full"
SCALED = Path(experiments.__file__ or "").parent / "results" / "cifar10_shrunk"
COMMANDS: dict[str, tuple[str, ...]] = {
    "frontier": ("run", "-o", "frontier.html"),
    "inspect": ("mobilenet_v2",),
    "status": ("run",),
    "dashboard": ("run",),
    "report": ("run",),
    "size": ("scaled", "--accuracy", "42"),
    "redraw": ("run",),
    "export": ("squeezenet1_1", "-o", "net.json"),
    "evaluate": ("model.safetensors", "images"),
    "predict": ("model.safetensors", "images/a/0.png"),
}
GIVEN: dict[tuple[str, str], tuple[str, ...]] = {
    ("frontier", "output"): ("-o", "frontier.csv"),
    ("frontier", "published"): ("--published", "EfficientNet"),
    ("frontier", "points"): ("--points", "own.csv"),
    ("frontier", "x"): ("-x", "params"),
    ("frontier", "latency_command"): ("-x", "latency", "--latency-command", "echo 2.5 && : {json}"),
    ("frontier", "as_json"): ("--json",),
    ("inspect", "resolution"): ("--resolution", "96"),
    ("inspect", "num_classes"): ("--num-classes", "10"),
    ("inspect", "verify"): ("--verify",),
    ("inspect", "as_json"): ("--json",),
    ("status", "as_json"): ("--json",),
    ("status", "watch"): ("--watch",),
    ("dashboard", "study"): ("--study", "scale"),
    ("dashboard", "port"): ("--port", "8081"),
    ("report", "output"): ("-o", "page.html"),
    ("size", "accuracy"): ("--accuracy", "40"),
    ("size", "epochs"): ("--epochs", "3"),
    ("size", "output"): ("--epochs", "3", "-o", "found.json"),
    ("size", "as_json"): ("--json",),
    ("export", "output"): ("-o", "net.pt2"),
    ("export", "weights"): ("--weights", "net.safetensors"),
    ("export", "num_classes"): ("--num-classes", "10"),
    ("export", "resolution"): ("--resolution", "96"),
    ("export", "prepares"): ("--weights", "model.safetensors", "-o", "net.py", "--with-preprocessing"),
    ("export", "data"): ("-o", "net.int8.onnx", "--data", "images"),
    ("export", "as_json"): ("--json",),
    ("evaluate", "output"): ("-o", "out"),
    ("evaluate", "split"): ("--split", "train"),
    ("evaluate", "cache"): ("--cache", "decoded"),
    ("evaluate", "as_json"): ("--json",),
    ("predict", "top"): ("--top", "1"),
    ("predict", "as_csv"): ("--csv",),
    ("predict", "as_json"): ("--json",),
}
OF_ONE: dict[tuple[str, str], tuple[str, ...]] = {("export", "data"): ("model.safetensors", "-o", "net.json")}
"""What a command is given in place of the usual for the sake of one option."""
OPTIONS = [
    (name, param.name)
    for name, command in cli.commands.items()
    for param in command.params
    if name not in TRAINING and isinstance(param, click.Option)
]


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """In a folder with a finished run, points of one's own and weights; what is served or waited for is noted."""
    dashboard = pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")
    shutil.copytree(OLD, tmp_path / "run")
    shutil.copytree(SCALED, tmp_path / "scaled")
    (tmp_path / "own.csv").write_text("label,accuracy,macs,params\nmine,0.9,250000,20000\n")
    save_weights(build_network(reference_arch("squeezenet1_1"), 12), tmp_path / "net.safetensors")
    _model_and_images(tmp_path)
    monkeypatch.chdir(tmp_path)
    noted: list[str] = []

    def serve(storage: Any, host: str, port: int) -> None:
        noted.append(f"{[study.study_name for study in storage.get_all_studies()]} at {host}:{port}")

    def wait(_: float) -> None:
        noted.append("waited")
        raise KeyboardInterrupt

    monkeypatch.setattr(dashboard, "run_server", serve)
    mine = SimpleNamespace(**{**vars(time), "sleep": wait})  # others, such as subprocess, wait as ever
    monkeypatch.setattr("experiments.views.status.time", mine)
    return noted


def _model_and_images(folder: Path) -> None:
    """A network that was never trained, as a file that says what it is, and images of its classes."""
    arch = replace(reference_arch("squeezenet1_1"), resolution=32)
    record = ModelRecord(
        arch=arch,
        classes=("a", "b"),
        mean=(0.5, 0.5, 0.5),
        std=(0.2, 0.2, 0.2),
        padding=arch.padding,
        norm_eps=arch.norm_eps,
        images=ImageFormat(32, 3, "center", Levels().to_json()),
        data=OpenedData("elsewhere", "0" * 16, 0, None, None),
        metric="accuracy",
        accuracy=Accuracies(0.5, None),
    )
    save_weights(build_network(arch, 2), folder / "model.safetensors", metadata=record.metadata)
    for name in "ab":
        (folder / "images" / name).mkdir(parents=True)
        for i in range(6):
            pixels = np.random.default_rng(i).integers(0, 255, (32, 32, 3))
            Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / name / f"{i}.png")


def outcome(scalenas: Run, notes: list[str], *arguments: str) -> tuple[Any, ...]:
    """Status, what is said and noted, and the files and folders there are."""
    notes.clear()
    said = scalenas(*arguments)
    files = {
        path.name: "a folder" if path.is_dir() else hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path().iterdir())
    }
    return *said, tuple(notes), files


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_an_option_changes_what_the_command_does(scalenas: Run, notes: list[str], command: str, option: str) -> None:
    usual = OF_ONE.get((command, option), COMMANDS[command])
    without = outcome(scalenas, notes, command, *usual)
    assert without[0] == 0, without[2]
    given = outcome(scalenas, notes, command, *usual, *GIVEN[command, option])
    assert given[0] == 0, given[2]
    assert given != without


def test_every_command_is_tried_here_or_trains() -> None:
    assert set(cli.commands) == {*COMMANDS, *TRAINING}


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("status", "run", "--watch", "--json"), "--json"),
        (("frontier", "run", "-o", "points.csv", "-x", "params"), "-x params"),
        (("frontier", "run", "-o", "points.png", "--latency-command", "a {json}"), "--latency-command"),
    ],
)
@pytest.mark.usefixtures("notes")
def test_an_option_without_effect_is_refused(scalenas: Run, arguments: tuple[str, ...], flag: str) -> None:
    expect_mistake(scalenas(*arguments), f"{flag} has no effect")
