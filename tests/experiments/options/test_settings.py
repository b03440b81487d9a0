"""Settings: their types, ranges and presets, and the records that older versions wrote."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.cli import cli
from experiments.errors import UserError
from experiments.options.declaration import SHARE, Declared, Range, declared
from experiments.options.plans import FULL_EPOCHS, FidelityPlan, TrainPlan
from experiments.options.settings import Settings, declared_groups, preset
from nas.data.decode import CROPS
from nas.figures.latency import BACKENDS
from nas.training.objective import METRICS
from nas.training.recipe import RECIPES
from tests.helpers.option_values import OPTIONS as OFFERED

OPTIONS = {option.name: option for group in declared_groups().values() for option in group.values()}
PRESETS = Path(__file__).parents[3] / "experiments" / "presets"
OLD_RUNS = Path(__file__).parents[1] / "old_runs"


def test_no_two_groups_have_a_field_of_the_same_name() -> None:
    assert len(OPTIONS) == sum(len(group) for group in declared_groups().values())
    assert list(Settings().flat()) == list(OPTIONS)


def test_the_defaults_are_those_of_the_fields() -> None:
    assert Settings().flat() == {name: option.default for name, option in OPTIONS.items()}


def test_what_is_given_replaces_and_all_else_stays() -> None:
    changed = Settings().with_given({"trials": 7, "lengths": [1, 2], "workers": 3})
    assert (changed.search.trials, changed.growth.lengths, changed.pool.workers) == (7, (1, 2), 3)
    rest = {name: value for name, value in changed.flat().items() if name not in ("trials", "lengths", "workers")}
    assert rest.items() <= Settings().flat().items()
    assert changed.with_given({"trials": 100, "lengths": (), "workers": None}) == Settings()


@pytest.mark.parametrize("file", sorted(OLD_RUNS.glob("*/run.json")), ids=lambda file: file.parent.name)
def test_what_older_versions_recorded_is_read(file: Path) -> None:
    steps = json.loads(file.read_text())["steps"]
    for step in steps.values():
        settings = Settings().with_given(step["settings"])
        assert step["settings"].items() <= json.loads(json.dumps(settings.flat())).items()


@pytest.mark.parametrize("file", sorted(PRESETS.glob("*.json")), ids=lambda file: file.stem)
def test_a_preset_is_read_by_its_name_and_as_a_file(file: Path) -> None:
    asked = json.loads(file.read_text())
    found = preset(file.stem)
    assert found == preset(str(file)) == Settings().with_given(asked)
    assert asked.items() <= json.loads(json.dumps(found.flat())).items()


def wrong_type(option: Declared) -> list[Any]:
    """Values of other types than the option's."""
    wrong: dict[type, list[Any]] = {bool: [1, "yes"], int: [1.5, "1", True], float: ["1", True], str: [1, True]}
    values = wrong[option.kind]
    return [*([value] for value in values), values[0], "text"] if option.is_tuple else [*values, [1]]


@pytest.mark.parametrize("name", OPTIONS)
def test_a_value_of_another_type_is_refused_by_name(name: str) -> None:
    for value in [*wrong_type(OPTIONS[name]), *([] if OPTIONS[name].optional else [None])]:
        with pytest.raises(ValueError, match=f"^{name} must be of type "):
            Settings().with_given({name: value})


def outside(option: Declared) -> list[Any]:
    """Values just outside what an option takes."""
    allowed, known = option.facts.get("range"), option.facts.get("known")
    if known is not None:
        return ["nothing such"]
    if allowed is None:
        return []
    if option.kind is int:
        return [int(allowed.low) - 1, int(allowed.high) + 1, 10**400, 10**5000]
    low = allowed.low if allowed.above else math.nextafter(allowed.low, -math.inf)
    high = allowed.high if allowed.below else math.nextafter(allowed.high, math.inf)
    return [low, high, math.nan, math.inf, 1e300]


BOUNDED = [
    (group, option)
    for group in (
        *(type(getattr(Settings(), each.name)) for each in dataclasses.fields(Settings)),
        TrainPlan,
        FidelityPlan,
    )
    for option in declared(group).values()
    if outside(option)
]


@pytest.mark.parametrize(("group", "option"), BOUNDED, ids=lambda each: getattr(each, "name", ""))
def test_a_value_out_of_range_is_refused_by_name(group: type, option: Declared) -> None:
    for value in outside(option):
        with pytest.raises(ValueError, match=f"^`{option.name}` must be "):
            group(**{option.name: (value,) if option.is_tuple else value})


