"""The page of runs that did not search, and of runs with a damaged file."""

from __future__ import annotations

import dataclasses
import json
import shutil
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import experiments
from experiments.errors import UserError
from experiments.report import collect, render
from experiments.run.folder import RunFolder
from experiments.tables.frontier import points_csv, read_points
from experiments.views.status import run_status
from nas.study.store import read_study
from search_spaces import fit_arch, reference_arch
from tests.helpers.run_folders import made_up_run

RESULTS = Path(experiments.__file__ or "").parent / "results"
SCALED, SEARCHED = RESULTS / "cifar10_scaling", RESULTS / "cifar10"


def story_of(folder: Path) -> str:
    data = collect(RunFolder(folder))
    assert data["unread"] == []
    assert render(data)
    return " ".join(data["story"])


def trained_run(folder: Path, *, test: float | None = 0.412) -> Path:
    """A run folder as a full training leaves it; the figures are made up."""
    folder.mkdir()
    arch = fit_arch(reference_arch("efficientnet_b0"), 16, 1e6, num_classes=10)
    record = {
        "data": {"name": "digits", "classes": list("0123456789"), "images": {"train": 1000, "val": 100, "test": 100}},
        "identity": {"training recipe": "fast", "training epochs": 7},
        "steps": {"train": {"command": "scalenas train", "started": "now", "settings": {"arch": []}}},
    }
    result = {
        "accuracy": {"val": 0.437, "test": test}, "weights": {"kept": "best", "epoch": 5}, "recipe": "fast",
        "epochs": 7, "started_from": None, "macs": 10**6, "params": 12345, "seconds": 12.5, "device": "cpu",
        "arch": dataclasses.asdict(arch),
    }  # fmt: skip
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "train.json").write_text(json.dumps(result))
    return folder


def test_a_given_network_that_was_grown(tmp_path: Path) -> None:
    folder = shutil.copytree(SCALED, tmp_path / "scaled")
    story = story_of(folder)
    family = json.loads((folder / "family.json").read_text())
    trainings = sum('"accuracy"' in line for line in (folder / "scale.journal").read_text().splitlines())
    assert trainings > 0
    assert "a given network was to be grown" in story
    assert f"The network was given (efficientnet_b0): {family[0]['macs'] / 1e6:.3g} M multiply-adds" in story
    assert f"; {trainings} trainings have an accuracy so far." in story
    assert "No baseline" not in story
    assert collect(RunFolder(folder))["architectures"][0]["macs"] == family[0]["macs"]


def test_why_the_best_trial_is_not_the_baseline(tmp_path: Path) -> None:
    folder = shutil.copytree(SEARCHED, tmp_path / "searched")
    best, confirmed = (
        [trial for trial in read_study(folder / f"{name}.journal", name).trials if trial.value is not None]
        for name in ("discover", "confirm")
    )
    first = max(best, key=lambda trial: trial.value or 0.0)
    again = [t.user_attrs["accuracy"] for t in confirmed if t.user_attrs["arch_id"] == first.user_attrs["arch_id"]]
    baseline = json.loads((folder / "baseline.json").read_text())
    assert first.user_attrs["arch_id"] != baseline["id"]
    assert (
        f"Trial {first.number} had the best score of the search ({100 * first.user_attrs['accuracy']:.1f} %), from one "
        f"seed. Trained again for 2 epochs from {len(again)} fresh seeds it reached "
        f"{100 * statistics.fmean(again):.1f} %, and the network found {100 * baseline['accuracy']:.1f} %, which has "
        "the better score then."
    ) in story_of(folder)
    # Where the best trial is the baseline there is nothing to explain.
    (folder / "baseline.json").write_text(json.dumps(baseline | {"id": first.user_attrs["arch_id"]}))
    assert "had the best score" not in story_of(folder)
    # Nor where another network was given since, of which nothing is measured.
    given = {key: value for key, value in baseline.items() if key not in ("accuracy_std", "fidelity")}
    (folder / "baseline.json").write_text(json.dumps(given | {"id": "f" * 16, "accuracy": None, "n": 0, "score": None}))
    assert "had the best score" not in story_of(folder)


def test_a_full_training(tmp_path: Path) -> None:
    folder = trained_run(tmp_path / "trained")
    story = story_of(folder)
    assert "one network was to be trained in full; no search was asked for." in story
    assert (
        "trained for 7 epochs of recipe fast; it reaches 43.7 % on val and 41.2 % on test (weights of epoch 5" in story
    )
    assert "aseline" not in story
    assert "grow" not in story
    data = collect(RunFolder(folder))
    assert [drawn["title"] for drawn in data["architectures"]] == ["The network trained in full"]
    assert data["cost"] == [{"step": "train", "trainings": 1, "failed": 0, "seconds": 12.5, "macs": 7 * 10**9,
                             "devices": "cpu"}]  # fmt: skip
    assert data["classes"] == []  # of an older version's folder
    (folder / "train.json").unlink()
    assert "A training of 7 epochs of recipe fast was begun; it has no result yet." in story_of(folder)


