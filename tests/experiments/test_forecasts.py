"""What a run forecasts of its family: the model read from its tables, the record, `size`, the picture, the report."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.pictures.frontier import frontier_figure
from experiments.plans.forecasts import LARGEST, forecast_family, forecast_rules, probabilities, read_law
from experiments.records import CoefficientsRecord, FamilyRecord, ForecastRecord, read_record
from experiments.report import collect
from experiments.run.folder import RunFolder
from experiments.run.naming import load_arch
from experiments.steps.forecast import forecast_lines
from experiments.tables.forecasts import held, score_line
from experiments.tables.frontier import FrontierPoint, read_points
from experiments.tables.grid import read_grid
from experiments.tables.growth import read_trained
from experiments.views.size import SMALLEST
from nas.data.dataset import Dataset
from nas.evaluation import Outcome, Report, Request
from scaling_search.law import Law
from scaling_search.surface.triangle import Floats
from scaling_search.verdict import ALTERNATIVES
from search_spaces import count_macs
from tests.helpers.command import Run, expect_mistake
from tests.helpers.redrawn import tables_alone

RESULTS = Path(experiments.__file__ or "").parent / "results"
SCALED, SHRUNK = RESULTS / "cifar10_scaling", RESULTS / "cifar10_shrunk"
RUN = (
    "run", "digits", "--train-images", "64", "--arch", "efficientnet_b0", "--target-macs", "1.5M",
    "--evaluator", "tests.experiments.test_forecasts:planted", "--executor", "inline",
    "--epochs", "2", "--lengths", "2", "--seeds", "2", "--plot-phi", "1",
    "--final-epochs", "4", "--final-seeds", "2", "--family-phi", "1",
)  # fmt: skip


ADAPTIVE = (
    "digits", "--train-images", "64", "--arch", "efficientnet_b0", "--target-macs", "1.5M", "--executor", "inline",
    "--evaluator", "tests.experiments.test_forecasts:later_deep", "--lengths", "2", "--seeds", "2",
    "--rule", "adaptive",
)  # fmt: skip


class Planted:
    """Accuracy by multiply-adds and epochs, with a little noise; nothing is trained."""

    NOISE = 0.002

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002  the seam's
        noise = self.NOISE * random.Random(request.key).uniform(-1, 1)
        doublings = np.log2(count_macs(request.arch, num_classes=10) / 1.5e6)
        return Outcome(value=0.6 + 0.03 * doublings + 0.04 * np.log2(request.fidelity.epochs / 2) + noise)


def planted(data: Dataset) -> Planted:  # noqa: ARG001  the seam's
    return Planted()


class LaterDeep(Planted):
    """The same, with a loss by more layers up to twice the baseline's cost, and a gain by them far beyond."""

    NOISE, EFFECT = 0.015, 0.025

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:
        value = super().evaluate(request, device, report).value or 0.0
        large = count_macs(request.arch, num_classes=10) > 4.5e6
        layers = sum(stage.layers for stage in request.arch.stages) / len(request.arch.stages)
        return Outcome(value=value + (self.EFFECT if large else -self.EFFECT) * np.log2(layers))


class Exactly(LaterDeep):
    """With hardly any noise: whole layers of so small a network make steps that no smooth surface explains."""

    NOISE, EFFECT = 0.002, 0.005


def later_deep(data: Dataset) -> LaterDeep:  # noqa: ARG001  the seam's
    return LaterDeep()


def exactly(data: Dataset) -> Exactly:  # noqa: ARG001  the seam's
    return Exactly()


@pytest.fixture(scope="module")
def law() -> Law:
    return read_law(RunFolder(SHRUNK), "val")


def growth(run: Path = SHRUNK) -> CoefficientsRecord:
    return RunFolder(run).get(CoefficientsRecord)


def forecast(law: Law, epochs: int = 20) -> ForecastRecord:
    members = RunFolder(SHRUNK).get(FamilyRecord).members
    return forecast_family(law, members, growth(), epochs=epochs, n=3, split="test", recipe="fast", metric="accuracy")


def straight(plot: pd.DataFrame, baseline: float) -> Floats:
    """The errors of lines through the networks up to twice the cost of each way, at four times the cost."""
    off = []
    for _, way in plot.groupby("way"):
        doublings = np.log2(way.macs.to_numpy() / baseline)
        small = doublings < 1.5
        slope, start = np.polyfit(doublings[small], way.accuracy.to_numpy()[small], 1)
        off.append(start + 2 * slope - way.accuracy.to_numpy()[~small][0])
    return np.array(off)


