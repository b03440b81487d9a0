"""What has no effect beside the other options given is refused, each by what it depends on; presets are left alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from experiments.errors import UserError
from experiments.options.asked import Asked, ask, refuse_idle
from experiments.options.command import offered
from experiments.options.declaration import Condition, Declared, Where, With
from experiments.options.settings import Settings
from experiments.run import facts
from experiments.run.facts import FACTS
from tests.helpers.option_values import OPTIONS, VALUES

CONDITIONS = [
    (command, option, condition) for command, option in OPTIONS for condition in option.facts.get("needs", ())
]


def breaking(command: str, condition: Condition) -> Mapping[str, Any] | None:
    """Other options beside which a condition does not hold; None where the command has none such."""
    if condition.commands and command not in condition.commands:
        return None
    if isinstance(condition, Where):
        one_length: dict[str, dict[str, Any]] = {
            "scale": {"lengths": (1,)},
            "run": {"lengths": (1,), "arch": ("mobilenet_v2",), "preset": "alone.json"},
        }  # fmt: skip
        not_fitted: dict[str, dict[str, Any] | None] = {"discover": None, "fidelity": None, "train": {}}
        others: dict[str, dict[str, Any] | None] = {
            "files": {},
            "lengths left open": one_length.get(command),
            "a network to fit": not_fitted.get(command, {"arch": ("net.json",)}),
            "a search": {"arch": ("mobilenet_v2",)},
            "a CPU": {"devices": "cuda:0"},
            "GPUs alone": {},
            "something in int8": {"confirm": 0} if command == "discover" else None,
            "devices to share": {"executor": "ray"},
        }
        return others[condition.fact]
    if isinstance(condition, With):
        return {}
    names = {name for group in offered(command).values() for name in group}
    value = condition.values[0] if condition.values else VALUES[condition.name]
    beside = {"cost": "latency"} if condition.name == "latency_command" else {}  # without which it has no effect itself
    return {condition.name: value, **beside} if condition.name in names else None


def asked_for(command: str, folder: Path, given: Mapping[str, Any], data: str = "digits") -> Asked:
    options = {name: None for group in offered(command).values() for name in group} | {"run_dir": str(folder), **given}
    return ask(command, options, data, "net.json" if command == "train" else None)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which net.json is a file and alone.json a preset without opponents, on a machine whose devices are
    what `--devices` and `--executor` say."""
    (tmp_path / "net.json").touch()
    (tmp_path / "alone.json").write_text('{"references": []}')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(facts, "_devices", lambda asked: [asked.settings.pool.devices.replace("auto", "cpu")])
    return tmp_path


@pytest.mark.parametrize(
    ("command", "option", "condition"),
    [case for case in CONDITIONS if breaking(case[0], case[2]) is not None],
    ids=lambda each: getattr(each, "name", getattr(each, "fact", each)),
)
def test_an_option_without_effect_is_refused(
    folder: Path, command: str, option: Declared, condition: Condition
) -> None:
    others = breaking(command, condition)
    assert others is not None
    with pytest.raises(UserError) as told:
        refuse_idle(asked_for(command, folder, {**others, option.name: VALUES[option.name]}), FACTS)
    words = FACTS[condition.fact].words if isinstance(condition, Where) else condition.words
    assert str(told.value).startswith(f"{option.flag} has no effect {words}")


@pytest.mark.parametrize(
    ("command", "option", "condition"),
    [case for case in CONDITIONS if breaking(case[0], case[2]) is not None and case[1].name in Settings().flat()],
    ids=lambda each: getattr(each, "name", getattr(each, "fact", each)),
)
def test_of_a_preset_it_is_left_alone(folder: Path, command: str, option: Declared, condition: Condition) -> None:
    others = breaking(command, condition)
    assert others is not None
    (folder / "mine.json").write_text(json.dumps({option.name: VALUES[option.name]}))
    refuse_idle(asked_for(command, folder, {**others, "preset": "mine.json"}), FACTS)


