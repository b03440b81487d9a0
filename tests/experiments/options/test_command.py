"""The command's help: under headings, what matters first at the top, and what an option means to each command."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli import cli
from experiments.option_table import option_table
from experiments.options.command import FIRST, PLANS, Flag, offered
from experiments.options.flags import with_flags
from experiments.options.groups import TRAINING
from experiments.options.settings import Settings, declared_groups
from tests.helpers.command import Run, expect_mistake

ROOT = Path(__file__).parents[3]
SCREEN = 50


@pytest.fixture
def narrow(scalenas: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command in a window of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    return scalenas


@pytest.mark.parametrize("command", TRAINING)
def test_help_fits_two_screens(narrow: Run, command: str) -> None:
    lines = narrow(command, "--help")[1].splitlines()
    assert len(lines) <= 2 * SCREEN
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("command", TRAINING)
def test_help_shows_every_option_once_those_that_matter_at_the_top(narrow: Run, command: str) -> None:
    out = narrow(command, "--help")[1]
    shown = re.findall(r"^  (--[a-z0-9-]+)", out, re.MULTILINE)
    flags = [option.flag for group in offered(command).values() for option in group.values()]
    assert sorted(shown) == sorted(flags)
    first = out[out.index("\nMain options:\n") :].split("\n\n")[0]
    assert re.findall(r"^  (--[a-z0-9-]+)", first, re.MULTILINE) == shown[: len(FIRST[command])]
    assert shown[: len(FIRST[command])] == [f"--{name.replace('_', '-')}" for name in FIRST[command]]
    assert len(FIRST[command]) == 4
    for title, group in offered(command).items():
        assert f"\n{title}:\n" in out or set(group) <= set(FIRST[command])


def test_help_does_not_wait_for_torch() -> None:
    script = "import sys, experiments.cli; assert not {'torch', 'pandas', 'scipy'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=120)


def told(scalenas: Run, command: str, flag: str) -> str:
    """What a command's help says of an option, in one line."""
    found = re.search(
        rf"^  {flag}\b[^\n]*?  +([^\n]+(?:\n {{10,}}[^\n]+)*)", scalenas(command, "--help")[1], re.MULTILINE
    )
    assert found is not None
    return " ".join(found[1].split())


@pytest.mark.parametrize(
    ("flag", "meanings"),
    [
        ("--epochs", {"run": "for each. [20 to 3, fewer for more images]",
                      "discover": "for each. [20 to 3",
                      "scale": "for N and for 2 N epochs. [20 to 3", "compare": "that choose a fit. [20 to 3",
                      "fidelity": "to judge. [20 to 3", "train": "[fast: 100, paper: 350,"}),
        ("--seeds", {"run": "each network of the grid. [3]", "scale": "each network of the grid. [3]",
                     "fidelity": "each short training. [2]"}),
        ("--final-epochs", {"run": "for the frontier. [2 x --epochs, at least 20]",
                            "compare": "[2 x --epochs, at least 20]",
                            "fidelity": "the long one. [8 x the short ones']"}),
        ("--final-seeds", {"compare": "network of the frontier. [3]", "fidelity": "the long training. [1]"}),
        ("--arch", {"run": "do not search", "scale": "[the run's, else efficientnet_b0]",
                    "compare": "[the run's baseline and known ones]", "fidelity": "rank beside those drawn"}),
        ("--seed", dict.fromkeys(TRAINING, "[0]")),
    ],
)  # fmt: skip
def test_help_says_what_an_option_means_to_the_command(narrow: Run, flag: str, meanings: dict[str, str]) -> None:
    for command, words in meanings.items():
        assert words in told(narrow, command, flag)


@pytest.mark.parametrize("command", TRAINING)
def test_every_option_comes_from_the_declaration(command: str) -> None:
    params = {param.name: param for param in cli.commands[command].params if isinstance(param, Flag)}
    assert list(params) == [name for group in offered(command).values() for name in group]
    assert set(FIRST[command]) <= set(params)
    settings, plan = Settings().flat(), PLANS.get(command)
    for name, param in params.items():
        if plan is None or name not in {field.name for field in dataclasses.fields(plan)}:
            assert param.title == "The run" or name in settings


def test_every_setting_but_two_is_an_option_of_some_command() -> None:
    offered_anywhere = {name for command in TRAINING for group in offered(command).values() for name in group}
    assert set(Settings().flat()) - offered_anywhere == {"references", "grid"}


def test_the_page_of_options_is_current() -> None:
    assert (ROOT / "docs" / "options.md").read_text() == option_table(), (
        "python -m experiments.option_table docs/options.md"
    )


def test_the_page_of_options_has_every_option_of_every_command() -> None:
    page = option_table()
    for command in cli.commands.values():
        for param in command.params:
            for flag in param.opts if param.param_type_name == "option" else ():
                assert re.search(rf"`[^`]*{flag}\b", page)
    for group in declared_groups().values():
        for option in group.values():
            assert option.facts["help"] in page


def test_arguments_become_flags_and_nothing_else_does() -> None:
    assert with_flags("`target_macs` is low; see `freeze_body`") == "--target-macs is low; see --freeze-body"
    assert with_flags("`layout` matched, `address` head:1, with `InlineExecutor`") == (
        "--points matched, --ray-address head:1, with --executor inline"
    )
    assert with_flags("`scalenas discover` on target_macs, `nothing` else") == (
        "`scalenas discover` on target_macs, `nothing` else"
    )


@pytest.mark.parametrize("package", ["nas", "scaling_search", "search_spaces"])
def test_the_library_does_not_speak_of_options(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        assert re.search(r"""["'`( ]--[a-z]""", file.read_text()) is None, file


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--trials", "0"), "--trials must be from 1 to 1000000, not 0"),
        (("--train-fraction", "2"), "--train-fraction must be above 0 and at most 1, not 2"),
        (("--executor", "slurm"), "--executor must be one of local, inline, ray, not 'slurm'"),
        (("--workers", "2", "--per-device", "2"), "--workers is the number in all, --per-device that on each"),
        (("--pruner", "median", "--executor", "inline"), "--pruner must be one of none, halving, hyperband"),
        (("--storage", "nonsense"), "--storage must be an address"),
        (("--target-cost", "nan", "--cost", "params"), "--target-cost must be above 0 and at most 1e+15, not nan"),
        (("--latency-backend", "bla", "--cost", "latency"), "--latency-backend must be one of torch, onnxruntime"),
    ],
)
def test_users_read_flags_in_messages(scalenas: Run, tmp_path: Path, args: tuple[str, ...], words: str) -> None:
    own = ("--evaluator", "tests.helpers.evaluators:formula_for", "--target-macs", "1M")
    expect_mistake(scalenas("discover", "digits", "--run", tmp_path, *own, *args), words)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--points", "bla"), "--points must be one of matched, nominal, not 'bla'"),
        (("--points", "nominal", "--step", "nan"), "--step must be from 0.01 to 1, not nan"),
        (("--points", "nominal", "--tolerance", "-1"), "--tolerance must be from 0 to 1, not -1"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_is_read(
    scalenas: Run, tmp_path: Path, args: tuple[str, ...], words: str
) -> None:
    expect_mistake(scalenas("scale", tmp_path / "no images", "--run", tmp_path / "run", *args), words)
    assert not (tmp_path / "run").exists()