def point(record: ForecastRecord, phi: float, accuracy: float, **changed: object) -> FrontierPoint:
    member = next(each for each in record.members if each.phi == phi)
    whole = FrontierPoint(
        f"phi {phi:g}", "family", "r", "d", record.split, record.epochs, "fast", 3, accuracy, 0.01, member.macs,
        10**4, 32, member.arch_id,
    )  # fmt: skip
    return replace(whole, **changed)  # type: ignore[arg-type]


def test_larger_networks_of_a_real_run_lie_in_the_forecasts_from_its_smaller_ones(tmp_path: Path) -> None:
    folder = tables_alone(SCALED, tmp_path / "run")
    plot = pd.read_csv(folder / "scaling.csv")
    baseline = plot.macs.min()
    large = plot[plot.macs > 3 * baseline]
    assert len(large) == 4
    plot[plot.macs <= 3 * baseline].to_csv(folder / "scaling.csv", index=False)
    law = read_law(RunFolder(folder), "val")
    assert law.lack_of_fit > 0.05
    compound = growth(SCALED).finding.coefficients.shares
    ways = {"depth only": (1, 0, 0), "width only": (0, 1, 0), "resolution only": (0, 0, 1), "compound": compound}
    told = law.forecast(
        np.log2(large.macs.to_numpy() / baseline),
        np.array([ways[way] for way in large.way], dtype=float),
        np.full(4, 2.0),
        n=2,
    )
    assert all(float(accuracy) in each for each, accuracy in zip(told, large.accuracy, strict=True))
    assert max(each.high - each.low for each in told) < 0.18
    off = np.array([each.expected for each in told]) - large.accuracy.to_numpy()
    assert np.sqrt((off**2).mean()) == pytest.approx(0.018, abs=0.001)  # docs/scaling-checks.md says both
    assert np.sqrt((straight(plot, baseline) ** 2).mean()) == pytest.approx(0.012, abs=0.001)


def test_every_network_is_read_once(tmp_path: Path) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run")
    grid = read_grid(folder / "grid.csv")
    (each_set,) = read_trained(folder, grid, elsewhere=False)
    counted = pd.concat([pd.read_csv(folder / "grid.csv").macs, pd.read_csv(folder / "scaling.csv").macs]).nunique()
    assert len(each_set.accuracy) == counted
    assert (each_set.doublings == 0).sum() == 1
    assert each_set.doublings.min() < -1.9
    plot = pd.read_csv(folder / "scaling.csv")
    plot[plot.macs != 984548].to_csv(folder / "scaling.csv", index=False)  # as of another baseline
    (each_set,) = read_trained(folder, grid, elsewhere=False)
    assert len(each_set.accuracy) == len(grid[3].accuracy)


def test_a_confirmed_baseline_is_read_and_its_seeds_count_for_less(tmp_path: Path) -> None:
    folder = tables_alone(RESULTS / "cifar10", tmp_path / "run")
    _, confirmed = read_trained(folder, read_grid(folder / "grid.csv"), elsewhere=True)
    baseline = json.loads((folder / "baseline.json").read_text())
    assert confirmed.accuracy.tolist() == [baseline["accuracy"]]
    assert confirmed.doublings.tolist() == [0]
    assert confirmed.epochs == baseline["fidelity"]["epochs"]
    assert (confirmed.n.tolist(), confirmed.seeds) == ([baseline["n"]], baseline["n"] / 3)
    (folder / "baseline.json").write_text(json.dumps(baseline | {"id": "another"}))
    assert len(read_trained(folder, read_grid(folder / "grid.csv"), elsewhere=True)) == 1


@pytest.mark.parametrize(("table", "change"), [
    ("grid.csv", lambda rows: rows[rows.arch_id.isin(rows.arch_id.unique()[:5])]),
    ("grid.csv", lambda rows: rows.assign(realised_cost=0.0)),
    ("grid.csv", lambda rows: rows.assign(epochs=0)),
    ("scaling.csv", lambda rows: rows.assign(n=-1)),
])  # fmt: skip
def test_trainings_that_tell_nothing_are_told(
    scalenas: Run, tmp_path: Path, table: str, change: Callable[[pd.DataFrame], pd.DataFrame]
) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run")
    change(pd.read_csv(folder / table)).to_csv(folder / table, index=False)
    expect_mistake(scalenas("size", str(folder), "--accuracy", "50"), str(folder))


