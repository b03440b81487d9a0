"""Every option of every command that trains changes what the command does: results, files, or what it trains on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from experiments.options.declaration import Declared
from experiments.options.groups import TRAINING
from nas.data.dataset import Dataset
from nas.data.feed import Feed
from nas.evaluation import Outcome, Report, Request
from search_spaces import fit_arch, reference_arch
from tests.helpers.evaluators import formula
from tests.helpers.observed import Observer, Said, stand_ins
from tests.helpers.option_values import OPTIONS, VALUES, as_arguments

HERE = "tests.experiments.options.test_effects"
FORMULA = "tests.helpers.evaluators:formula_for"
COMMON = {"target_macs": "1M", "train_images": 64, "resolution": "8", "evaluator": FORMULA}
SEARCH = {"trials": 2, "epochs": 2, "sampler": "random", "confirm": 0}
GROWTH = {"seeds": 1, "budget": "3", "plot_phi": 0}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "run": {**COMMON, **SEARCH, **GROWTH, "lengths": [1], "final_epochs": 1, "final_seeds": 1, "family_phi": 0,
            "top": 1, "references": []},
    "discover": {**COMMON, **SEARCH},
    "scale": {**COMMON, **GROWTH, "epochs": 1},
    "compare": {**COMMON, "final_epochs": 1, "final_seeds": 1, "references": ["mobilenet_v3_small"]},
    "fidelity": {**COMMON, "epochs": 1},
    "train": {**COMMON, "target_macs": "200k", "evaluator": None},
}  # fmt: skip
"""What makes each command quick. Of a preset nothing counts as given."""
ALWAYS: Mapping[str, tuple[str, ...]] = {
    "fidelity": ("--candidates", "4", "--seeds", "1", "--final-epochs", "20"),
    "train": ("--epochs", "1"),
}
OF_FILES = ("max_unreadable", "group", "crop", "grey", "no_flip")
"""Options about images in files, which are tried on the folder of images."""
OF_TRAINING = ("plain", "metric", "int8", "class_weights")
"""Options of the built-in training."""
OF_WEIGHTS = ("pretrained", "inherit", "teacher")
"""Options of it that name weights."""
BESIDE: Mapping[str, tuple[str, ...]] = {
    "ray_address": ("--executor", "ray"),
    "pruner": ("--epochs", "4", "--trials", "8"),
    "confirm_seeds": ("--confirm", "1"),
    "target_cost": ("--cost", "params"),
    "latency_backend": ("--cost", "latency"),
    "latency_device": ("--cost", "latency"),
    "latency_batch": ("--cost", "latency"),
    "latency_samples": ("--cost", "latency", "--latency-backend", "torch"),
    "latency_command": ("--cost", "latency"),
    "step": ("--points", "nominal"),
    "tolerance": ("--points", "nominal"),
    "precision": ("--budget", "40"),
    "rivals": ("--family-phi", "1"),
    "body_rate": ("--weights", "WEIGHTS"),
    "freeze_body": ("--weights", "WEIGHTS"),
    "new_head": ("--weights", "WEIGHTS"),
}
"""Other options, given with and without an option, beside which it has an effect."""
IN_PRESET: Mapping[str, Mapping[str, Any]] = {
    **{name: {"max_unreadable": 0.5} for name in ("group", "crop", "grey", "no_flip")},
    **{name: {"evaluator": None, "trials": 1, "lengths": [1], "budget": "1"} for name in OF_TRAINING},
    **{name: {"evaluator": None, "trials": 1, "lengths": [1], "budget": "1"} for name in OF_WEIGHTS},
    "int8": {"evaluator": None, "trials": 1, "lengths": [1], "budget": "1", "confirm": 1, "confirm_seeds": 1},
    "seeds": {"plot_phi": 0.5},
    "max_macs": {"space": "mnasnet"},  # of the default space all networks cost the same
    "max_cost": {"space": "mnasnet"},
    "precision": {"arch": ["plain_mbconv"]},  # which grows into enough networks for a surface
    "latency_backend": {"latency_samples": 10},
    "latency_device": {"latency_samples": 10},
    "latency_batch": {"latency_samples": 10},
    "latency_samples": {"latency_samples": 10},
    "latency_command": {"latency_samples": 10},
    "plot_from": {"plot_phi": 0.5},
    "rule": {"arch": ["plain_mbconv"], "budget": "20", "plot_phi": 2.0},
}
"""What the preset holds beside the usual, for an option to have an effect."""

REFUSED = (
    ("run", "storage"),
    ("discover", "storage"),
    ("train", "devices"),
    *((each, "numerics") for each in TRAINING),
)
"""Options whose value is one that what they name refuses: a database and a GPU that are not there."""


class Other:
    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        return Outcome(accuracy=1 - formula(request))


class Guess:
    """In place of a quantised network, which takes seconds to make."""

    def predict(self, feed: Feed) -> Tensor:
        return torch.zeros_like(feed.labels)


def other_for(_: Dataset) -> Other:
    return Other()


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what options name: images of which one cannot be read, a preset, a network and its weights."""
    folder = tmp_path_factory.mktemp("there")
    for name in ("cats", "dogs"):
        (folder / "images" / name).mkdir(parents=True)
        for i in range(12):
            shade = (20 * i % 255, 80 if name == "cats" else 160, 10)
            Image.new("RGB", (12, 12), shade).save(folder / "images" / name / f"{i}.jpg")
    (folder / "images" / "dogs" / "5.jpg").write_text("no image")
    net = fit_arch(replace(reference_arch("mobilenet_v2"), input_channels=1), 8, 2e5, num_classes=10)
    (folder / "net.json").write_text(net.to_json())
    return folder


