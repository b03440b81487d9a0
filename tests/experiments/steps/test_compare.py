"""The comparison: plans are tried once, across kills too, and what a run has trained before stays."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from experiments.plans import networks, opponents
from experiments.run.context import RunContext
from experiments.run.naming import is_reference, load_arch
from experiments.tables.frontier import read_points
from nas.study.store import read_study
from search_spaces import fit_arch
from search_spaces.plans import NetworkPlan
from tests.helpers.command import Run
from tests.helpers.driven import wait_until

NAMES = ("plain_resnet", "plain_mbconv")
COMMON = ("digits", "--executor", "inline", "--devices", "cpu", "--train-images", "64", "--target-macs", "600k",
          "--resolution", "8")  # fmt: skip
FORMULA = ("--evaluator", "tests.helpers.evaluators:formula_for")
COMPARE = ("compare", *COMMON, "--epochs", "2", "--final-epochs", "3", "--final-seeds", "2",
           *(part for name in NAMES for part in ("--arch", name)))  # fmt: skip


def by_widths(run: RunContext, text: str, target: float, _: Sequence[int]) -> tuple[NetworkPlan, ...]:
    """A known network as earlier versions fitted it."""
    arch = replace(load_arch(text), input_channels=run.problem.channels)
    assert is_reference(text)
    return (NetworkPlan(fit_arch(arch, run.resolution, target, num_classes=run.num_classes), ""),)


@pytest.fixture
def earlier(scalenas: Run, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command as an earlier version would have done it."""

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        with monkeypatch.context() as patch:
            for module in (networks, opponents):
                patch.setattr(module, "network_plans", by_widths)
            answer = scalenas(*arguments)
        assert answer[0] == 0, answer[2]
        return answer

    return run


def keys(folder: Path, study: str) -> list[str]:
    return [trial.user_attrs["request_key"] for trial in read_study(folder / f"{study}.journal", study).trials]


def test_the_best_of_the_plans_is_compared(tmp_path: Path, scalenas: Run) -> None:
    status, _, err = scalenas(*COMPARE, *FORMULA, "--run", tmp_path)
    assert status == 0, err
    trials = read_study(tmp_path / "plans.journal", "plans").trials
    assert {(trial.user_attrs["fidelity"]["epochs"], trial.user_attrs["split"]) for trial in trials} == {(2, "val")}
    assert f"forecast: {len(trials)} trainings ({len(trials)} x 2 epochs (ways to fit known networks))" in err
    points = read_points(tmp_path / "frontier.csv")
    assert [point.label for point in points] == [*NAMES]
    for point in points:
        mine = [trial for trial in trials if trial.user_attrs["network"] == point.label]
        best = max(mine, key=lambda trial: trial.values[0])
        assert (point.arch_id, point.plan) == (best.user_attrs["arch_id"], best.user_attrs["plan"])
        accuracy = f"{100 * best.values[0]:.1f} %"
        assert f"{point.label}: {len(mine)} plans tried, best: {point.plan} (val {accuracy})" in err
    costs = json.loads((tmp_path / "report.html").read_text().split('id="data">')[1].split("</script>")[0])["cost"]
    assert [(cost["step"], cost["trainings"]) for cost in costs] == [("plans", len(trials)), ("compare", 4)]


def test_a_finished_comparison_trains_nothing_whatever_the_short_training(tmp_path: Path, scalenas: Run) -> None:
    assert scalenas(*COMPARE, *FORMULA, "--run", tmp_path)[0] == 0
    before = {name: (tmp_path / name).read_bytes() for name in ("plans.journal", "compare.journal", "frontier.csv")}
    for more in ((), ("--epochs", "4")):
        status, _, err = scalenas(*COMPARE, *FORMULA, "--run", tmp_path, *more)
        assert status == 0, err
        assert {name: (tmp_path / name).read_bytes() for name in before} == before
        assert "forecast" not in err
        assert all(f"{point.label}: {point.plan}\n" in err for point in read_points(tmp_path / "frontier.csv"))
    status, _, err = scalenas(*COMPARE, *FORMULA, "--run", tmp_path, "--target-macs", "900k")
    assert status == 0, err
    assert (tmp_path / "plans.journal").stat().st_size > len(before["plans.journal"])


@pytest.mark.skipif(sys.platform != "linux", reason="a process is killed")
def test_a_kill_among_the_plans_loses_nothing_and_trains_nothing_twice(tmp_path: Path, scalenas: Run) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert scalenas(*COMPARE, *FORMULA, "--run", whole)[0] == 0
    slow = ("--evaluator", "tests.helpers.evaluators:noted_formula_for")
    command = [sys.executable, "-m", "scalenas", *COMPARE, *slow, "--run", str(killed)]
    log, planned = killed / "trainings.log", len(keys(whole, "plans"))
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert wait_until(lambda: log.exists() and log.read_text().count("end ") >= 3, 60)
    process.kill()
    process.wait()
    assert not (killed / "compare.journal").exists()
    finished = keys(killed, "plans")
    assert 0 < len(finished) < planned
    status, _, err = scalenas(*COMPARE, *slow, "--run", killed)
    assert status == 0, err
    begun = Counter(line.split()[1] for line in log.read_text().splitlines() if line.startswith("begin "))
    assert all(begun[key] == 1 for key in finished)
    assert Counter(keys(killed, "plans")) == Counter(keys(whole, "plans"))
    assert [replace(point, run="whole") for point in read_points(killed / "frontier.csv")] == [
        replace(point, recipe=point.recipe.replace("formula_for", "noted_formula_for"))
        for point in read_points(whole / "frontier.csv")
    ]


