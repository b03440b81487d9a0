"""The examples of docs/extending.md, as written there."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., tuple[int, str, str]]
PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the page's modules in it."""
    for block in BLOCKS:
        named = re.match(r"# (\w+\.py)\n", block)
        if named:
            (tmp_path / named[1]).write_text(block)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def test_a_space_and_a_training_of_ones_own(modules: Path, scalenas: Run) -> None:
    options = ("--space", "my_space:narrow", "--evaluator", "my_training:quick", "--executor", "inline")
    status, _, err = scalenas(
        "discover", "digits", "--run", "r", "--devices", "cpu", "--trials", "6", "--target-macs", "30k",
        "--exponent", "0", "--sampler", "random", *options,
    )  # fmt: skip
    assert status == 0, err
    baseline = json.loads((modules / "r" / "baseline.json").read_text())
    assert baseline["accuracy"] == pytest.approx(baseline["params"] / (baseline["params"] + 10_000))
    assert baseline["arch"]["stages"][0]["channels"] == 8


def test_a_sampler_in_a_plain_study(capsys: pytest.CaptureFixture[str]) -> None:
    block = next(block for block in BLOCKS if "create_study" in block)
    exec(compile(block, "extending.md", "exec"), {})
    assert capsys.readouterr().out.strip() == "{'x': 7}"


@pytest.mark.parametrize(
    ("option", "value", "word"),
    [("--space", "my_space:wide", "wide"), ("--evaluator", "my_training", "module:function"),
     ("--evaluator", "builtins:type", "evaluate")],
)  # fmt: skip
def test_what_cannot_be_used_is_named(modules: Path, scalenas: Run, option: str, value: str, word: str) -> None:
    status, _, err = scalenas("discover", "digits", "--run", modules / "r", "--target-macs", "1M", option, value)
    assert status == 2
    assert word in err.strip().splitlines()[-1]
