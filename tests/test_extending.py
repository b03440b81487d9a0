"""The Python of docs/extending.md, docs/python.md and the README, as written there."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nas.study.store import read_study
from search_spaces import StagedSpace, count_macs
from search_spaces.spaces.choices import OneOf
from search_spaces.spaces.space import staged_space

Run = Callable[..., tuple[int, str, str]]
ROOT = Path(__file__).parents[1]


def blocks(page: str) -> list[str]:
    """The Python blocks of a page, named from the repository's root."""
    return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), flags=re.DOTALL)


BLOCKS = blocks("docs/extending.md")


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


@pytest.mark.parametrize(("space", "widths"), [("my_space:macro", (6, 8, 10)), ("my_decoder:narrow", (8,))])
def test_a_space_and_a_training_of_ones_own(modules: Path, scalenas: Run, space: str, widths: tuple[int, ...]) -> None:
    options = ("--space", space, "--evaluator", "my_training:quick", "--executor", "inline")
    status, _, err = scalenas(
        "discover", "digits", "--run", "r", "--devices", "cpu", "--trials", "6", "--target-macs", "30k",
        "--exponent", "0", "--sampler", "random", *options,
    )  # fmt: skip
    assert status == 0, err
    baseline = json.loads((modules / "r" / "baseline.json").read_text())
    assert baseline["accuracy"] == pytest.approx(baseline["params"] / (baseline["params"] + 10_000))
    assert baseline["arch"]["stages"][0]["channels"] in widths


@pytest.mark.usefixtures("modules")
def test_trials_of_an_earlier_version_of_a_space_are_not_gone_on_from(scalenas: Run) -> None:
    options = ("--space", "my_space:macro", "--evaluator", "my_training:quick", "--executor", "inline")
    command = ("discover", "digits", "--run", "r", "--devices", "cpu", "--target-macs", "30k", "--sampler", "random")
    assert scalenas(*command, *options, "--trials", "2")[0] == 0
    space = sys.modules["my_space"]
    before = space.macro

    def changed(*args: Any, **named: Any) -> StagedSpace:
        old = before(*args, **named)
        return staged_space(old.name, OneOf("stages", ("few", "many"), (old.base, old.base)))

    space.macro = changed  # type: ignore[attr-defined]
    status, _, err = scalenas(*command, *options, "--trials", "2")
    assert status == 0, err  # nothing is added
    status, _, err = scalenas(*command, *options, "--trials", "3")
    assert status == 2
    assert "discover.journal: trial parameter 'pixels' is not as in the space macro now" in err


def test_a_metric_of_ones_own(modules: Path, scalenas: Run) -> None:
    options = ("--evaluator", "my_metric:worst", "--executor", "inline", "--train-images", "64", "--resolution", "8")
    status, _, err = scalenas(
        "discover", "digits", "--run", "r", "--devices", "cpu", "--trials", "1", "--confirm", "0", "--target-macs",
        "30k", "--epochs", "1", "--space", "my_space:macro", *options,
    )  # fmt: skip
    assert status == 0, err
    (trial,) = read_study(modules / "r" / "discover.journal", "discover").trials
    assert (trial.user_attrs["method"], trial.user_attrs["metric"]) == ("metric=worst_class", "worst_class")
    assert trial.user_attrs["metric_value"] == json.loads((modules / "r" / "baseline.json").read_text())["accuracy"]


def test_a_training_that_cannot_be_sent_to_workers(tmp_path: Path, scalenas: Run) -> None:
    options = ("--target-macs", "1M", "--trials", "2", "--train-images", "64", "--devices", "cpu")
    made = "tests.helpers.evaluators:unpicklable_for"
    status, _, err = scalenas("discover", "digits", "--run", tmp_path, *options, "--evaluator", made)
    assert status == 2
    line = err.strip().splitlines()[-1]
    assert "the evaluator cannot be pickled for worker processes: TypeError: cannot pickle a lock; keep" in line


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


def test_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks("README.md")
    exec(compile(block, "README.md", "exec"), {})
    macs, ratio = capsys.readouterr().out.split()
    assert macs == "385814752"
    assert float(ratio) == pytest.approx(2.57, abs=0.005)


def test_the_three_uses_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each block goes on from the names of those before; what they leave is a search, coefficients and a picture."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("docs/python.md"):
        exec(compile(block, "docs/python.md", "exec"), names)
    found = names["found"]
    assert [candidate.score for candidate in found] == sorted((c.score for c in found), reverse=True)
    assert all(candidate.macs == count_macs(candidate.arch, num_classes=10) for candidate in found)
    assert sum(result.n for result in names["search"].results) == 12
    assert names["search"].coefficients.nominal_cost == pytest.approx(2)
    assert [member.cost for member in names["members"]] == pytest.approx([1, 2, 4], rel=0.1)
    assert [(point.label, point.n, point.split) for point in names["points"]] == [
        ("baseline", 2, "test"), ("phi 1", 2, "test"), ("mobilenet_v2", 2, "test")
    ]  # fmt: skip
    assert (tmp_path / "frontier.png").read_bytes().startswith(b"\x89PNG")
