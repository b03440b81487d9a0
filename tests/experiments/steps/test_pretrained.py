"""Networks with weights of other images beside those of a run: fine-tuned, drawn, compared, kept and used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from experiments.records.model import read_model
from experiments.run.weights.pretrained import open_pretrained
from experiments.tables.differences import differences
from experiments.tables.frontier import read_points
from experiments.tables.standing import standing
from nas.data.augment import to_grey
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.study.store import read_study
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, count_macs, reference_arch
from tests.helpers.command import Run, expect_mistake

PARENT = ArchSpec(
    stages=(StageSpec(expand=2, channels=8), StageSpec(expand=2, channels=12, stride=2)),
    stem=StemSpec(channels=16),
    head=HeadSpec(16),
    resolution=32,
    input_channels=1,
)


@pytest.fixture
def weights(tmp_path: Path) -> str:
    """NAME=FILE of a network of one channel that knows 1,000 classes, as PARENT but narrower than its file says."""
    narrow = replace(PARENT, stages=tuple(replace(stage, channels=stage.channels - 4) for stage in PARENT.stages))
    torch.manual_seed(0)
    save_file(dict(build_network(narrow, 1000).state_dict()), tmp_path / "grey.safetensors")
    (tmp_path / "grey.json").write_text('{"mean": [0.5], "std": [0.25], "norm_eps": 0.01, "padding": "same"}')
    (tmp_path / "parent").mkdir()
    (tmp_path / "parent" / "net.json").write_text(PARENT.to_json())
    return f"{tmp_path / 'parent' / 'net.json'}={tmp_path / 'grey.safetensors'}"


def command(photos: Path, run: Path, *more: str) -> tuple[str | Path, ...]:
    quick = ("--executor", "inline", "--devices", "cpu", "--resolution", "16", "--target-macs", "300k")
    long = ("--epochs", "1", "--final-epochs", "2", "--final-seeds", "2", "--arch", "plain_resnet")
    return ("compare", photos, "--run", run, *quick, *long, *more)


def test_a_pretrained_network_stands_beside_the_others(
    scalenas: Run, weights: str, photos: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    assert scalenas(*command(photos, run))[0] == 0
    alone = read_points(run / "frontier.csv")
    status, _, err = scalenas(*command(photos, run, "--pretrained", weights))
    assert status == 0, err
    points = read_points(run / "frontier.csv")
    assert points[0] == alone[0]  # trained from scratch, not again
    own = points[-1]
    assert (own.role, own.n, own.label) == ("pretrained", 2, f"net, pretrained, {own.resolution} px")
    assert own.plan == f"fine-tuned at {own.resolution} px, to which images are enlarged"
    assert "recipe=fine_tune,normalised=0.5/0.25" in own.recipe
    assert own.macs <= 1.05 * points[0].macs  # and the next size costs more than the others
    model = read_model(run / "models" / f"net_pretrained_{own.resolution}_px.safetensors")
    bigger = replace(model.arch, resolution=own.resolution + 4)
    assert own.resolution == 32 or count_macs(bigger, None, 2) > 1.05 * points[0].macs
    assert (model.mean, model.std, model.norm_eps, model.padding) == ((0.5,), (0.25,), 0.01, "same")
    assert [stage.channels for stage in model.arch.stages] == [4, 8]
    # Used on the same images it gives what the frontier says, to the last image.
    trials = [trial for trial in read_study(run / "compare.journal", "compare").trials if trial.values]
    mine = [trial.values[0] for trial in trials if trial.user_attrs["network"] == own.label]
    assert model.accuracy.test in mine
    file = str(run / "models" / f"net_pretrained_{own.resolution}_px.safetensors")
    status, out, err = scalenas("evaluate", file, photos, "--json")
    assert status == 0, err
    assert json.loads(out)["value"] == model.accuracy.test
    status, out, err = scalenas("predict", file, photos / "test" / "light" / "0.png", "--json")
    assert status == 0, err
    # Nothing is trained again, and the page and the pictures know it.
    before = (run / "compare.journal").read_bytes()
    assert scalenas(*command(photos, run, "--pretrained", weights))[0] == 0
    assert (run / "compare.journal").read_bytes() == before
    assert "pretrained elsewhere, fine-tuned here" in (run / "report.html").read_text()
    assert "pretrained elsewhere, fine-tuned here" in (run / "frontier.svg").read_text()
    # It is an opponent like others.
    baseline = replace(points[0], role="baseline", label="baseline", arch_id="x", macs=own.macs)
    found = standing([baseline, replace(own, accuracy=1.0)])
    assert found is not None
    assert found.best.label == own.label
    assert [pair.other for pair in differences([baseline, own])] == [own.label]


def test_two_files_for_one_network_and_none_that_is_too_dear(
    scalenas: Run, weights: str, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "other.safetensors").write_bytes((tmp_path / "grey.safetensors").read_bytes())
    other = weights.replace("grey.safetensors", "other.safetensors")
    both = ("--pretrained", weights, "--pretrained", other)
    status, _, err = scalenas(*command(photos, tmp_path / "run", *both, "--target-macs", "400k"))
    assert status == 0, err
    labels = [point.label.partition(",")[0] for point in read_points(tmp_path / "run" / "frontier.csv")]
    assert labels == ["plain_resnet", "net (grey)", "net (other)"]
    (tmp_path / "there").mkdir()
    same = tmp_path / "there" / "grey.safetensors"
    same.write_bytes((tmp_path / "grey.safetensors").read_bytes())
    files = [weights.partition("=")[2], str(same)]
    scratch = ProxyEvaluator(open_dataset("digits", tmp_path / "cache"), fast())
    found = open_pretrained([f"{weights.partition('=')[0]}={file}" for file in files], scratch)
    assert [each.name for each in found] == [f"net ({file})" for file in files]
    status, _, err = scalenas(*command(photos, tmp_path / "few", "--target-macs", "40k", "--pretrained", weights))
    assert status == 0, err
    assert "warning: left out of the comparison: net with its weights costs " in err


def test_what_cannot_be_fine_tuned_is_said(scalenas: Run, weights: str, photos: Path, tmp_path: Path) -> None:
    def refused(given: str, *words: str) -> None:
        expect_mistake(scalenas(*command(photos, tmp_path / "run", "--pretrained", given)), *words)

    refused("mobilenet_v2=", "--pretrained takes NAME=FILE", "'mobilenet_v2='")
    refused(f"mobilenet_v2={tmp_path / 'none.pth'}", "none.pth: no such file")
    refused("mobilenet_v2=" + weights.partition("=")[2], "not weights of this network")
    torch.save(build_network(reference_arch("mobilenet_v3_small"), 10).state_dict(), tmp_path / "v3.pth")
    refused(f"mobilenet_v2={tmp_path / 'v3.pth'}", "v3.pth: weights of mobilenet_v3_small, not of mobilenet_v2 (")
    (tmp_path / "grey.json").write_text('{"mean": [0.5, 0.5], "std": [0.5, 0.5]}')
    refused(weights, "grey.safetensors", "normalised by 2 channels", "has 1")


def test_requests_are_answered_by_the_evaluator_of_their_method(weights: str, tmp_path: Path) -> None:
    dataset = open_dataset("digits", tmp_path / "cache")
    scratch = ProxyEvaluator(dataset, fast())
    (found,) = open_pretrained([weights], scratch)
    both = replace(scratch, beside=(found.evaluator,))
    arch = replace(found.arch, resolution=8)
    asked = [Request(arch, Fidelity(1), method=method) for method in ("", found.evaluator.method)]
    values = [both.evaluate(request, "cpu", lambda *_: True).value for request in asked]
    alone = (scratch, found.evaluator)
    assert values == [
        each.evaluate(request, "cpu", lambda *_: True).value for each, request in zip(alone, asked, strict=True)
    ]
    assert values[0] != values[1]
    with pytest.raises(ValueError, match="the request asks for the method 'metric=other'"):
        both.evaluate(replace(asked[0], method="metric=other"), "cpu", lambda *_: True)


def test_grey_is_what_pillow_makes_of_colours() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    grey = to_grey(torch.from_numpy(pixels)[None])[0, ..., 0].numpy().astype(int)
    assert abs(grey - np.asarray(Image.fromarray(pixels).convert("L")).astype(int)).max() <= 1
    even = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    assert np.array_equal(to_grey(torch.from_numpy(even)[None])[0, ..., 0].numpy(), even[..., 0])


def test_parts_of_a_network_begin_with_its_weights(scalenas: Run, weights: str, photos: Path, tmp_path: Path) -> None:
    run, inherit = tmp_path / "run", ("--inherit", weights)
    pool = ("--executor", "inline", "--devices", "cpu", "--run", run, "--epochs", "1")
    search = ("discover", photos, *pool, "--trials", "3", "--confirm", "0", "--target-macs", "60k", *inherit)
    status, _, err = scalenas(*search)
    assert status == 0, err
    assert "space: around" in err
    trials = read_study(run / "discover.journal", "discover").trials
    assert all("+part,normalised=0.5/0.25" in trial.user_attrs["request_key"] for trial in trials)
    baseline = ArchSpec.from_dict(json.loads((run / "baseline.json").read_text())["arch"])
    assert (baseline.input_channels, baseline.padding, baseline.norm_eps) == (1, "same", 0.01)
    # Known networks beside it begin from nothing, as in any other run.
    compare = ("compare", photos, *pool, "--final-epochs", "1", "--final-seeds", "1")
    status, _, err = scalenas(*compare, "--arch", run, "--arch", "plain_resnet", "--target-macs", "60k", *inherit)
    assert status == 0, err
    own, known = read_points(run / "frontier.csv")
    # Which recipe suits its own networks is shown by a short training of each.
    tried = [trial for trial in read_study(run / "plans.journal", "plans").trials if "from=" in str(trial.user_attrs)]
    tuned = ["recipe=fine_tune" in trial.user_attrs["request_key"] for trial in tried]
    assert sorted(tuned) == [False, True]
    best = max(zip(tried, tuned, strict=True), key=lambda each: (each[0].values[0], not each[1]))
    assert f"2 recipes tried, best: recipe {'fine_tune' if best[1] else 'fast'} (val" in err
    assert own.recipe.startswith("fast, from=")
    assert ("recipe=fine_tune" in own.recipe) == best[1]
    assert (known.label, known.recipe) == ("plain_resnet", "fast")
    assert (run / "frontier.png").is_file()
    file = next((run / "models").glob("*.safetensors"), None)
    assert file is not None
    status, out, err = scalenas("evaluate", file, photos, "--json")
    assert status == 0, err
    assert json.loads(out)["value"] == read_model(file).accuracy.test
    # Whether short trainings rank as long ones do is asked of both ways to begin.
    few = ("--candidates", "4", "--seeds", "1", "--final-epochs", "3", "--fidelity", "2:1:scratch")
    status, _, err = scalenas("fidelity", photos, *pool, "--target-macs", "60k", *inherit, *few)
    assert status == 0, err
    table = pd.read_csv(run / "fidelity.csv")
    kinds = table.groupby("training")["epochs"].agg(["min", "max", "count"]).T.to_dict("list")
    assert kinds == {"short": [1, 1, 4], "short from scratch": [2, 2, 4], "long": [3, 3, 4]}
    trials = read_study(run / "fidelity.journal", "fidelity").trials
    fresh = [trial for trial in trials if "+part" not in trial.user_attrs["request_key"]]
    assert all("normalised=0.5/0.25" in trial.user_attrs["request_key"] for trial in fresh)
    assert {trial.values[0] for trial in fresh} == set(table.accuracy[table.training == "short from scratch"])
    assert "2 epochs, from scratch, one seed: " in err
    assert scalenas("redraw", run)[0] == 0
    no_weights = ("fidelity", photos, *pool, "--run", tmp_path / "none", "--target-macs", "60k", *few)
    expect_mistake(scalenas(*no_weights), "--fidelity ...:scratch has no effect", "--inherit")
    # A folder belongs to one way to begin, and a network that is no part cannot.
    expect_mistake(scalenas(*search[:-2], "--trials", "4"), "recipe")
    expect_mistake(scalenas(*search, "--space", "mnasnet"), "--space has no effect", "--inherit")
    grown = ("scale", photos, "--run", tmp_path / "other", "--arch", "efficientnet_b0", "--target-macs", "1M", *inherit)
    expect_mistake(scalenas(*grown, "--budget", "3"), "efficientnet_b0 is no part of net")