@pytest.mark.parametrize(("file", "change", "words"), [
    ("family.json", lambda found: [{**member, "macs": 0} for member in found], "phi 0"),
    ("family.json", lambda found: [member for member in found if member["phi"]], "phi 0"),
    ("run.json", lambda found: {**found, "identity": {"train fraction": 0.2}}, "a part of the images"),
])  # fmt: skip
def test_runs_that_tell_nothing_are_told(
    scalenas: Run, tmp_path: Path, file: str, change: Callable[[Any], Any], words: str
) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run")
    (folder / file).write_text(json.dumps(change(json.loads((folder / file).read_text()))))
    expect_mistake(scalenas("size", str(folder), "--accuracy", "50"), words)


def test_forecast_of_a_family(law: Law) -> None:
    record = forecast(law)
    assert [member.phi for member in record.members] == [-2, -1, 0, 1, 2, 3, 4]
    assert all(member.low < member.expected < member.high for member in record.members)
    assert ForecastRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    line, rules, *warnings = forecast_lines(record)
    assert line.startswith(
        "forecast for the family, accuracy on test, the mean of 3 trainings of 20 epochs (90 % intervals): phi 0 "
    )
    assert "phi -1" not in line
    assert rules.startswith(
        "  expected loss at 4 times the cost if it grows by another rule, in points (90 %): (1.2, 1.1, 1.15) "
    )
    assert [each.rule for each in record.rules] == list(ALTERNATIVES)
    assert all(each.low < each.loss < each.high for each in record.rules)
    assert warnings == []
    assert "do not rely" in forecast_lines(replace(record, lack_of_fit=0.01))[2]


def test_a_fixed_rule_gives_up_what_it_is_below(law: Law) -> None:
    at_one = {each.rule: each for each in forecast_rules(law, growth(), 3, phi=1.0)}
    analysis = law.analyses[3]
    for compared in analysis.comparisons:
        assert at_one[compared.name].loss == pytest.approx(compared.gain, abs=0.003)
    assert all(each.loss == 0 for each in forecast_rules(law, growth(), 3, phi=0.0))


def test_a_larger_network_reaches_an_accuracy_with_more_probability(law: Law) -> None:
    members = [member for member in RunFolder(SHRUNK).get(FamilyRecord).members if member.phi <= 1]
    reach = probabilities(law, members, growth(), epochs=3, n=3, accuracy=0.44)
    assert reach == sorted(reach)
    assert reach[0] < 0.05
    assert reach[-1] > 0.6
    assert probabilities(law, members, growth(), epochs=3, n=3, accuracy=0.0) == [1.0] * len(members)


def test_which_forecasts_held(law: Law) -> None:
    record = forecast(law)
    inside, outside = record.members[2].expected, record.members[3].high + 0.01
    points = [
        point(record, 0, inside, role="baseline"),
        point(record, 1, outside),
        point(record, 2, 0.0, epochs=7),
        point(record, 3, 0.0, split="val"),
        point(record, 4, 0.0, role="reference"),
        point(record, -1, 0.0, recipe="fine_tune"),
        point(record, -2, 0.0, n=2),
    ]
    assert held(record, points) == {record.members[2].arch_id: True, record.members[3].arch_id: False}
    assert score_line(record, points) == (
        "2 members of the family were trained as forecast; the values of 1 lie within their 90 % intervals."
    )
    assert score_line(record, points[:1]) == (
        "One member of the family was trained as forecast; its value lies within the 90 % interval."
    )
    assert score_line(record, points[2:]) is None


def test_the_frontier_draws_the_forecast_against_multiply_adds(law: Law) -> None:
    record = forecast(law)
    points = [point(record, phi, 0.4 + phi / 20) for phi in (0, 1)]
    for x, wanted in (("macs", 1), ("params", 0)):
        figure = frontier_figure(points, x=x, expected=record.members)
        texts = [text.get_text() for text in figure.legends[0].get_texts()]
        assert sum(text.startswith("forecast for the family") for text in texts) == wanted
    assert not any("forecast" in text.get_text() for text in frontier_figure(points).legends[0].get_texts())


def test_the_report_has_forecasts_and_how_they_turned_out(law: Law, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(SHRUNK, tmp_path / "run"))
    record = forecast(law)
    folder.write(record)
    data = collect(folder)
    assert data["unread"] == []
    assert data["forecast"].startswith("Forecast from the trainings of the coefficient search alone")
    rows = {row["phi"]: row for row in data["family"]}
    assert rows[1]["forecast"].endswith(")")
    assert rows[1]["held"] is None
    assert rows[7]["forecast"] is None
    (folder.path / ForecastRecord.FILE).write_text("{}")
    damaged = collect(folder)
    assert damaged["forecast"] is None
    assert ForecastRecord.FILE in str(damaged["unread"])


