"""An evaluator with an objective of its own: every request of a run asks for its method, and its metric is measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from experiments.records import RunRecord, read_record
from experiments.run.folder import STUDIES
from experiments.tables.frontier import read_points
from nas import Loss, Metric, Objective, ProxyEvaluator
from nas.data.dataset import Dataset
from nas.evaluation import Outcome, Report, Request
from nas.study.store import read_study
from nas.training.objective import cross_entropy
from tests.helpers.command import Run, expect_mistake
from tests.helpers.evaluators import formula

HERE = "tests.experiments.run.test_method"
METHOD = "loss=entropy,metric=quarter"
COMMON = {"target_macs": "1M", "train_images": 64, "resolution": "8", "evaluator": f"{HERE}:judged"}
RUN = {
    **COMMON, "trials": 3, "epochs": 1, "sampler": "random", "confirm": 1, "confirm_seeds": 1, "executor": "inline",
    "lengths": [1], "seeds": 1, "budget": "3", "plot_phi": 0.5, "final_epochs": 1, "final_seeds": 1, "family_phi": 0,
    "references": ["plain_mbconv"],
}  # fmt: skip


def quarter(predicted: Tensor, labels: Tensor) -> float:  # noqa: ARG001
    return 0.25


@dataclass(frozen=True)
class Judged(ProxyEvaluator):
    """In a search a formula stands for the training; requests of another method are refused as by any proxy."""

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        if request.method != self.objective.method:
            return super().evaluate(request, device, report)
        return Outcome(value=formula(request), metric=self.objective.metric.name)


def judged(dataset: Dataset) -> Judged:
    return Judged(dataset, objective=Objective(Loss("entropy", cross_entropy), Metric("quarter", quarter)))


def preset(folder: Path, **more: object) -> Path:
    file = folder / "mine.json"
    file.write_text(json.dumps({**RUN, **more}))
    return file


def test_every_request_of_a_run_asks_for_the_evaluators_method(scalenas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    options = ("digits", "--run", folder, "--preset", preset(tmp_path))
    status, _, err = scalenas("run", *options)
    assert status == 0, err
    status, _, err = scalenas("fidelity", *options, "--candidates", "4", "--seeds", "1", "--final-epochs", "2")
    assert status == 0, err
    for name in STUDIES:
        trials = read_study(folder / f"{name}.journal", name).get_trials(deepcopy=False)
        told = [(trial.user_attrs.get("method"), trial.user_attrs.get("metric")) for trial in trials]
        assert set(told) == {(METHOD, "quarter")}, name
    assert {point.recipe for point in read_points(folder / "frontier.csv")} == {f"{HERE}:judged, {METHOD}"}


def test_a_folder_of_one_method_is_not_continued_by_another(scalenas: Run, tmp_path: Path) -> None:
    options = ("discover", "digits", "--run", tmp_path / "run", "--preset")
    assert scalenas(*options, preset(tmp_path))[0] == 0
    assert scalenas("compare", *options[1:], preset(tmp_path))[0] == 0
    answer = scalenas(*options, preset(tmp_path, evaluator=None))
    command = read_record(RunRecord, tmp_path / "run" / "run.json").steps["discover"].command
    expect_mistake(answer, f"was made with recipe {HERE}:judged, {METHOD} (by `{command}`), not fast: ask for the same")


def test_a_full_training_is_measured_by_the_evaluators_metric(scalenas: Run, tmp_path: Path) -> None:
    options = ("digits", "--run", tmp_path / "run", "--preset", preset(tmp_path, target_macs="200k"))
    status, _, err = scalenas("train", "mobilenet_v2", *options, "--epochs", "1")
    assert status == 0, err
    record = json.loads((tmp_path / "run" / "train.json").read_text())
    assert (record["curve"], record["accuracy"]["test"]) == ([0.25], 0.25)
