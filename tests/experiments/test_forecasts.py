"""What a run forecasts of its family: the model read from its tables, the record, `size`, the picture, the report."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import experiments
from experiments.errors import UserError
from experiments.pictures.frontier import frontier_figure
from experiments.plans.forecasts import LARGEST, Measuring, forecast_family, forecast_lines, probability
from experiments.records import CoefficientsRecord, FamilyRecord, ForecastRecord
from experiments.report import collect
from experiments.run.folder import RunFolder
from experiments.tables.forecasts import held, score_line
from experiments.tables.frontier import FrontierPoint
from experiments.tables.growth import read_law
from experiments.views.size import SMALLEST, size_for
from scaling_search import Coefficients, Shares
from scaling_search.coefficients import DWR
from scaling_search.law import Law
from tests.helpers.command import Run, expect_mistake
from tests.helpers.redrawn import tables_alone

RESULTS = Path(experiments.__file__ or "").parent / "results"
SCALED, SHRUNK = RESULTS / "cifar10_scaling", RESULTS / "cifar10_shrunk"
HOW = Measuring(20, 3, "test", (10_000, 500))


@pytest.fixture(scope="module")
def law() -> Law:
    found = read_law(SHRUNK)
    assert found is not None
    return found


def forecast(law: Law, run: Path = SHRUNK, how: Measuring = HOW) -> ForecastRecord:
    folder = RunFolder(run)
    coefficients = folder.get(CoefficientsRecord).finding.coefficients
    return forecast_family(law, folder.get(FamilyRecord).members, coefficients, how)


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
    law = read_law(folder)
    assert law is not None
    assert law.lack_of_fit > 0.05
    compound = RunFolder(folder).get(CoefficientsRecord).finding.coefficients.shares
    shares = {"depth only": (1, 0, 0), "width only": (0, 1, 0), "resolution only": (0, 0, 1), "compound": compound}
    told = law.forecast(
        np.log2(large.macs.to_numpy() / baseline),
        np.array([shares[way] for way in large.way], dtype=float),
        np.full(4, 2.0),
        n=2,
    )
    assert all(float(accuracy) in each for each, accuracy in zip(told, large.accuracy, strict=True))
    assert max(each.high - each.low for each in told) < 0.2


def test_reads_every_network_once(law: Law, tmp_path: Path) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run")
    without = folder / "scaling.csv"
    told = law.forecast(np.zeros(1), np.full((1, 3), 1 / 3), np.full(1, 3.0), n=1000)[0]
    measured = pd.read_csv(without).set_index("macs").accuracy[984548].iloc[0]
    assert measured in told
    without.unlink()
    blind = read_law(folder)
    assert blind is not None
    wide = blind.forecast(np.zeros(1), np.full((1, 3), 1 / 3), np.full(1, 3.0), n=1000)[0]
    assert wide.high - wide.low > 2 * (told.high - told.low)


def test_too_few_points_are_no_model(tmp_path: Path) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run")
    grid = pd.read_csv(folder / "grid.csv")
    grid[grid.arch_id.isin(grid.arch_id.unique()[:5])].to_csv(folder / "grid.csv", index=False)
    assert read_law(folder) is None
    with pytest.raises(UserError, match="too few trainings"):
        size_for(RunFolder(folder), 0.5)


def test_forecast_of_a_family(law: Law) -> None:
    record = forecast(law)
    assert [member.phi for member in record.members] == [-2, -1, 0, 1, 2, 3, 4]
    assert all(member.low < member.expected < member.high for member in record.members)
    assert ForecastRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    line, *warnings = forecast_lines(record)
    assert line.startswith(
        "forecast for the family on test, the mean of 3 trainings of 20 epochs (90 % intervals): phi 0 "
    )
    assert "phi -1" not in line
    assert warnings == []
    assert "do not rely" in forecast_lines(replace(record, lack_of_fit=0.01))[1]


def test_another_split_widens_the_interval(law: Law) -> None:
    on_val, on_few = (forecast(law, how=Measuring(3, 3, "test", images)) for images in ((), (50, 50)))
    for narrow, wide in zip(on_val.members, on_few.members, strict=True):
        assert wide.high - wide.low > narrow.high - narrow.low + 0.1


def test_a_larger_network_reaches_an_accuracy_with_more_probability(law: Law) -> None:
    reach = probability(law, [-2, 0, 1, 4], Coefficients.from_shares(DWR), Measuring(3, 3, "val"), 0.44)
    assert reach[:3] == sorted(reach[:3])
    assert reach[0] < 0.05
    assert reach[3] > 0.5
    assert probability(law, [0.0], Coefficients.from_shares(Shares(0.2, 0.4, 0.4)), HOW, 0.0) == [1.0]


def test_which_forecasts_held(law: Law) -> None:
    record = forecast(law)
    inside, outside = record.members[2].expected, record.members[3].high + 0.01
    points = [
        point(record, 0, inside, role="baseline"),
        point(record, 1, outside),
        point(record, 2, 0.0, epochs=7),
        point(record, 3, 0.0, split="val"),
        point(record, 4, 0.0, role="reference"),
    ]
    assert held(record, points) == {record.members[2].arch_id: True, record.members[3].arch_id: False}
    assert score_line(record, points) == (
        "Of the 7 forecasts for the family, 2 can be checked: 1 of them lie within their 90 % intervals."
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
    assert data["forecast"].startswith("Forecast, before the family was trained")
    rows = {row["phi"]: row for row in data["family"]}
    assert rows[1]["forecast"].endswith(")")
    assert rows[1]["held"] is None
    assert rows[7]["forecast"] is None
    (folder.path / ForecastRecord.FILE).write_text("{}")
    damaged = collect(folder)
    assert damaged["forecast"] is None
    assert ForecastRecord.FILE in str(damaged["unread"])


def test_how_large_it_must_be(scalenas: Run) -> None:
    status, out, _ = scalenas("size", str(SHRUNK), "--accuracy", "44", "--epochs", "3", "--json")
    assert status == 0
    answer = json.loads(out)
    likely, sure = answer["sizes"]
    assert (likely["probability"], sure["probability"]) == (0.5, 0.9)
    assert SMALLEST < likely["phi"] < sure["phi"] <= LARGEST
    assert likely["macs"] < sure["macs"]
    assert likely["flash"] > 0
    lower = json.loads(scalenas("size", str(SHRUNK), "--accuracy", "42", "--epochs", "3", "--json")[1])
    assert lower["sizes"][0]["macs"] < likely["macs"]
    said = scalenas("size", str(SHRUNK), "--accuracy", "44", "--epochs", "3")[1]
    assert "44 % on test after 3 epochs" in said
    assert "with 50% probability: " in said


def test_what_no_network_reaches_is_said(scalenas: Run) -> None:
    said = scalenas("size", str(SHRUNK), "--accuracy", "99.9")[1]
    assert said.count("none up to 16 times the baseline's cost") == 2
    assert "--plot-phi 3" in said


def test_a_run_without_coefficients_is_told(scalenas: Run, tmp_path: Path) -> None:
    folder = tables_alone(SHRUNK, tmp_path / "run", "run.json")
    expect_mistake(scalenas("size", str(folder), "--accuracy", "50"), "has no coefficients yet")