def test_how_large_it_must_be(scalenas: Run, tmp_path: Path) -> None:
    asked = ("size", str(SHRUNK), "--epochs", "3")
    status, out, _ = scalenas(*asked, "--accuracy", "42", "--json")
    assert status == 0
    answer = json.loads(out)
    likely, sure = answer["sizes"]
    assert (likely["probability"], sure["probability"]) == (0.5, 0.9)
    assert SMALLEST < likely["phi"] < sure["phi"] <= LARGEST
    assert likely["macs"] < sure["macs"]
    assert likely["flash"] > 0
    low, high = likely["interval"]
    assert low < 0.42 < high
    lower, _ = json.loads(scalenas(*asked, "--accuracy", "40", "--json")[1])["sizes"]
    assert lower["macs"] < likely["macs"]
    file = tmp_path / "net.json"
    said = scalenas(*asked, "--accuracy", "42", "-o", str(file))[1]
    assert count_macs(load_arch(str(file)), num_classes=10) == sure["macs"]
    assert said.startswith(
        "To reach 42 % (accuracy on test, the mean of 3 trainings of 3 epochs), the smallest network"
    )
    assert "  with a probability of 90 %: " in said


def test_what_the_frontier_has_measured_counts(scalenas: Run, tmp_path: Path) -> None:
    run = RESULTS / "cifar10"
    points = [point for point in read_points(run / "frontier.csv") if point.role == "baseline"]
    (baseline,) = points
    likely, sure = json.loads(scalenas("size", str(run), "--accuracy", "55", "--json")[1])["sizes"]
    assert likely["phi"] <= sure["phi"] <= 0
    assert baseline.accuracy > 0.55
    alone = tables_alone(run, tmp_path / "run")
    (alone / "frontier.csv").unlink()
    blind = json.loads(scalenas("size", str(alone), "--accuracy", "55", "--json")[1])["sizes"][1]
    # Small networks are surer to reach it than very large ones, of which nothing is known: the first counts.
    assert sure["phi"] < blind["phi"] < LARGEST


def test_a_size_that_enlarges_the_images_is_told(scalenas: Run) -> None:
    run = str(RESULTS / "growth_cifar10")
    words = "warning: the images have 32 pixels and are enlarged to "
    assert words not in scalenas("size", run, "--accuracy", "60")[1]
    assert words in scalenas("size", run, "--accuracy", "70")[1]


def test_what_no_network_reaches_is_said(scalenas: Run, tmp_path: Path) -> None:
    said = scalenas("size", str(SHRUNK), "--accuracy", "99.9")[1]
    assert said.count("none up to 16 times the baseline's cost") == 2
    assert "--plot-phi 3" in said
    nothing = json.loads(scalenas("size", str(SHRUNK), "--accuracy", "99.9", "--json")[1])["sizes"][0]
    assert set(nothing) == {"probability", "phi", "macs", "params", "resolution", "ram", "flash", "interval"}
    assert nothing["macs"] is None
    file = tmp_path / "net.json"
    expect_mistake(scalenas("size", str(SHRUNK), "--accuracy", "99.9", "-o", str(file)), "no network to write")
    assert not file.exists()
    missing = str(tmp_path / "no" / "net.json")
    expect_mistake(scalenas("size", str(SHRUNK), "--accuracy", "30", "-o", missing), "there is no folder")
    expect_mistake(scalenas("size", str(SHRUNK), "--accuracy", "nan"), "--accuracy must be above 0")


