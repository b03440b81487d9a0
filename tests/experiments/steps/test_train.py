"""Full trainings by the command: gone on from after any kill to the same end, what is kept, and fine-tuning."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from experiments.options.plans import TrainPlan
from experiments.report.collect import collect
from experiments.run.folder import RunFolder
from nas.data import feed
from nas.data.augment import crop_flip
from nas.data.feed import open_feed
from nas.data.source import open_dataset
from nas.training.checkpoint import Checkpoints
from nas.training.loop import predict
from nas.training.objective import ACCURACY
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, load_weights, reference_arch
from search_spaces.network import classifier_name
from tests.helpers.command import Run, expect_mistake

ARCH = ArchSpec(
    stages=(StageSpec(expand=2, channels=8, layers=2), StageSpec(expand=2, channels=16, stride=2)),
    stem=StemSpec(channels=8, stride=1),
    head=HeadSpec(32),
    resolution=8,
    dropout=0.5,
    drop_path=0.5,
)
ONCE = ("--devices", "cpu", "--epochs", "1")
COMMON = ("--devices", "cpu", "--train-images", "100", "--epochs", "3")


@pytest.fixture
def arch(tmp_path: Path) -> Path:
    path = tmp_path / "arch.json"
    path.write_text(ARCH.to_json())
    return path


def result_of(answer: tuple[int, str, str]) -> dict[str, Any]:
    status, out, err = answer
    assert status == 0, err
    record: dict[str, Any] = json.loads(out)
    return record


def test_a_busy_machine_trains_with_the_threads_that_are_free(
    scalenas: Run, arch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("experiments.steps.train.free_cores", lambda: 1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        status, out, err = scalenas("train", arch, "digits", "--run", tmp_path / "run", *COMMON, "--json")
        assert status == 0, err
        assert "other programs are busy: 1 of 2 CPU threads" in err
        assert re.search(r"plan: \d epochs? of \S+ images, recipe fast, on 1 CPU thread; a network of", err)
        assert json.loads(out)["threads"] == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def unbalanced(tmp_path: Path) -> Path:
    """Images in splits of their own: many of one class, ten of another, two of a third."""
    for split, counts in (("train", (60, 10, 2)), ("val", (8, 4, 0)), ("test", (9, 3, 1))):
        for label, count in enumerate(counts):
            folder = tmp_path / "images" / split / "abc"[label]
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.random.default_rng([label, i, len(split)]).integers(0, 90, (8, 8, 3)).astype(np.uint8)
                pixels[..., label] += 120
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "images"


def test_the_figures_of_each_class_are_kept(scalenas: Run, arch: Path, tmp_path: Path, unbalanced: Path) -> None:
    command = ("train", arch, unbalanced, "--devices", "cpu", "--epochs", "2", "--run", tmp_path / "run", "--json")
    record = result_of(scalenas(*command, "--metric", "balanced_accuracy", "--class-weights"))
    assert (record["metric"], record["loss"]) == ("balanced_accuracy", "class_weighted_cross_entropy")
    assert [(each["name"], each["images"]) for each in record["by_class"]] == [("a", 9), ("b", 3), ("c", 1)]
    recalls = [each["recall"] for each in record["by_class"]]
    assert record["accuracy"]["test"] == pytest.approx(sum(recalls) / 3)
    found = collect(RunFolder(tmp_path / "run"))["classes"]
    assert [each["recall"] for each in found] == sorted(recalls)
    assert {each["name"]: each["precision"] for each in found} == {
        each["name"]: each["precision"] for each in record["by_class"]
    }
    status, out, _ = scalenas("status", tmp_path / "run")
    assert (status, "balanced accuracy val" in out) == (0, True)
    expect_mistake(
        scalenas(*command),
        "recipe fast, loss=class_weighted_cross_entropy,metric=balanced_accuracy (by `scalenas train ",
        "`), not fast: ask for the same again",
    )


def test_a_class_with_two_images_is_trained_on(scalenas: Run, arch: Path, tmp_path: Path, unbalanced: Path) -> None:
    shutil.rmtree(unbalanced / "val")
    shutil.rmtree(unbalanced / "test")
    status, out, err = scalenas("train", arch, unbalanced, *ONCE, "--run", tmp_path / "run", "--json")
    assert status == 0, err
    assert [each["images"] for each in json.loads(out)["by_class"]] == [9, 2, 0]
    assert "classes: none in test of c" in err


@pytest.mark.usefixtures("arch")
@pytest.mark.parametrize("options", [(), ("--no-flip",)])
def test_images_are_mirrored_unless_told_otherwise(
    scalenas: Run, tmp_path: Path, unbalanced: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    mirrored: list[bool] = []

    def noted(*given: Any) -> torch.Tensor:
        mirrored.append(given[-1] is not None)
        return crop_flip(*given)

    monkeypatch.setattr(feed, "crop_flip", noted)
    command = ("train", tmp_path / "arch.json", unbalanced, *ONCE, "--run", tmp_path / "run")
    status, _, err = scalenas(*command, *options)
    assert status == 0, err
    assert set(mirrored) == {options == ()}
    other = () if options else ("--no-flip",)
    expect_mistake(scalenas(*command, *other), "no flip", "choose another --run")


@pytest.mark.usefixtures("arch")
@pytest.mark.parametrize(("one", "other"), [("center", "pad"), ("stretch", "center"), ("pad", "stretch")])
def test_images_cut_otherwise_are_other_data(
    scalenas: Run, tmp_path: Path, unbalanced: Path, one: str, other: str
) -> None:
    cache = tmp_path / "cache"
    command = ("train", tmp_path / "arch.json", unbalanced, *ONCE, "--run", tmp_path / "run", "--cache", cache)
    status, _, err = scalenas(*command, "--crop", one)
    assert status == 0, err
    expect_mistake(scalenas(*command, "--crop", other), "was made with data set")
    assert len(list(cache.iterdir())) == 2


def same_training(one: Path, other: Path) -> None:
    """Equal results and equal weights, to the bit."""
    records = [json.loads((folder / "train.json").read_text()) for folder in (one, other)]
    assert [len(records[0][name]) for name in ("mean", "std", "classes")] == [1, 1, 10]
    for record in records:
        del record["seconds"]
    assert records[0] == records[1]
    first, second = (load_file(folder / "weights.safetensors") for folder in (one, other))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("options", [("fast", "best"), ("fast", "last"), ("paper", "best"), ("paper", "last")])
def test_interrupted_trainings_end_as_unbroken_ones(
    scalenas: Run, arch: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, str]
) -> None:
    recipe, keep = options
    command = ("train", arch, "digits", *COMMON, "--recipe", recipe, "--keep", keep, "--cache", tmp_path / "cache")
    whole = result_of(scalenas(*command, "--run", tmp_path / "whole", "--json"))
    save = Checkpoints.save
    kept: list[int] = []

    def save_and_stop(self: Checkpoints, training: Any, progress: Any) -> None:
        save(self, training, progress)
        kept.append(len(progress.curve))
        raise KeyboardInterrupt

    monkeypatch.setattr(Checkpoints, "save", save_and_stop)
    for _ in range(3):
        status, _, err = scalenas(*command, "--run", tmp_path / "broken")
        assert status == 130
        assert "Go on with: scalenas train" in err
        torch.manual_seed(5)  # whatever is drawn in between must not matter
    assert kept == [1, 2, 3]
    monkeypatch.undo()
    monkeypatch.setattr(sys, "argv", ["scalenas"])
    assert result_of(scalenas(*command, "--run", tmp_path / "broken", "--json"))["epochs"] == 3
    same_training(tmp_path / "whole", tmp_path / "broken")
    assert not (tmp_path / "whole" / "checkpoint").exists()
    assert whole["weights"]["kept"] == keep
    curve = whole["curve"]
    assert whole["weights"]["epoch"] == (3 if keep == "last" else curve.index(max(curve)) + 1)
    assert whole["accuracy"]["val"] == curve[whole["weights"]["epoch"] - 1]


def test_a_killed_process_is_gone_on_from(scalenas: Run, arch: Path, tmp_path: Path) -> None:
    command = ["train", str(arch), "digits", *COMMON, "--epochs", "12", "--cache", str(tmp_path / "cache"), "--run"]
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments", *command, str(tmp_path / "killed")],
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    checkpoints = tmp_path / "killed" / "checkpoint"
    while process.poll() is None and not list(checkpoints.glob("epoch-*.pt")):
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    status, _, err = scalenas(*command, tmp_path / "killed")
    assert status == 0
    assert "going on after epoch" in err
    assert scalenas(*command, tmp_path / "whole")[0] == 0
    same_training(tmp_path / "whole", tmp_path / "killed")


def test_a_half_written_checkpoint_is_none(scalenas: Run, arch: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "r" / "checkpoint"
    checkpoints.mkdir(parents=True)
    (checkpoints / "epoch-1.safetensors").write_bytes(b"only the first of two files")
    (checkpoints / "epoch-2.pt.partial").write_bytes(b"half")
    result = result_of(scalenas("train", arch, "digits", *COMMON, "--run", tmp_path / "r", "--json"))
    assert len(result["curve"]) == 3
    assert not checkpoints.exists()


def test_a_damaged_checkpoint_is_named(scalenas: Run, arch: Path, tmp_path: Path) -> None:
    checkpoints = tmp_path / "r" / "checkpoint"
    checkpoints.mkdir(parents=True)
    (checkpoints / "epoch-1.pt").write_bytes(b"not a file of torch's")
    expect_mistake(scalenas("train", arch, "digits", *COMMON, "--run", tmp_path / "r"), "epoch-1.pt", "begin anew")


def test_the_weights_give_the_accuracy_that_is_told(scalenas: Run, arch: Path, tmp_path: Path) -> None:
    command = ("train", arch, "digits", *COMMON, "--run", tmp_path / "r", "--json")
    record = result_of(scalenas(*command))
    network = build_network(ArchSpec.from_dict(record["arch"]), 10)
    load_weights(network, tmp_path / "r" / "weights.safetensors")
    dataset = open_dataset("digits", tmp_path / "r" / "cache", train_images=100)
    for split in ("val", "test"):
        feed = open_feed(dataset, split, torch.device("cpu"), share=1.0, resolution=8, channels=3)
        assert ACCURACY.of(predict(network, feed), feed.labels) == record["accuracy"][split]
    # Its learning curve is on its page, and can be drawn again.
    curve = (tmp_path / "r" / "curve.svg").read_bytes()
    (tmp_path / "r" / "curve.svg").unlink()
    assert scalenas("redraw", tmp_path / "r")[0] == 0
    assert (tmp_path / "r" / "curve.svg").read_bytes() == curve
    page = (tmp_path / "r" / "report.html").read_text()
    assert "The full training, epoch by epoch" in page
    assert "What now: name the classes of images by scalenas predict r IMAGE" in page
    # Asked again, it answers without training.
    before = (tmp_path / "r" / "weights.safetensors").stat().st_mtime_ns
    assert result_of(scalenas(*command)) == record
    assert (tmp_path / "r" / "weights.safetensors").stat().st_mtime_ns == before
    for change in (("--epochs", "4"), ("--recipe", "paper"), ("--keep", "last"), ("--seed", "1")):
        expect_mistake(scalenas(*command, *change), "was made with")


def test_a_known_network_is_fitted_to_the_data(scalenas: Run, tmp_path: Path) -> None:
    run = ("--run", tmp_path / "r", "--target-macs", "100k", "--epochs", "1", "--train-images", "40")
    record = result_of(scalenas("train", "mobilenet_v2", "digits", "--devices", "cpu", *run, "--json"))
    assert record["macs"] == pytest.approx(100e3, rel=0.2)
    assert record["arch"]["input_channels"] == 1


# --- Fine-tuning -----------------------------------------------------------------------------------------------------


@pytest.fixture
def pretrained(tmp_path: Path) -> Path:
    """Weights of a network of five classes."""
    torch.manual_seed(1)
    path = tmp_path / "pretrained.safetensors"
    save_file(build_network(ARCH, 5).state_dict(), path)
    return path


def test_a_frozen_body_stays_as_it_came(scalenas: Run, arch: Path, pretrained: Path, tmp_path: Path) -> None:
    options = ("--weights", pretrained, "--freeze-body", "--keep", "last")
    record = result_of(scalenas("train", arch, "digits", *COMMON, *options, "--run", tmp_path / "r", "--json"))
    assert (record["body_rate"], record["started_from"]) == (0, str(pretrained))
    before, after = load_file(pretrained), load_file(tmp_path / "r" / "weights.safetensors")
    head = classifier_name(build_network(ARCH, 10))
    for key in before:
        if key.startswith(head):
            assert len(after[key]) == 10
        else:
            assert torch.equal(before[key], after[key]), key


def test_the_body_learns_at_the_full_rate_unless_told_otherwise() -> None:
    assert TrainPlan(weights="w.pth").rate_factor == TrainPlan().rate_factor == 1.0
    assert TrainPlan(weights="w.pth", body_rate=0.3).rate_factor == 0.3


def test_it_is_told_what_is_loaded_and_what_is_enlarged(
    scalenas: Run, arch: Path, pretrained: Path, tmp_path: Path
) -> None:
    larger = tmp_path / "larger.json"
    larger.write_text(replace(ARCH, resolution=12).to_json())
    command = ("digits", *COMMON, "--epochs", "1", "--cache", tmp_path / "cache", "--run")
    said = [
        scalenas("train", larger, *command, tmp_path / "new", "--weights", pretrained)[2],
        scalenas("train", arch, *command, tmp_path / "old", "--weights", tmp_path / "new" / "weights.safetensors")[2],
    ]
    new, old = (" ".join(text.split()) for text in said)
    assert "images of 8 pixels are enlarged to the network's 12" in new
    assert "classifier of 10 classes: a new one" in new
    assert "classifier of 10 classes: the file's" in old
    assert "enlarged" not in old


def test_a_lower_rate_moves_the_body_less(scalenas: Run, arch: Path, pretrained: Path, tmp_path: Path) -> None:
    before = load_file(pretrained)
    moved = []
    for rate in ("0.001", "1"):
        run = tmp_path / rate
        options = ("--weights", pretrained, "--body-rate", rate, "--keep", "last", "--run", run, "--json")
        assert result_of(scalenas("train", arch, "digits", *COMMON, *options))["body_rate"] == float(rate)
        moved.append(float((load_file(run / "weights.safetensors")["stem.0.weight"] - before["stem.0.weight"]).norm()))
    assert 0 < moved[0] < 0.1 * moved[1]


def images(folder: Path) -> Path:
    """Two classes of 20 noisy images of 32 pixels."""
    rng = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        for i in range(20):
            Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_weights_of_a_known_network_fit_it_as_published(scalenas: Run, tmp_path: Path) -> None:
    weights = tmp_path / "mobilenet_v2.pth"
    torch.save(build_network(reference_arch("mobilenet_v2"), 1000).state_dict(), weights)
    data = images(tmp_path / "data")
    options = ("--weights", weights, "--resolution", "32", "--freeze-body", "--devices", "cpu", "--epochs", "1")
    record = result_of(scalenas("train", "mobilenet_v2", data, *options, "--run", tmp_path / "r", "--json"))
    arch = ArchSpec.from_dict(record["arch"])
    assert arch == replace(reference_arch("mobilenet_v2"), resolution=32)
    assert record["params"] == 3_504_872 - 998 * 1281
    # What was trained can be trained on under its own file.
    again = (*options[2:], "--weights", tmp_path / "r" / "weights.safetensors", "--run", tmp_path / "again", "--json")
    record = result_of(scalenas("train", tmp_path / "r" / "train.json", data, *again))
    assert ArchSpec.from_dict(record["arch"]) == arch


def test_images_are_normalised_as_the_weights_say(scalenas: Run, arch: Path, pretrained: Path, tmp_path: Path) -> None:
    command = ("train", arch, "digits", *COMMON, "--epochs", "1", "--cache", tmp_path / "cache", "--json")
    plain = result_of(scalenas(*command, "--run", tmp_path / "plain"))
    given = ("--weights", pretrained, "--run")
    pretrained.with_suffix(".json").write_text('{"mean": [0.5], "std": [0.25]}')
    record = result_of(scalenas(*command, *given, tmp_path / "record"))
    assert (record["mean"], record["std"]) == ([0.5], [0.25])
    data = result_of(scalenas(*command, *given, tmp_path / "data", "--normalise", "data"))
    assert (data["mean"], data["std"]) == (plain["mean"], plain["std"])
    asked = result_of(scalenas(*command, *given, tmp_path / "asked", "--normalise", "0.25/0.5"))
    assert (asked["mean"], asked["std"]) == ([0.25], [0.5])
    assert len({each["accuracy"]["val"] for each in (record, data, asked)}) > 1
    # What was trained so says so itself, to the next training and to an export.
    trained = tmp_path / "asked" / "weights.safetensors"
    again = result_of(scalenas(*command, "--weights", trained, "--run", tmp_path / "again"))
    assert (again["mean"], again["std"]) == ([0.25], [0.5])
    assert scalenas("export", arch, "--weights", trained, "-o", tmp_path / "net.py")[0] == 0
    assert json.loads((tmp_path / "net.py.model.json").read_text())["mean"] == [0.25]
    expect_mistake(scalenas(*command, *given, tmp_path / "asked", "--normalise", "data"), "normalisation")


def test_grey_weights_of_another_width_on_photos(scalenas: Run, tmp_path: Path) -> None:
    """As people find them: narrower than the name says, for one channel, without a classifier, padded as TensorFlow."""
    published = reference_arch("mobilenet_v1")
    narrow = replace(
        published,
        input_channels=1,
        stem=replace(published.stem, channels=4),
        stages=tuple(replace(stage, channels=8) for stage in published.stages),
    )
    network = build_network(narrow, 1000)
    state = {k: v for k, v in network.state_dict().items() if not k.startswith(classifier_name(network))}
    save_file(state, tmp_path / "grey.weights")
    (tmp_path / "grey.json").write_text('{"padding": "same"}')
    data = images(tmp_path / "data")
    options = ("--resolution", "32", "--devices", "cpu", "--epochs", "1")
    command = ("train", "mobilenet_v1", data, "--weights", tmp_path / "grey.weights", *options)
    expect_mistake(scalenas(*command, "--run", tmp_path / "colour"), "input channels are 1", "--grey")
    record = result_of(scalenas(*command, "--grey", "--run", tmp_path / "r", "--json"))
    arch = ArchSpec.from_dict(record["arch"])
    assert (arch.padding, arch.stem.channels, [stage.channels for stage in arch.stages]) == ("same", 4, [8] * 5)


@pytest.mark.parametrize("text", ["imagenett", "0.5", "0.5/", "0.5/0", "0.5/x", "1.5/0.5", "nan/0.5", "1/2/3"])
def test_a_normalisation_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match="`normalise`"):
        TrainPlan(normalise=text)


def test_a_normalisation_for_other_channels(scalenas: Run, arch: Path, tmp_path: Path) -> None:
    command = ("train", arch, "digits", *COMMON, "--run", tmp_path / "r", "--normalise", "imagenet")
    expect_mistake(scalenas(*command), "for 3 channels", "have 1", "--normalise")


def test_a_network_too_large_to_be_built(scalenas: Run, tmp_path: Path) -> None:
    command = ("digits", *COMMON, "--run", tmp_path / "r")
    expect_mistake(scalenas("train", "mobilenet_v2", *command, "--target-macs", "99999999999"), "too large to be built")
    huge = replace(ARCH, stages=tuple(replace(stage, channels=400_000) for stage in ARCH.stages))
    (tmp_path / "huge.json").write_text(huge.to_json())
    expect_mistake(scalenas("train", tmp_path / "huge.json", *command), "too large to be built")


def test_options_and_files_that_cannot_be(scalenas: Run, arch: Path, pretrained: Path, tmp_path: Path) -> None:
    command = ("train", arch, "digits", *COMMON, "--run", tmp_path / "r")
    expect_mistake(scalenas(*command, "--recipe", "slow"), "recipe", "fast, paper", "slow")
    expect_mistake(scalenas(*command, "--keep", "none"), "keep", "best, last")
    expect_mistake(scalenas(*command, "--epochs", "0"), "epochs")
    expect_mistake(scalenas(*command, "--freeze-body"), "--weights")
    expect_mistake(scalenas(*command, "--weights", pretrained, "--body-rate", "0"), "--body-rate", "above 0")
    expect_mistake(scalenas(*command, "--weights", pretrained, "--body-rate", "0.5", "--freeze-body"), "exclude")
    expect_mistake(scalenas(*command, "--weights", tmp_path / "no.pth"), "no.pth", "no such file")
    (tmp_path / "cut.safetensors").write_bytes(pretrained.read_bytes()[:1000])
    expect_mistake(scalenas(*command, "--weights", tmp_path / "cut.safetensors"), "cut.safetensors")
    other = build_network(ArchSpec(stages=(StageSpec(channels=24),), resolution=8), 10)
    save_file(other.state_dict(), tmp_path / "other.safetensors")
    expect_mistake(scalenas(*command, "--weights", tmp_path / "other.safetensors"), "other.safetensors", "network")
    # None of these has claimed the folder.
    assert scalenas(*command, "--weights", pretrained, "--epochs", "1")[0] == 0