@pytest.fixture(scope="module")
def observe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Observer]:
    with pytest.MonkeyPatch.context() as patch:
        observer = Observer(tmp_path_factory.mktemp("runs"), patch)
        stand_ins(observer)
        yield observer


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The built-in training without its steps, and none to time them: what it would train with is noted before."""
    monkeypatch.setattr("nas.training.loop.Training.run_epoch", lambda *_: None)
    monkeypatch.setattr("experiments.run.pool.WorkerPool.calibrate", lambda *_: None)
    monkeypatch.setattr("nas.training.proxy.quantise", lambda *_: Guess())


@pytest.fixture(scope="module")
def weights(observe: Observer, there: Path) -> Path:
    """Of the network in net.json, with as many classes as the digits."""
    folder = there / "trained"
    said = observe("train", str(there / "net.json"), "digits", "--run", str(folder), "--preset",
                   str(preset(there, "train", {})), "--epochs", "1")  # fmt: skip
    assert said["status"] == 0, said["err"]
    return folder / "weights.safetensors"


def preset(there: Path, command: str, more: Mapping[str, Any]) -> Path:
    file = there / f"{command}-{'-'.join(more)}.json"
    file.write_text(json.dumps({**PRESETS[command], **more}))
    return file


def case_id(case: Any) -> str:
    return case if isinstance(case, str) else case.name


def said_of(observe: Observer, there: Path, command: str, name: str, *more: str, again: bool = False) -> Said:
    """What comes of a command as it is for an option, with `more` options."""
    data = str(there / "images") if name in OF_FILES else "digits"
    network = [str(there / "net.json") if "--weights" in more else "mobilenet_v2"] if command == "train" else []
    file = preset(there, command, IN_PRESET.get(name, {}))
    options = [each.replace("WEIGHTS", str(there / "trained" / "weights.safetensors")) for each in more]
    always = ALWAYS.get(command, ())
    return observe(command, *network, data, "--run", "RUN", "--preset", str(file), *always, *options, again=again)


@pytest.mark.parametrize("command", PRESETS)
def test_without_another_option_the_same_comes_out_again(observe: Observer, there: Path, command: str) -> None:
    once, twice = (said_of(observe, there, command, "", again=again) for again in (False, True))
    assert once["status"] == 0, once["err"]
    assert once == twice
    assert "run.json" in once["files"]


@pytest.mark.parametrize(
    ("command", "option"), [case for case in OPTIONS if case[1].name not in ("run_dir", "benchmark")], ids=case_id
)
def test_an_option_changes_what_the_command_does(
    observe: Observer, there: Path, request: pytest.FixtureRequest, command: str, option: Declared
) -> None:
    name = option.name
    value = {
        "preset": str(preset(there, command, {"seed": 7})),
        "cache": str(there / "cache"),
        "evaluator": f"{HERE}:other_for",
        "weights": "WEIGHTS",
        "pretrained": (f"{there / 'net.json'}=WEIGHTS",),
        "inherit": f"{there / 'net.json'}=WEIGHTS",
        "teacher": "WEIGHTS",
        "arch": ("mnasnet_a1",),
        "devices": "cuda:0" if command == "train" else VALUES["devices"],
    }.get(name, VALUES[name])
    beside = BESIDE.get(name, ())
    if command == "fidelity" and name in (*OF_TRAINING, "inherit"):
        beside = ("--final-epochs", "2")  # real trainings: few
    arguments = (*beside, *as_arguments(option, value))
    if any("WEIGHTS" in argument for argument in arguments):
        request.getfixturevalue("weights")
    if name in (*OF_TRAINING, *OF_WEIGHTS):
        request.getfixturevalue("untrained")
    changed = said_of(observe, there, command, name, *arguments)
    assert changed["status"] == 0 or (command, name) in REFUSED, changed["err"]
    assert changed != said_of(observe, there, command, name, *beside)


@pytest.mark.parametrize("command", PRESETS)
def test_the_run_folder_must_be_named(observe: Observer, command: str) -> None:
    said = observe(command, *(["mobilenet_v2"] if command == "train" else []), "digits")
    assert (said["status"], "--run" in said["err"]) == (2, True)


def test_a_table_is_searched_in_place_of_images(observe: Observer, there: Path) -> None:
    generator = np.random.default_rng(0)
    choices = (("expand", (1, 4, 6)), ("kernel", (3, 5)), ("layers", (1, 2, 3)), ("se", (0, 1)))
    frame = pd.DataFrame({
        f"stage{i}_{name}": generator.choice(values, 60) for i in range(1, 8) for name, values in choices
    })  # fmt: skip
    frame["top1"] = 60 + frame.filter(like="kernel").sum(axis=1) / 5
    frame.to_csv(there / "table.csv", index=False)
    said = observe("discover", "--run", "RUN", "--benchmark", str(there / "table.csv"), "--trials", "2")
    assert said["status"] == 0, said["err"]
    assert "a table of 60 networks" in said["err"]
