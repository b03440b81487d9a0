"""A trained network at work: what the training measured comes out again, files of one's own get the same classes."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from experiments.records.model import ModelRecord
from experiments.run.models import load_trained, other_advice
from experiments.tables.frontier import FrontierPoint, points_csv
from nas.data.levels import Levels
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.study.attributes import stored_outcome
from nas.study.store import read_study
from nas.training.proxy import Keep, ProxyEvaluator
from search_spaces import ArchSpec, StageSpec, StemSpec
from tests.conftest import Run
from tests.helpers.command import expect_mistake

ARCH = ArchSpec((StageSpec("conv", channels=8, stride=2),), StemSpec(8), resolution=12)
NAMES = ("dark", "light", "red")
BAD_LEVELS = Levels(integers=(0.0, 9.0)).to_json().replace("9.0", '"9"')
COMMON = ("--devices", "cpu", "--epochs", "12")


def photos(root: Path, count: int, first: int = 0, kind: str = "RGB") -> Path:
    """Noise around a brightness, or with more red: three classes that are learnt at once; wider than high."""
    for label, name in enumerate(NAMES):
        (root / name).mkdir(parents=True)
        for i in range(first, first + count):
            rng = np.random.default_rng(1000 * label + i)
            pixels = rng.integers(0, 100, (16, 20, 3)) + 120 * (label == 1)
            pixels[..., 0] += 120 * (label == 2)
            Image.fromarray(pixels.astype(np.uint8)).convert(kind).save(root / name / f"{i}.png")
    return root


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images (photos) and the run (r) of a training on them."""
    folder = tmp_path_factory.mktemp("trained")
    photos(folder / "photos", 24)
    (folder / "arch.json").write_text(ARCH.to_json())
    command = ("train", "arch.json", "photos", *COMMON, "--run", "r", "--crop", "pad", "--seed", "3")
    subprocess.run([sys.executable, "-m", "scalenas", *command], cwd=folder, check=True, capture_output=True)
    return folder


def answer(given: tuple[int, str, str]) -> Any:
    status, out, err = given
    assert status == 0, err
    return json.loads(out)


