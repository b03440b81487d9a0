"""A frontier's table: what is not a figure is refused, and runs have names to be told apart by."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from experiments.errors import UserError
from experiments.tables.frontier import (
    AXES,
    FrontierPoint,
    known_curves,
    merge_points,
    points_csv,
    read_own_points,
    read_points,
)
from experiments.views.frontier import draw_frontier, run_archs
from search_spaces import network_cost
from tests.helpers.run_folders import made_up_run

POINT = FrontierPoint("net", "reference", "mine", "digits", "test", 3, "fast", 2, 0.5, 0.01, 10**6, 10**4, 16, "0")


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "frontier.csv"
    odd = replace(POINT, label="1e3", run="007", data="", accuracy=0.1 + 0.2, std=1 / 3e9, latency_ms=0.7)
    path.write_text(points_csv([POINT, odd]))
    assert read_points(path) == [POINT, odd]


def test_plans_are_written_where_there_are_some_and_read_where_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "frontier.csv"
    planned = replace(POINT, plan="32 px, strides early, one layer a stage")
    path.write_text(points_csv([POINT, planned]))
    assert read_points(path) == [POINT, planned]
    path.write_text(points_csv([POINT]))
    assert path.read_text().splitlines()[0].endswith(",arch_id,latency_ms")  # as tables were before there were plans
    assert read_points(path) == [POINT]


def test_bytes_and_int8_are_written_where_they_are_known(tmp_path: Path) -> None:
    path = tmp_path / "frontier.csv"
    known = replace(POINT, ram=98304, flash=230808, int8=0.49, int8_std=0.02)
    path.write_text(points_csv([POINT, known]))
    assert path.read_text().splitlines()[0].endswith(",latency_ms,ram,flash,int8,int8_std")
    assert read_points(path) == [POINT, known]
    path.write_text(points_csv([replace(POINT, ram=98304, flash=230808)]))
    assert path.read_text().splitlines()[0].endswith(",latency_ms,ram,flash")
    path.write_text(points_csv([replace(known, int8=0.5)]).replace(",0.5,0.02", ",1.5,0.02"))
    with pytest.raises(UserError, match=r"row 1, column 'int8': 1\.5 is out of range; it takes 0 to 1"):
        read_points(path)


@pytest.mark.parametrize(
    ("column", "cell"),
    [("accuracy", "nan"), ("accuracy", ""), ("accuracy", "1.5"), ("accuracy", "-0.1"), ("accuracy", "much"),
     ("std", "inf"), ("std", "nan"), ("macs", "-5"), ("macs", "inf"), ("params", "nan"), ("epochs", "1.5"),
     ("latency_ms", "nan"), ("latency_ms", "-1")],
)  # fmt: skip
def test_what_is_no_figure_is_named(tmp_path: Path, column: str, cell: str) -> None:
    path = tmp_path / "frontier.csv"
    path.write_text(points_csv([POINT, POINT]))
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    table.loc[1, column] = cell
    table.to_csv(path, index=False)
    with pytest.raises(UserError, match=rf"^{re.escape(str(path))}: row 2, column '{column}': [^\n]+$"):
        read_points(path)


def test_the_run_one_stands_in_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("here", "there"):
        made_up_run(tmp_path / name, 6, name="digits")
    monkeypatch.chdir(tmp_path / "here")
    points = draw_frontier([".", "../there"], tmp_path / "both.csv")
    assert {point.run for point in points} == {"here", "there"}
    assert points[0].label.startswith("here: ")


def test_activations_are_counted_of_the_networks_that_a_run_trained(tmp_path: Path) -> None:
    run, table = Path(__file__).parents[1] / "old_runs" / "full", tmp_path / "run.csv"
    drawn = draw_frontier([str(run)], table, x="activations")
    archs = run_archs(run)
    counted = {point.label: network_cost(archs[point.arch_id], None, 10).activations for point in drawn}
    assert {point.label: point.activations for point in drawn} == counted
    assert read_points(table) == drawn
    draw_frontier([str(run)], tmp_path / "run.html", x="activations")
    assert "activations" in (tmp_path / "run.html").read_text()
    assert "activations" not in points_csv(read_points(run / "frontier.csv"))


def test_a_new_baseline_replaces_all_that_came_of_the_old_one() -> None:
    old = [replace(POINT, label=role, role=role) for role in ("baseline", "family", "distilled", "rival", "reference")]
    again = replace(POINT, label="reference", accuracy=0.6)
    assert merge_points(old, [again]) == [*old[:4], again]
    new = replace(POINT, label="baseline", role="baseline", accuracy=0.7)
    for other in (replace(new, arch_id="another"), replace(new, recipe="fast, from=1234+part")):
        assert merge_points(old, [other]) == [old[4], other]
    same = replace(POINT, label="baseline", role="baseline", accuracy=0.7)
    assert merge_points(old, [same]) == [*old[1:], same]
    apart = replace(POINT, label="baseline", accuracy=0.7)  # of another role
    assert merge_points(old, [apart]) == [*old, apart]


def test_a_known_network_at_several_costs_is_a_curve() -> None:
    dear = replace(POINT, label=f"{POINT.label}, 2 M", macs=2 * POINT.macs)
    scaled, other = replace(dear, role="family"), replace(dear, run="other")
    points = [dear, scaled, POINT, other, replace(POINT, label="alone")]
    assert known_curves(points, AXES["macs"]) == [[POINT, dear]]
    assert known_curves([replace(POINT, params=1), replace(dear, params=0)], AXES["params"])[0][-1].params == 1
    several = [replace(point, run="a, b", label=f"a, b: {name}") for point, name in ((POINT, "x"), (dear, "y"))]
    assert known_curves(several, AXES["macs"]) == []  # two networks of a run whose name has a comma


def test_what_earlier_versions_called_known_is_replaced_by_the_given() -> None:
    old, other = replace(POINT, label="nets/mine.json"), replace(POINT, label="nets/other.json")
    new = replace(old, role="given", accuracy=0.6)
    assert merge_points([old, other], [new]) == [other, new]


@pytest.mark.parametrize(
    ("cells", "accuracies"),
    [("0.5 1", [0.5, 1.0]), ("1 1", [1.0, 1.0]), ("1.5 100", [0.015, 1.0]), ("0.5 100.5", None), ("-0.1 0.5", None)],
)
def test_own_accuracies_are_shares_or_percent(tmp_path: Path, cells: str, accuracies: list[float] | None) -> None:
    rows = [f"net,{cell},1000" for cell in cells.split()]
    (tmp_path / "own.csv").write_text("\n".join(["label,accuracy,macs", *rows]))
    if accuracies is None:
        with pytest.raises(UserError, match="accuracy is out of range"):
            read_own_points(tmp_path / "own.csv")
    else:
        assert [point.accuracy for point in read_own_points(tmp_path / "own.csv")] == accuracies