def test_a_full_training_by_another_metric_and_class_by_class(tmp_path: Path) -> None:
    folder = trained_run(tmp_path / "trained")
    result = json.loads((folder / "train.json").read_text())
    cat, dog, owl = (
        {"name": name, "images": images, "recall": recall, "precision": 0.5}
        for name, images, recall in (("cat", 10, 0.9), ("dog", 0, None), ("owl", 4, 0.25))
    )
    (folder / "train.json").write_text(json.dumps(result | {"metric": "macro_f1", "by_class": [cat, dog, owl]}))
    assert "it reaches a macro f1 of 43.7 % on val and 41.2 % on test" in story_of(folder)
    assert collect(RunFolder(folder))["classes"] == [owl, cat, dog]


def test_a_search_by_latency_says_the_latency(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "quick", 3)
    record, baseline = (json.loads((folder / name).read_text()) for name in ("run.json", "baseline.json"))
    record["cost"] = {"name": "latency", "words": "latency on cpu", "unit": "ms"}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / "baseline.json").write_text(json.dumps(baseline | {"cost": 5.25}))
    assert "parameters, with a latency on cpu of 5.25 ms, that reaches" in story_of(folder)
    titles = [drawn["title"] for drawn in collect(RunFolder(folder))["architectures"]]
    assert titles == ["The baseline"]  # no opponent's training is noted


@pytest.mark.parametrize(
    ("accuracy", "begin", "titles"),
    [(0.40, "The network found beats shufflenet_v1, the best network beside it at about its cost or less: ",
      ["The baseline", "shufflenet_v1, the best network beside it"]),
     (0.99, "Take mobilenet_v2 (99.0 % ± ", ["The baseline", "mobilenet_v2, the best network beside it"])],
)  # fmt: skip
def test_the_page_says_first_which_network_to_take(
    tmp_path: Path, accuracy: float, begin: str, titles: list[str]
) -> None:
    folder = Path(shutil.copytree(SEARCHED, tmp_path / "searched"))
    points = read_points(folder / "frontier.csv")
    changed = [replace(point, accuracy=accuracy) if point.label == "mobilenet_v2" else point for point in points]
    (folder / "frontier.csv").write_text(points_csv(changed))
    assert story_of(folder).startswith(begin)
    assert [drawn["title"] for drawn in collect(RunFolder(folder))["architectures"]] == titles


@pytest.mark.parametrize(
    ("name", "content"),
    [("coefficients.json", "[]"), ("coefficients.json", '{"alpha": 1, "beta": null, "gamma": 1}'),
     ("family.json", "[{}]"), ("family.json", "{"), ("baseline.json", "{}"), ("baseline.json", '{"arch": 3}'),
     ("train.json", "[]"), ("frontier.csv", ""), ("discover.journal", "garbled\nand more\n"),
     ("compare.journal", "\x00\n"), ("scale.journal", "[]\n[]\n")],
)  # fmt: skip
def test_a_damaged_file_costs_its_own_part(tmp_path: Path, name: str, content: str) -> None:
    folder = made_up_run(tmp_path / "mine", 14)
    whole = collect(RunFolder(folder))
    (folder / name).write_text(content)
    data = collect(RunFolder(folder))
    assert len(data["unread"]) == 1
    assert data["unread"][0].startswith(f"{name} could not be read: ")
    assert "\n" not in data["unread"][0]
    assert data["unread"][0] in json.dumps(data)
    kept = {"frontier.csv": "search", "discover.journal": "frontier"}.get(name, "frontier")
    assert (data[kept] is None, data["environment"]) == (False, whole["environment"])
    story = " ".join(data["story"])
    if name in ("baseline.json", "coefficients.json"):  # it is there: nobody may say that it is not
        assert "No baseline" not in story
        assert name != "coefficients.json" or "has not been measured" not in story
    if name == "discover.journal":
        assert "0 of which" not in story
    assert render(data)


@pytest.mark.parametrize("content", ["[]", "{", "3"])
def test_without_the_record_there_is_no_page(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"run\.json"):
        collect(RunFolder(tmp_path))


def test_status_names_a_damaged_file(tmp_path: Path) -> None:
    folder = made_up_run(tmp_path / "mine", 3)
    content: object
    for content in ([], {}, 3):
        (folder / "coefficients.json").write_text(json.dumps(content))
        with pytest.raises(UserError, match=r"coefficients\.json"):
            run_status(RunFolder(folder))


def test_status_tells_of_a_full_training(tmp_path: Path) -> None:
    status: dict[str, Any] = run_status(RunFolder(trained_run(tmp_path / "trained")))
    assert status["train"] == {
        "accuracy": {"val": 0.437, "test": 0.412}, "measured": "accuracy", "epochs": 7, "recipe": "fast",
        "macs": 10**6, "params": 12345,
    }  # fmt: skip