def test_evaluate_gives_what_the_training_measured(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    record = json.loads((trained / "r" / "train.json").read_text())
    found = answer(scalenas("evaluate", trained / "r", trained / "photos", "--json"))
    assert found["value"] == found["measured_in_training"] == record["accuracy"]["test"]
    assert (found["splits"], found["same_data"], found["images"]) == (["test"], True, record["data"]["images"]["test"])
    by_class = {row["class"]: (row["images"], row["recall"], row["precision"]) for row in found["classes"]}
    assert by_class == {
        each["name"]: (each["images"], each["recall"], each["precision"]) for each in record["by_class"]
    }
    val = answer(scalenas("evaluate", trained / "r", trained / "photos", "--split", "val", "--json"))
    assert val["value"] == val["measured_in_training"] == record["accuracy"]["val"]
    everything = answer(scalenas("evaluate", trained / "r", trained / "photos", "--split", "all", "--json"))
    assert everything["images"] == 72
    assert everything["measured_in_training"] is None
    # The weights alone are enough, wherever they lie; nothing is left behind.
    shutil.copy(trained / "r" / "weights.safetensors", tmp_path / "net.safetensors")
    alone = answer(scalenas("evaluate", tmp_path / "net.safetensors", trained / "photos", "--json"))
    assert alone == found
    assert [path.name for path in tmp_path.iterdir()] == ["net.safetensors"]


def test_the_tables_agree_with_one_another(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "photos", tmp_path / "wrong")
    for i in (0, 1):  # two of one class are put into another
        shutil.move(tmp_path / "wrong" / "dark" / f"{i}.png", tmp_path / "wrong" / "light" / f"moved{i}.png")
    command = ("evaluate", trained / "r", tmp_path / "wrong")
    found = answer(scalenas(*command, "--json", "-o", tmp_path / "out"))
    assert (found["same_data"], found["splits"]) == (False, ["train", "val", "test"])
    confusion = np.array(found["confusion"])
    assert confusion.sum() == found["images"] == 72
    assert confusion.sum(1).tolist() == [22, 26, 24]
    assert found["value"] == pytest.approx(np.trace(confusion) / 72)
    assert confusion[1, 0] >= 2
    mistakes = {each["image"] for each in found["mistakes"]}
    assert {"light/moved0.png", "light/moved1.png"} <= mistakes
    sure = [each["probability"] for each in found["mistakes"]]
    assert sure == sorted(sure, reverse=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "classes.csv", "confusion.csv", "confusion.png", "images.csv", "mistakes.csv",
    ]  # fmt: skip
    images = list(csv.DictReader((tmp_path / "out" / "images.csv").open()))
    assert len({row["image"] for row in images}) == len(images) == found["images"]
    right = sum(row["class"] == row["predicted"] for row in images)
    assert right / len(images) == pytest.approx(found["value"])
    rows = list(csv.reader((tmp_path / "out" / "confusion.csv").open()))
    assert rows[0] == ["class", *NAMES]
    assert np.array_equal(np.array(rows[1:])[:, 1:].astype(int), confusion)
    shown = scalenas(*command)[1]
    assert "not the images that it was trained on" in " ".join(shown.split())
    assert "light/moved" in shown


def test_predict_reads_a_file_as_the_training_did(scalenas: Run, trained: Path) -> None:
    files = sorted(map(str, (trained / "photos").glob("*/*.png")))
    model = load_trained(str(trained / "r"))
    assert model.record.images.crop == "pad"
    found = answer(scalenas("predict", trained / "r", *files, "--json", "--top", "9"))
    assert [each["image"] for each in found] == files
    assert all(len(each["classes"]) == 3 for each in found)
    assert all(sum(guess["probability"] for guess in each["classes"]) == pytest.approx(1) for each in found)
    # Image by image as `evaluate` has them from its cache.
    whole = answer(scalenas("evaluate", trained / "r", trained / "photos", "--split", "all", "--json"))
    right = sum(each["classes"][0]["name"] == Path(each["image"]).parent.name for each in found)
    assert right / len(files) == whole["value"]


def test_what_predict_prints(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    root = photos(tmp_path / "new", 1, first=100)
    files = [str(root / name / "100.png") for name in NAMES]
    lines = scalenas("predict", trained / "r", *files, "--top", "1")[1].splitlines()
    assert len(lines) == 3
    assert all(line.startswith(file) and line.endswith("%") for line, file in zip(lines, files, strict=True))
    rows = list(csv.DictReader(io.StringIO(scalenas("predict", trained / "r", *files, "--csv", "--top", "2")[1])))
    assert [(row["image"], row["rank"]) for row in rows] == [(file, rank) for file in files for rank in "12"]
    # Grey, transparent and large pictures are images as well.
    Image.new("L", (300, 200), 30).save(tmp_path / "grey.png")
    Image.new("LA", (9, 7)).save(tmp_path / "clear.png")
    assert scalenas("predict", trained / "r", tmp_path / "grey.png", tmp_path / "clear.png")[0] == 0


def test_grey_digits_and_their_files(scalenas: Run, tmp_path: Path) -> None:
    (tmp_path / "arch.json").write_text(replace(ARCH, resolution=8, input_channels=1).to_json())
    assert scalenas("train", tmp_path / "arch.json", "digits", *COMMON, "--run", tmp_path / "r")[0] == 0
    found = answer(scalenas("evaluate", tmp_path / "r", "digits", "--json"))
    assert found["value"] == found["measured_in_training"]
    assert all(each["image"] == "" for each in found["mistakes"])
    Image.new("RGB", (20, 20), (90, 90, 90)).save(tmp_path / "a.png")
    assert len(answer(scalenas("predict", tmp_path / "r", tmp_path / "a.png", "--json"))[0]["classes"]) == 3


def test_of_other_images_none_is_left_out(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    """Though the training was on some of its images alone, in groups that others do not have."""
    few = tmp_path / "few"
    command = ("train", trained / "arch.json", trained / "photos", *COMMON, "--run", few)
    assert scalenas(*command, "--train-images", "12", "--group", r"(\d)\.png")[0] == 0
    same = answer(scalenas("evaluate", few, trained / "photos", "--json"))
    assert same["value"] == same["measured_in_training"]
    others = photos(tmp_path / "others", 9, first=300)
    for path in list(others.glob("*/*.png")):
        path.rename(path.with_suffix(".jpg.png"))
    found = answer(scalenas("evaluate", few, others, "--json"))
    assert (found["images"], found["same_data"]) == (27, False)


def test_another_folder_of_some_of_the_classes(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    root = photos(tmp_path / "new", 8, first=200)
    shutil.rmtree(root / "dark")
    found = answer(scalenas("evaluate", trained / "r", root, "--json"))
    assert found["images"] == 16
    assert [sum(row) for row in found["confusion"]] == [0, 8, 8]
    (root / "red").rename(root / "blue")
    expect_mistake(scalenas("evaluate", trained / "r", root), "'blue'", "none of the network's", "dark, light, red")


def test_of_a_folder_all_images_are_predicted(scalenas: Run, trained: Path) -> None:
    folder = trained / "photos"
    (folder / "notes.txt").touch()
    files = sorted(str(file) for file in folder.rglob("*.png"))
    for given in (files, [folder]):
        status, out, err = scalenas("predict", trained / "r", *given, "--top", "1", "--json")
        assert status == 0, err
        assert [each["image"] for each in json.loads(out)] == files


def test_of_a_run_that_advises_another_network_that_is_said(trained: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "r", run)
    point = FrontierPoint(
        "baseline", "baseline", "run", "photos", "test", 1, "fast", 3, 0.5, 0.01, 10**5, 10**4, 8, "0", ram=1, flash=1
    )
    for accuracy, advised in ((0.7, True), (0.3, False)):
        best = replace(point, label="plain_resnet, 2 M", role="reference", accuracy=accuracy, arch_id="1")
        (run / "frontier.csv").write_text(points_csv([point, best]))
        (run / ModelRecord.FILE).unlink(missing_ok=True)  # of a full training, which comes first
        line = other_advice(str(run))
        assert (line is not None and "its report advises plain_resnet, 2 M" in line) == advised
    (run / "models").mkdir(exist_ok=True)
    (run / "models" / "plain_resnet_2_M.safetensors").touch()
    (run / "frontier.csv").write_text(points_csv([point, replace(best, accuracy=0.7)]))
    assert f"give {run / 'models' / 'plain_resnet_2_M.safetensors'}" in str(other_advice(str(run)))
    (run / "frontier.csv").write_text("label,role\nbaseline,baseline\n")
    assert other_advice(str(run)) is None  # a damaged table keeps nobody from the network


def test_models_and_images_that_cannot_be(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    image = trained / "photos" / "red" / "0.png"
    (tmp_path / "empty").mkdir()
    expect_mistake(scalenas("predict", tmp_path / "empty", image), "no trained network in it", "scalenas train")
    expect_mistake(scalenas("predict", tmp_path / "none", image), "no such file or folder")
    save_file({"a": torch.ones(1)}, tmp_path / "bare.safetensors")
    expect_mistake(scalenas("predict", tmp_path / "bare.safetensors", image), "not a trained network of this program")
    (tmp_path / "text.safetensors").write_text("hello")
    expect_mistake(scalenas("evaluate", tmp_path / "text.safetensors", trained / "photos"), "text.safetensors")
    (tmp_path / "a.png").write_bytes(b"no picture")
    expect_mistake(scalenas("predict", trained / "r", image, tmp_path / "a.png"), "a.png", "not an image")
    expect_mistake(scalenas("predict", trained / "r", tmp_path / "b.png"), "b.png", "No such file")
    expect_mistake(scalenas("predict", trained / "r", image, tmp_path / "empty"), "empty: no images in this folder")
    expect_mistake(scalenas("predict", trained / "r", "/dev/zero"), "/dev/zero", "no regular file")
    os.mkfifo(tmp_path / "pipe")
    expect_mistake(scalenas("predict", trained / "r", tmp_path / "pipe"), "no regular file")
    np.save(tmp_path / "a.npy", np.zeros((8, 8, 5)))
    expect_mistake(scalenas("predict", trained / "r", tmp_path / "a.npy"), "channels (the network takes 3)")
    for words in (("evaluate", "", "digits"), ("evaluate", trained / "r", ""), ("predict", "", image)):
        expect_mistake(scalenas(*words), "empty")
    expect_mistake(scalenas("evaluate", trained / "r", trained / "photos", "-o", ""), "empty")
    expect_mistake(scalenas("evaluate", trained / "r", trained / "photos", "-o", image), "is a file, not a folder")
    expect_mistake(scalenas("predict", trained / "r", image, "--csv", "--json"), "exclude each other")
    expect_mistake(scalenas("evaluate", trained / "r", tmp_path / "none"), "no such folder")


def test_a_metric_of_ones_own_gives_way_to_accuracy(scalenas: Run, trained: Path, tmp_path: Path) -> None:
    said = load_trained(str(trained / "r")).record.to_json() | {"metric": "beauty"}
    file = tmp_path / "weights.safetensors"
    save_file(load_file(trained / "r" / "weights.safetensors"), file, metadata={"scalenas": json.dumps(said)})
    found = answer(scalenas("evaluate", file, trained / "photos", "--json"))
    assert (found["metric"], found["measured_in_training"]) == ("accuracy", None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ["a"]}, ("weights.safetensors",)),
        ({"mean": "grey"}, ("mean", "must be a list")),
        ({"metric": None}, ("metric",)),
        ({"images": {"size": 0, "channels": 3, "crop": "pad", "levels": "{}"}}, ("images.size",)),
        ({"images": {"size": 16, "channels": 3, "crop": "pad", "levels": "{}"}}, ("images.levels",)),
        ({"images": {"size": 16, "channels": 3, "crop": "pad", "levels": "[]"}}, ("images.levels",)),
        ({"images": {"size": 16, "channels": 3, "crop": "pad", "levels": BAD_LEVELS}}, ("images.levels",)),
        ({"images": {"size": 16, "channels": 3, "crop": "round", "levels": "{}"}}, ("crop",)),
        ({"std": [0.1, 0.1]}, ("std",)),
    ],
)
def test_a_file_that_says_what_cannot_be(
    scalenas: Run, trained: Path, tmp_path: Path, change: dict[str, Any], words: tuple[str, ...]
) -> None:
    said = load_trained(str(trained / "r")).record.to_json() | change
    file = tmp_path / "weights.safetensors"
    save_file(load_file(trained / "r" / "weights.safetensors"), file, metadata={"scalenas": json.dumps(said)})
    expect_mistake(scalenas("evaluate", file, trained / "photos"), *words)


# --- Networks of a frontier ------------------------------------------------------------------------------------------


RUN = ("digits", "--devices", "cpu", "--workers", "1", "--seed", "5", "--final-epochs", "2", "--final-seeds", "2")
ARCHS = ("--arch", "arch.json", "--arch", "plain_resnet", "--target-macs", "100k", "--epochs", "1")


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run (r) of two networks that were compared."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / "arch.json").write_text(replace(ARCH, resolution=8, input_channels=1).to_json())
    command = ("compare", *RUN, *ARCHS, "--run", "r")
    subprocess.run([sys.executable, "-m", "scalenas", *command], cwd=folder, check=True, capture_output=True)
    return folder


def points_of(folder: Path) -> dict[str, dict[str, str]]:
    return {row["label"]: row for row in csv.DictReader((folder / "r" / "frontier.csv").open())}


def test_each_network_of_the_frontier_is_a_model(scalenas: Run, compared: Path) -> None:
    models = sorted((compared / "r" / "models").iterdir())
    assert [path.name for path in models] == ["arch.json.safetensors", "plain_resnet.safetensors"]
    for path, label in zip(models, ("arch.json", "plain_resnet"), strict=True):
        found = answer(scalenas("evaluate", path, "digits", "--json"))
        assert found["value"] == found["measured_in_training"]
        val = answer(scalenas("evaluate", path, "digits", "--split", "val", "--json"))
        assert val["value"] == val["measured_in_training"]
        # Of two seeds one is kept; the table has the mean and the deviation, which tell both.
        row = points_of(compared)[label]
        both = [float(row["accuracy"]) + sign * float(row["std"]) / 2**0.5 for sign in (1, -1)]
        assert min(abs(found["value"] - each) for each in both) < 1e-4
    assert "What now: the trained weights of 2 networks are in models/" in (compared / "r" / "report.html").read_text()


def test_the_seed_that_is_best_on_val_is_kept(compared: Path) -> None:
    study = read_study(compared / "r" / "compare.journal", "compare")
    record = load_trained(str(compared / "r" / "models" / "plain_resnet.safetensors")).record
    trials = [trial for trial in study.get_trials() if trial.user_attrs["arch_id"] == record.arch.id]
    outcomes = [outcome for trial in trials if (outcome := stored_outcome(trial)) is not None]
    assert len(outcomes) == 2
    best = max(outcomes, key=lambda each: each.metrics["val_accuracy"])
    assert (record.accuracy.val, record.accuracy.test) == (best.metrics["val_accuracy"], best.value)


def test_going_on_leaves_models_and_says_what_has_none(scalenas: Run, compared: Path, tmp_path: Path) -> None:
    shutil.copytree(compared, tmp_path / "again")
    models = tmp_path / "again" / "r" / "models"
    before = {path.name: path.read_bytes() for path in models.iterdir()}
    (models / "plain_resnet.safetensors").unlink()
    command = ("compare", *RUN, *ARCHS[2:], "--arch", tmp_path / "again" / "arch.json", "--run", models.parent)
    status, _, err = scalenas(*command)
    assert status == 0, err
    assert "no trained weights of plain_resnet" in err
    assert (models / "arch.json.safetensors").read_bytes() == before["arch.json.safetensors"]
    assert not (models / "plain_resnet.safetensors").exists()


def test_an_export_has_the_trained_weights(scalenas: Run, compared: Path, tmp_path: Path) -> None:
    model = compared / "r" / "models" / "plain_resnet.safetensors"
    said = answer(scalenas("export", model, "-o", tmp_path / "net.py", "--json"))[0]
    assert said["num_classes"] == 10
    assert said["weights"] == str(model)
    facts = json.loads((tmp_path / "net.py.model.json").read_text())
    record = load_trained(str(model)).record
    assert facts["classes"] == list(record.classes)
    assert facts["accuracy"] == {"val": record.accuracy.val, "test": record.accuracy.test}
    assert facts["provenance"]["training"]["epochs"] > 0
    expect_mistake(scalenas("predict", compared / "r", tmp_path / "net.py"), "no baseline", "models/arch.json")


def test_models_of_names_that_are_written_alike_stay_apart(compared: Path, tmp_path: Path) -> None:
    shutil.copytree(compared, tmp_path / "again")
    models = tmp_path / "again" / "r" / "models"
    before = (models / "arch.json.safetensors").read_bytes()
    wide = {"plain_resnet.json": 12, "arch_json": 16, "arch json": 20}
    command = (sys.executable, "-m", "scalenas", "compare", *RUN, "--run", "r")
    for name, channels in wide.items():
        arch = replace(ARCH, stages=(replace(ARCH.stages[0], channels=channels),), resolution=8, input_channels=1)
        (tmp_path / "again" / name).write_text(arch.to_json())
        subprocess.run([*command, "--arch", name], cwd=tmp_path / "again", check=True, capture_output=True)
    kept = {path.name: load_trained(str(path)).record.arch for path in models.iterdir()}
    assert len(kept) == 5
    assert (models / "arch.json.safetensors").read_bytes() == before
    assert kept["arch_json.safetensors"].stages[0].channels == 16
    (apart,) = (arch for name, arch in kept.items() if name.startswith("arch_json_"))
    assert apart.stages[0].channels == 20


def test_weights_that_cannot_be_written_lose_no_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    dataset = open_dataset("digits", tmp_path / "cache", train_images=200)
    keep = Keep(tmp_path / "file" / "models", "test")
    asked = Request(replace(ARCH, resolution=8, input_channels=1), Fidelity(1), 0, "test")
    outcome = ProxyEvaluator(dataset, threads=1, keep=keep).evaluate(asked, "cpu", lambda *_: True)
    assert outcome.value is not None


def test_only_trainings_of_the_frontier_are_kept(tmp_path: Path) -> None:
    keep = Keep(tmp_path, "test")
    arch = replace(ARCH, resolution=8, input_channels=1)
    assert keep.file(Request(arch, Fidelity(2), 0, "val")) is None
    assert keep.file(Request(arch, Fidelity(2), 3, "test")) == tmp_path / f"{arch.id}-3.safetensors"
