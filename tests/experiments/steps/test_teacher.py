"""Networks that are trained once more to imitate a teacher: asked for, compared, kept, used, and gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from experiments.records.model import read_model
from experiments.tables.frontier import protocol, read_points
from nas.evaluation import Outcome
from nas.study.store import read_study
from nas.training.proxy import ProxyEvaluator
from tests.helpers.command import Run, expect_mistake

QUICK = ("--executor", "inline", "--devices", "cpu", "--final-epochs", "2", "--final-seeds", "2", "--epochs", "1")


def compare(photos: Path, run: Path, *more: str | Path) -> tuple[str | Path, ...]:
    return ("compare", photos, "--run", run, *QUICK, "--target-macs", "60k", *more)


def keys(run: Path) -> list[str]:
    return [trial.user_attrs["request_key"] for trial in read_study(run / "compare.journal", "compare").trials]


@pytest.mark.parametrize("executor", ["inline", "local"])
def test_the_most_accurate_network_teaches_the_others(
    scalenas: Run, photos: Path, tmp_path: Path, executor: str
) -> None:
    run = tmp_path / "run"
    asked = compare(photos, run, "--arch", "plain_resnet", "--arch", "plain_mbconv", "--executor", executor)
    assert scalenas(*asked)[0] == 0
    plain = read_points(run / "frontier.csv")
    trained = keys(run)
    status, _, err = scalenas(*asked, "--teacher", "auto")
    assert status == 0, err
    points = read_points(run / "frontier.csv")
    assert points[:2] == plain  # without a teacher they stay as they were, and are not trained again
    assert keys(run)[: len(trained)] == trained
    assert [(point.label, point.role, point.n) for point in points[2:]] == [
        ("plain_resnet, distilled", "distilled", 2),
        ("plain_mbconv, distilled", "distilled", 2),
    ]
    assert [point.arch_id for point in points[2:]] == [point.arch_id for point in plain]
    assert {protocol(point) for point in points} == {protocol(plain[0])}
    assert all("teacher=" in point.recipe for point in points[2:])
    models = {each.stem: read_model(each) for each in (run / "models").glob("*.safetensors")}
    assert set(models) == {"plain_resnet", "plain_mbconv", "plain_resnet_distilled", "plain_mbconv_distilled"}
    best = max(("plain_mbconv", "plain_resnet"), key=lambda name: models[name].accuracy.val)
    assert f"teacher: {run / 'models' / best}.safetensors, val " in err
    file = str(run / "models" / "plain_resnet_distilled.safetensors")
    status, out, err = scalenas("evaluate", file, photos, "--json")
    assert status == 0, err
    assert json.loads(out)["value"] == models["plain_resnet_distilled"].accuracy.test
    text = (run / "differences.csv").read_text()
    assert text.count('"plain_resnet, distilled",plain_resnet,') == 1
    for page in ("report.html", "frontier.svg"):
        assert "distilled: trained to imitate a teacher, too" in (run / page).read_text()
    # What was distilled teaches nobody, so that all is answered from the journal.
    before = (run / "compare.journal").read_bytes()
    assert scalenas(*asked, "--teacher", "auto")[0] == 0
    assert (run / "compare.journal").read_bytes() == before
    assert read_points(run / "frontier.csv") == points


def test_a_model_of_another_run_teaches_the_baseline_alone(scalenas: Run, photos: Path, tmp_path: Path) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    assert scalenas(*compare(photos, other, "--arch", "plain_resnet", "--resolution", "8", "--grey"))[0] == 0
    model = other / "models" / "plain_resnet.safetensors"
    pool = ("--executor", "inline", "--devices", "cpu", "--epochs", "1", "--trials", "2", "--confirm", "0")
    assert scalenas("discover", photos, "--run", run, *pool, "--target-macs", "60k")[0] == 0
    (tmp_path / "few.json").write_text('{"references": ["plain_mbconv"]}')
    few = ("--preset", tmp_path / "few.json")
    # A teacher that knows fewer pixels, and those in grey, is given them so.
    status, _, err = scalenas(*compare(photos, run, "--teacher", model, *few))
    assert status == 0, err
    assert "warning: the teacher" not in err
    points = read_points(run / "frontier.csv")
    assert [(point.label, point.role) for point in points] == [
        ("baseline", "baseline"), ("plain_mbconv", "reference"), ("baseline, distilled", "distilled")
    ]  # fmt: skip
    # Another look at the same baseline leaves what was distilled where it is.
    assert scalenas(*compare(photos, run, *few))[0] == 0
    assert {point.label for point in read_points(run / "frontier.csv")} == {point.label for point in points}


def test_a_teacher_of_more_pixels_than_the_run_keeps_is_told_at_once(
    scalenas: Run, photos: Path, tmp_path: Path
) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    assert scalenas(*compare(photos, other, "--arch", "plain_resnet", "--resolution", "16"))[0] == 0
    model = other / "models" / "plain_resnet.safetensors"
    few = ("--arch", "plain_resnet", "--resolution", "6", "--teacher", model)
    status, _, err = scalenas(*compare(photos, run, *few))
    assert status == 0, err
    told = "warning: the teacher was made for 16 pixels, and the images of this run are cached at 12:"
    assert told in err
    assert err.index(told) < err.index("seed 0: accuracy")


def test_a_whole_run_has_a_teacher_too(scalenas: Run, photos: Path, tmp_path: Path) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    assert scalenas(*compare(photos, other, "--arch", "plain_resnet"))[0] == 0
    model = other / "models" / "plain_resnet.safetensors"
    (tmp_path / "few.json").write_text('{"references": [], "lengths": [1], "seeds": 1, "plot_phi": 0, "top": 1}')
    quick = ("--preset", tmp_path / "few.json", "--devices", "cpu", "--workers", "1", "--budget", "3")
    whole = ("run", photos, "--run", run, *quick, "--family-phi", "1", "--final-epochs", "2", "--final-seeds", "2")
    asked = (*whole, "--target-macs", "60k", "--arch", "plain_mbconv")
    expect_mistake(scalenas(*asked, "--teacher", tmp_path / "none.safetensors"), "none.safetensors: no such file")
    expect_mistake(scalenas(*asked, "--teacher", tmp_path / "none.safetensors", "--dry-run"), "no such file")
    assert not (run / "scale.journal").exists()  # it is said before anything is trained
    status, _, err = scalenas(*asked, "--teacher", model, "--dry-run")
    assert status == 0, err
    assert "and 4 trainings with the teacher" in err
    status, _, err = scalenas(*asked, "--teacher", model)
    assert status == 0, err
    assert [(point.label, point.role) for point in read_points(run / "frontier.csv")] == [
        ("baseline", "baseline"), ("phi 1", "family"),
        ("baseline, distilled", "distilled"), ("phi 1, distilled", "distilled"),
    ]  # fmt: skip


def test_after_a_kill_between_two_seeds_the_best_is_kept_all_the_same(
    scalenas: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    asked = compare(photos, run, "--arch", "plain_resnet", "--teacher", "auto")
    trained = []

    def killed(self: ProxyEvaluator, *given: Any) -> Outcome:
        trained.append(self.objective.teacher is not None)
        if sum(trained) == 2:
            raise KeyboardInterrupt
        return evaluate(self, *given)

    evaluate = ProxyEvaluator.evaluate
    with monkeypatch.context() as patch:
        patch.setattr(ProxyEvaluator, "evaluate", killed)
        assert scalenas(*asked)[0] == 130
    assert sum(trained) == 2
    status, _, err = scalenas(*asked)
    assert status == 0, err
    assert "no trained weights" not in err
    assert (run / "models" / "plain_resnet_distilled.safetensors").is_file()
    assert not (run / "models" / "seeds").exists()


def test_what_cannot_teach_is_said_before_anything_is_trained(scalenas: Run, photos: Path, tmp_path: Path) -> None:
    other, run = tmp_path / "other", tmp_path / "run"
    assert scalenas(*compare(photos, other, "--arch", "plain_resnet"))[0] == 0
    model = other / "models" / "plain_resnet.safetensors"

    def refused(data: Path, given: str | Path, *words: str) -> None:
        expect_mistake(scalenas(*compare(data, run, "--arch", "plain_resnet", "--teacher", given)), *words)
        assert not (run / "compare.journal").exists()

    refused(photos, tmp_path / "none.safetensors", "none.safetensors: no such file")
    (photos / "train" / "dark").rename(photos / "train" / "dim")
    (photos / "test" / "dark").rename(photos / "test" / "dim")
    refused(photos, model, "plain_resnet.safetensors: knows other classes than")
    (photos / "test").rename(photos / "val")
    refused(photos, "auto", "--teacher auto: without test images no weights are kept")