@pytest.mark.parametrize("command", sorted({command for command, _ in OPTIONS}))
def test_nothing_is_refused_where_nothing_is_given(folder: Path, command: str) -> None:
    asked = asked_for(command, folder, {})
    refuse_idle(asked, FACTS)
    assert asked.settings == Settings()


@pytest.mark.parametrize(
    ("command", "preset", "given", "words"),
    [
        ("scale", {"points": "nominal"}, {"step": 0.1}, None),
        (
            "scale",
            {"points": "nominal"},
            {"step": 0.1, "points": "matched"},
            "--step has no effect without --points nominal",
        ),
        (
            "discover",
            {"confirm": 0},
            {"confirm_seeds": 2},
            "--confirm-seeds has no effect with --confirm 0 of the preset",
        ),
        ("discover", {"confirm": 0}, {"confirm_seeds": 2, "confirm": 1}, None),
        (
            "discover",
            {"confirm": 1},
            {"confirm_seeds": 2, "confirm": 0},
            "--confirm-seeds has no effect with --confirm 0",
        ),
        ("scale", {"budget": "90"}, {"precision": 0.2}, None),
        (
            "scale",
            {"lengths": [1]},
            {"epochs": 2},
            "--epochs has no effect with --lengths of the preset: it says them all",
        ),
        ("scale", {"lengths": [1]}, {"epochs": 2, "lengths": (3,)}, "--epochs has no effect with --lengths: .*"),
        ("run", {"arch": ["b0"]}, {"top": 2}, "--top has no effect with --arch of the preset: the search is skipped"),
        ("run", {"arch": ["b0"]}, {"trials": 2}, "--trials has no effect with --arch of the preset: .* skipped"),
    ],
)
def test_a_preset_decides_what_has_an_effect(
    folder: Path, command: str, preset: dict[str, Any], given: dict[str, Any], words: str | None
) -> None:
    (folder / "mine.json").write_text(json.dumps(preset))
    asked = asked_for(command, folder, {**given, "preset": "mine.json"})
    if words is None:
        refuse_idle(asked, FACTS)
    else:
        with pytest.raises(UserError, match=f"^{words}$"):
            refuse_idle(asked, FACTS)


@pytest.mark.parametrize(
    ("command", "given", "there", "has_an_effect"),
    [
        ("run", {}, (), True),
        ("run", {"arch": ("net.json",)}, (), False),
        ("run", {"arch": ("mobilenet_v2",)}, (), True),
        ("scale", {}, (), True),
        ("scale", {}, ("baseline.json",), False),
        ("scale", {"arch": ("mobilenet_v2",)}, ("baseline.json",), True),
        ("compare", {}, ("baseline.json",), True),
        ("compare", {"arch": ("net.json", "mobilenet_v2")}, (), True),
        ("compare", {"arch": ("net.json",)}, (), False),
        ("fidelity", {"arch": ("net.json",)}, (), True),
        ("fidelity", {"candidates": 0}, (), False),
        ("fidelity", {"candidates": 0, "arch": ("net.json",)}, (), False),
        ("fidelity", {"candidates": 0, "arch": ("net.json", "mobilenet_v2")}, (), True),
    ],
)
def test_a_target_has_an_effect_where_a_network_is_fitted(
    folder: Path, command: str, given: dict[str, Any], there: tuple[str, ...], has_an_effect: bool
) -> None:
    for name in there:
        (folder / name).touch()
    assert FACTS["a network to fit"].holds(asked_for(command, folder, given)) == has_an_effect


def test_the_best_of_an_earlier_search_are_compared_beside_a_given_baseline(folder: Path) -> None:
    asked = asked_for("run", folder, {"arch": ("mobilenet_v2",), "top": 2})
    assert not FACTS["a search"].holds(asked)
    (folder / "discover.journal").touch()
    assert FACTS["a search"].holds(asked)


def test_unreadable_files_are_those_of_a_folder(folder: Path) -> None:
    refuse_idle(asked_for("discover", folder, {"max_unreadable": 0.5}, data="images"), FACTS)