@pytest.mark.parametrize("option", [option for _, option in OFFERED], ids=lambda option: option.name)
def test_every_number_has_bounds(option: Declared) -> None:
    if option.kind in (int, float):
        allowed = option.facts["range"]
        assert -math.inf < allowed.low < allowed.high < math.inf


NUMBERS = [(command, option) for command, option in OFFERED if option.kind in (int, float)]
ABSURD = ["9" * 400, "9" * 5000, "1e300", "-1e300", "nan", "-inf", "0x10", "1_0e400", "-9999999", "1e400", "", "١e9"]


@settings(max_examples=40, derandomize=True, deadline=None)
@given(st.sampled_from(NUMBERS), st.sampled_from(ABSURD))
def test_absurd_numbers_are_refused_at_once(asked: tuple[str, Declared], text: str) -> None:
    command, option = asked
    arguments = ["digits"] if command != "train" else ["resnet20", "digits"]
    answer = CliRunner().invoke(cli, [command, *arguments, "--run", "/nowhere", f"{option.flag}={text}"])
    assert answer.exit_code == 2 or isinstance(answer.exception, UserError)
    said = answer.output + str(answer.exception)
    assert option.flag in said or f"`{option.name}`" in said


def test_lists_have_an_end() -> None:
    for given_list in ({"lengths": [1] * 101}, {"arch": ["a"] * 101}):
        with pytest.raises(ValueError, match="takes at most 100 values, not 101"):
            Settings().with_given(given_list)
    for budget in ("9" * 400, "1e308h", "nanh", "-1", "1000001"):
        with pytest.raises(ValueError, match="`budget` "):
            Settings().with_given({"budget": budget})
    for fidelity in ("9" * 400, "3:1e-400", "3:nan", "100001"):
        with pytest.raises(ValueError, match="`fidelity` "):
            FidelityPlan(fidelity=(fidelity,))


def test_the_ends_of_a_range_are_in_it_unless_told_otherwise() -> None:
    assert 0 not in SHARE
    assert 1e-9 in SHARE
    assert 1 in SHARE
    assert 1 not in Range(0, 1, below=True)
    assert [Range(2, 10**6).words, Range(0, 1).words, SHARE.words] == [
        "from 2 to 1000000", "from 0 to 1", "above 0 and at most 1",
    ]  # fmt: skip
    assert Range(0, 1, above=True, below=True).words == "between 0 and 1"


@given(st.floats(), st.floats(-5, 5), st.floats(0, 5), st.booleans(), st.booleans())
def test_a_range_holds_what_lies_between_its_ends(
    value: float, low: float, width: float, above: bool, below: bool
) -> None:
    inside = low < value < low + width
    at_end = (value == low and not above) or (value == low + width and not below)
    if inside:
        assert value in Range(low, low + width, above, below)
    elif not at_end:
        assert value not in Range(low, low + width, above, below)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 2, "per_device": 2}, "`workers` is the number in all, `per_device` that on each"),
        ({"score": "hard", "exponent": [-1.0]}, "`score` hard has its own exponents"),
        ({"exponent": [0.0, -1.0, -2.0]}, "`exponent` takes one number or two"),
        ({"budget": "many"}, "`budget` takes a number of trainings"),
        ({"sped": 1}, "no setting is named 'sped'; known are arch, benchmark"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Settings().with_given(given)


def test_a_frozen_body_does_not_learn_at_a_rate() -> None:
    with pytest.raises(ValueError, match="`body_rate` and `freeze_body` exclude each other"):
        TrainPlan(weights="w.pth", body_rate=0.5, freeze_body=True)
    with pytest.raises(ValueError, match="`body_rate` must be above 0 and at most 1, not 0; see `freeze_body`"):
        TrainPlan(weights="w.pth", body_rate=0.0)


def test_the_recipes_of_a_training_are_those_there_are() -> None:
    assert {name: recipe().full_epochs for name, recipe in RECIPES.items()} == FULL_EPOCHS


def test_layouts_backends_metrics_and_crops_are_those_there_are() -> None:
    assert OPTIONS["points"].facts["known"] == ("matched", "nominal")
    assert OPTIONS["latency_backend"].facts["known"] == BACKENDS
    assert OPTIONS["metric"].facts["known"] == tuple(METRICS)
    assert OPTIONS["crop"].facts["known"] == CROPS


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[" * 100_000, "nested too deeply"),
        (b'{"trials": ' + b"[" * 400 + b"]" * 400 + b"}", "nested too deeply"),
        (b"\xff\xfe", "not JSON"),
        (b"[]", "must be an object"),
        (b'{"trials":\n 3', "line 2"),
    ],
)
def test_a_preset_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "mine.json"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"mine.json: .*{words}"):
        preset(str(file))
