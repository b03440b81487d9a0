"""The command in a working directory with folders that are called as packages of ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMES = ("search_spaces", "nas", "scaling_search", "experiments")
MINE = """
from dataclasses import replace
from nas.evaluation import Outcome
from search_spaces import Choice, SearchSpace, reference_arch

def space(target_macs, resolution, num_classes, input_channels):
    arch = replace(reference_arch("mobilenet_v2"), resolution=resolution, input_channels=input_channels)
    return SearchSpace("mine", (Choice("drop", (0.0, 0.1, 0.2)),), lambda params: replace(arch, dropout=params["drop"]))

class Training:
    def evaluate(self, request, device, report):
        import experiments.tables.frontier, scaling_search
        return Outcome(0.5)

def training(dataset):
    return Training()
"""


@pytest.fixture(params=["package", "folder"])
def here(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A working directory in which each of our packages has a namesake, and a module of the user's own."""
    (tmp_path / "mine.py").write_text(MINE)
    for name in NAMES:
        (tmp_path / name).mkdir()
        if request.param == "package":
            (tmp_path / name / "__init__.py").write_text("raise ImportError('the folder of the user')")
    return tmp_path


@pytest.fixture
def script(here: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """`scalenas` as an installer writes it."""
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["scalenas"]
    module, _, function = target.partition(":")
    script = tmp_path_factory.mktemp("bin") / "scalenas"
    script.write_text(f"from {module} import {function}\nif __name__ == '__main__':\n    {function}()\n")
    return Command([str(script)], here)


@pytest.fixture
def module(here: Path) -> Command:
    """`python -m scalenas`."""
    return Command(["-m", "scalenas"], here)


class Command:
    def __init__(self, start: Sequence[str], folder: Path) -> None:
        self._start, self._folder = start, folder

    def __call__(self, *arguments: object) -> str:
        """What the command prints."""
        line = [sys.executable, *self._start, *map(str, arguments)]
        done = subprocess.run(line, cwd=self._folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


SEARCH = (
    "discover", "digits", "--run", "r", "--trials", 2, "--epochs", 1, "--train-images", 32, "--target-macs", "1M",
    "--workers", 1, "--confirm", 0, "--sampler", "random", "--json",
)  # fmt: skip
LOCAL = ("--devices", "cpu")
OWN = ("--space", "mine:space", "--evaluator", "mine:training")


def test_a_command_without_a_run(script: Command, module: Command) -> None:
    for command in (script, module):
        assert json.loads(command("inspect", "efficientnet_b0", "--json"))["params"] == 5_288_548


def test_a_search_with_worker_processes(module: Command) -> None:
    assert json.loads(module(*SEARCH, *LOCAL))["macs"] > 0


def test_a_search_of_ones_own(script: Command, module: Command) -> None:
    assert json.loads(script(*SEARCH, *LOCAL, *OWN))["accuracy"] == 0.5
    assert json.loads(module(*SEARCH, *LOCAL, *OWN, "--trials", 3))["accuracy"] == 0.5


def test_workers_of_ray(module: Command) -> None:
    pytest.importorskip("ray", reason="ray is not installed")
    assert json.loads(module(*SEARCH, *OWN, "--executor", "ray"))["accuracy"] == 0.5


@pytest.mark.parametrize("arguments", [("inspect", "mobilenet_v2"), ("--version",)])
def test_a_working_directory_that_was_removed(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"import os; os.rmdir({str(gone)!r}); from scalenas.__main__ import main; main()"
    found = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=gone, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    said = "scalenas: the working directory cannot be used (No such file or directory): change to another\n"
    assert (found.returncode, found.stdout, found.stderr) == (2, "", said)