def test_an_earlier_comparison_stays_and_is_told(tmp_path: Path, scalenas: Run, earlier: Run) -> None:
    earlier(*COMPARE, *FORMULA, "--run", tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in ("compare.journal", "frontier.csv", "differences.csv")}
    assert b"plan" not in before["frontier.csv"].splitlines()[0]
    status, _, err = scalenas(*COMPARE, *FORMULA, "--run", tmp_path)
    assert status == 0, err
    assert {name: (tmp_path / name).read_bytes() for name in before} == before
    assert not (tmp_path / "plans.journal").exists()
    for name in NAMES:
        assert f"{name}: stays as this run has trained it before, fitted by its widths alone" in err


SCALE = ("scale", *COMMON, *FORMULA, "--lengths", "1", "--seeds", "1", "--plot-phi", "1")
GROWN = {
    "by default": (*SCALE,),
    "by name": (*SCALE, "--arch", "mobilenet_v2"),
    "in a whole run": ("run", *SCALE[1:], "--arch", "mobilenet_v2", "--preset", "PRESET", "--final-epochs", "1"),
}


@pytest.mark.parametrize("kind", GROWN)
def test_an_earlier_run_grows_the_network_that_it_began_with(
    tmp_path: Path, scalenas: Run, earlier: Run, kind: str
) -> None:
    (tmp_path / "alone.json").write_text('{"references": []}')
    folder = tmp_path / "run"
    command = [each.replace("PRESET", str(tmp_path / "alone.json")) for each in GROWN[kind]]
    earlier(*command, "--run", folder)
    names = ("scale.journal", "family.json", "coefficients.json")
    before = {name: (folder / name).read_bytes() for name in names}
    for lost in ((), ("family.json", "coefficients.json")):  # a finished run, and one killed in its grid
        for name in lost:
            (folder / name).unlink()
        status, _, err = scalenas(*command, "--run", folder)
        assert status == 0, err
        assert {name: (folder / name).read_bytes() for name in names} == before
    fresh = tmp_path / "fresh"
    assert scalenas(*command, "--run", fresh)[0] == 0
    assert (fresh / "family.json").read_bytes() != before["family.json"]


@pytest.mark.parametrize(
    ("command", "file"),
    [(("train", "mobilenet_v2", *COMMON[:1], *COMMON[3:], "--epochs", "1"), "train.json"),
     (("fidelity", *COMMON, *FORMULA, "--arch", "mobilenet_v2", "--candidates", "4", "--epochs", "1", "--final-epochs",
       "3"), "fidelity.journal")],
)  # fmt: skip
def test_an_earlier_training_goes_on(
    tmp_path: Path, scalenas: Run, earlier: Run, command: tuple[str, ...], file: str
) -> None:
    earlier(*command, "--run", tmp_path / "run")
    before = (tmp_path / "run" / file).read_bytes()
    status, _, err = scalenas(*command, "--run", tmp_path / "run")
    assert status == 0, err
    assert (tmp_path / "run" / file).read_bytes() == before
    status, _, err = scalenas(*command, "--run", tmp_path / "fresh")
    assert status == 0, err
    assert "mobilenet_v2: 8 px, " in err
    assert (tmp_path / "fresh" / file).read_bytes() != before


def test_figures_in_int8_stay_when_they_are_not_asked_for_again(tmp_path: Path, scalenas: Run) -> None:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    net = fit_arch(replace(load_arch("mobilenet_v2"), input_channels=1), 8, 2e5, num_classes=10)
    (tmp_path / "net.json").write_text(net.to_json())
    short = ("--final-epochs", "1", "--final-seeds", "1", "--resolution", "8", "--train-images", "64")
    pool = ("--executor", "inline", "--devices", "cpu", "--run", tmp_path / "run")
    command = ("compare", "digits", *short, *pool, "--arch")
    status, _, err = scalenas(*command, tmp_path / "net.json", "--int8")
    assert status == 0, err
    journal, table = ((tmp_path / "run" / name).read_bytes() for name in ("compare.journal", "frontier.csv"))
    assert b",int8,int8_std\n" in table
    status, _, err = scalenas(*command, tmp_path / "net.json")
    assert status == 0, err
    assert (tmp_path / "run" / "compare.journal").read_bytes() == journal
    assert (tmp_path / "run" / "frontier.csv").read_bytes() == table