def test_a_family_follows_the_best_shares_of_its_sizes(scalenas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    status, _, err = scalenas("scale", *ADAPTIVE, "--run", str(folder))
    assert status == 0
    assert "the best shares move with the size" in err
    record, members = growth(folder), RunFolder(folder).get(FamilyRecord).members
    assert record.by_size is not None
    assert [best.phi for best in record.by_size] == [1, 2]
    constant, last = record.finding.coefficients.shares, record.by_size[-1].shares
    assert last.depth > constant.depth + 0.1
    assert record.at(1) == record.finding.coefficients
    assert record.at(2).shares == pytest.approx(last)
    (large,) = (member for member in members if member.phi == 2)
    assert large.depth == pytest.approx(record.at(2).depth ** 2)
    told = read_record(ForecastRecord, folder / "forecast.json")
    assert told.size_drift is not None
    (constant_rule,) = (rule for rule in told.rules if rule.rule == "constant coefficients")
    assert constant_rule.loss > 0
    assert "beyond by the best shares of each size" in err
    before = {file.name: file.read_bytes() for file in folder.glob("size_drift.*")}
    assert set(before) == {"size_drift.png", "size_drift.svg"}
    assert scalenas("redraw", str(folder))[0] == 0
    assert {file.name: file.read_bytes() for file in folder.glob("size_drift.*")} == before
    assert "How the best shares change with the size" in (folder / "report.html").read_text()

    whole = ("--epochs", "2", "--final-epochs", "4", "--final-seeds", "2", "--family-phi", "2", "--rivals")
    assert scalenas("run", *ADAPTIVE, *whole, "--run", str(folder))[0] == 0
    labels = set(pd.read_csv(folder / "frontier.csv").label)
    assert "phi 2" in labels
    assert "constant coefficients, phi 2" in labels
    assert "constant coefficients, phi 1" not in labels

    again = ("scale", *ADAPTIVE[:-2], "--run", str(folder))  # the constant rule, and its picture goes with the plot
    status, _, err = scalenas(*again, "--plot-phi", "1")
    assert status == 0
    assert "the family will no longer follow the best shares of each size; with --rule adaptive it does" in err
    assert growth(folder).by_size is None
    assert not list(folder.glob("size_drift.*"))


def test_a_family_does_not_follow_a_model_that_does_not_fit(scalenas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    asked = [word.replace("later_deep", "exactly") for word in ADAPTIVE]
    status, _, err = scalenas("scale", *asked, "--run", str(folder))
    assert status == 0
    assert "constant coefficients: the model of accuracy does not fit the trainings (p = 0.0" in err
    assert growth(folder).by_size is None
    told = read_record(ForecastRecord, folder / "forecast.json")
    assert [rule.rule for rule in told.rules][-1] == "adaptive"


def test_a_family_that_cannot_follow_its_size_says_why(scalenas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    status, _, err = scalenas("scale", *ADAPTIVE, "--run", str(folder), "--plot-phi", "1")
    assert status == 0
    assert "constant coefficients: no network of 2.8 times the baseline's cost or more was trained" in err
    assert growth(folder).by_size is None
    status, _, err = scalenas("scale", *ADAPTIVE, "--run", str(folder), "--budget", "3")
    assert status == 0
    assert "constant coefficients: " in err
    assert "it takes 10" in err


def test_a_run_without_coefficients_is_told(scalenas: Run, tmp_path: Path) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run", "run.json")
    expect_mistake(scalenas("size", str(folder), "--accuracy", "50"), "has no coefficients yet")


def test_a_run_forecasts_its_family_and_says_how_that_turned_out(scalenas: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    status, _, err = scalenas(*RUN, "--run", str(folder))
    assert status == 0
    assert "forecast for the family, accuracy on test, the mean of 2 trainings of 4 epochs" in err
    assert "2 members of the family were trained as forecast; the values of 2 lie within" in err
    record = read_record(ForecastRecord, folder / "forecast.json")
    assert (record.epochs, record.n, record.split) == (4, 2, "test")
    (baseline,) = (member for member in record.members if member.phi == 0)
    assert baseline.expected == pytest.approx(0.64, abs=0.05)
    before = {file.name: file.read_bytes() for file in folder.glob("frontier.*")}
    assert scalenas("redraw", str(folder))[0] == 0
    assert {file.name: file.read_bytes() for file in folder.glob("frontier.*")} == before

    (folder / "forecast.json").write_text("{}")  # no reason to lose a picture, or a comparison
    assert scalenas("redraw", str(folder))[0] == 0
    assert (folder / "frontier.png").read_bytes() != before["frontier.png"]
    compare = ("compare", *RUN[1:4], *RUN[8:12], "--run", str(folder), "--final-epochs", "4", "--final-seeds", "2")
    status, _, err = scalenas(*compare)
    assert status == 0
    assert "warning" in err
    assert "forecast.json" in err

    assert scalenas(*RUN, "--run", str(folder))[0] == 0
    assert (folder / "frontier.png").read_bytes() == before["frontier.png"]
    few = ("scale", *RUN[1:4], *RUN[8:12], *RUN[14:20], "--run", str(folder), "--budget", "4")
    status, _, err = scalenas(*few)
    assert status == 0
    assert "no forecast for the family: " in err
    assert "has trained 4 networks of one length, and it takes 10" in err
    assert not (folder / "forecast.json").exists()
