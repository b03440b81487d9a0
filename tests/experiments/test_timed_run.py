"""A whole run within a time, with trainings that are said to take longer than they do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from experiments.records import DivisionRecord, read_record
from experiments.run.pool import WorkerPool
from experiments.tables.frontier import read_points
from nas.study.store import read_study
from nas.training.speed import Speed
from search_spaces import ArchSpec, count_macs, reference_arch
from tests.helpers.command import Run, expect_mistake

RUN = ("run", "digits", "--executor", "inline", "--devices", "cpu", "--train-images", "200", "--resolution", "8")
STUDIES = ("discover", "confirm", "scale", "plans", "compare")


@pytest.fixture(autouse=True)
def speed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings are said to take so long, and never measured to take anything else."""

    def calibrate(pool: WorkerPool, archs: Sequence[ArchSpec]) -> Speed:  # noqa: ARG001
        pool.speed = Speed(step=0.01, per_mac=3e-9, eval_per_mac=1e-10, setup=0.2)
        return pool.speed

    monkeypatch.setattr(WorkerPool, "calibrate", calibrate)
    monkeypatch.setattr(WorkerPool, "slower", property(lambda _: 1.0))
    monkeypatch.setattr(WorkerPool, "seconds_an_epoch", lambda *_: None)


def trained(run: Path) -> dict[str, int]:
    return {name: len(read_study(run / f"{name}.journal", name).trials) for name in STUDIES}


def settings(run: Path, step: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "run.json").read_text())["steps"][step]["settings"]
    return found


def test_a_run_divides_its_time_and_is_gone_on_with(scalenas: Run, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = (*RUN, "--run", run, "--target-macs", "100k", "--budget", "0.7m", "--confirm", "1", "--epochs", "1")
    # Nothing is trained nor decided by a forecast.
    status, out, err = scalenas(*asked, "--dry-run", "--json")
    assert status == 0, err
    assert not (run / DivisionRecord.FILE).exists()
    assert json.loads(out)["seconds"] < 42
    assert "time: " in err
    assert "in all: about " in err
    status, _, err = scalenas(*asked)
    assert status == 0, err
    record = read_record(DivisionRecord, run / DivisionRecord.FILE)
    amounts = record.amounts
    assert (record.seconds, record.target_macs, record.begun) == (42, 100_000, ("search", "coefficients", "frontier"))
    assert sum(record.forecast.values()) <= 42
    done = trained(run)
    assert done["discover"] == amounts.trials == settings(run, "discover")["trials"]
    assert amounts.confirm == 1  # as the user wants it
    assert done["confirm"] == amounts.confirm_seeds
    assert 1 <= done["scale"] <= amounts.grid
    points = read_points(run / "frontier.csv")
    assert {point.epochs for point in points} == {amounts.final_epochs}
    assert amounts.final_epochs > amounts.epochs
    assert all(point.n == amounts.final_seeds for point in points)
    assert sum(point.role == "reference" for point in points) == amounts.references
    # The same command trains nothing again, and decides nothing anew.
    status, _, err = scalenas(*asked)
    assert status == 0, err
    assert trained(run) == done
    assert read_record(DivisionRecord, run / DivisionRecord.FILE) == record
    expect_mistake(scalenas(*asked, "--budget", "2m"), "was begun with --budget 0.7m")
    expect_mistake(scalenas(*asked, "--target-macs", "120k"), "was begun with a target of 0.1 M", "--target-macs")
    expect_mistake(scalenas(*asked, "--budget", "7", "--final-epochs", "70"), "final epochs", "not 70")  # at once
    assert trained(run) == done
    # What comes later trains as long as the folder's frontier.
    few = (*RUN[2:], "--run", run, "--arch", "plain_resnet", "--target-macs", "100k")
    status, _, err = scalenas("compare", "digits", *few, "--final-seeds", "1")
    assert status == 0, err
    assert {point.epochs for point in read_points(run / "frontier.csv")} == {amounts.final_epochs}


def test_the_target_is_lowered_where_no_search_would_fit(scalenas: Run, tmp_path: Path) -> None:
    shares = [each / 60 for each in (400, 4000)]
    found = []
    for i, minutes in enumerate(shares):
        status, out, err = scalenas(*RUN, "--run", tmp_path / f"{i}", "--budget", f"{minutes}m", "--dry-run", "--json")
        assert status == 0, err
        forecast = json.loads(out)
        found.append(forecast["discover"]["work"][0]["macs_each"])
        assert forecast["seconds"] < 60 * minutes
    assert found[0] < found[1]


def test_what_cannot_be_divided_is_said(scalenas: Run, tmp_path: Path) -> None:
    run = ("--run", tmp_path / "run")
    expect_mistake(scalenas(*RUN, *run, "--budget", "1s"), "takes a number of trainings such as 90, or time")
    expect_mistake(scalenas(*RUN, *run, "--budget", "0.1m"), "the least that a run of", "takes about", "--train-images")
    own = ("--evaluator", "tests.helpers.evaluators:formula_for")
    expect_mistake(scalenas(*RUN, *run, "--budget", "1m", *own), "for the built-in training", "--evaluator")


def test_a_network_of_ones_own_is_grown_and_compared_in_time(scalenas: Run, tmp_path: Path) -> None:
    asked = (*RUN, "--run", tmp_path / "run", "--target-macs", "100k", "--budget", "0.7m", "--epochs", "1")
    status, _, err = scalenas(*asked, "--arch", "plain_resnet")
    assert status == 0, err
    assert "  search: " not in err
    assert read_points(tmp_path / "run" / "frontier.csv")[0].role == "baseline"
    # A network that is taken as it is has a cost of its own.
    large = replace(reference_arch("resnet20"), resolution=8, input_channels=1)
    (tmp_path / "large.json").write_text(large.to_json())
    larger = (*RUN, "--run", tmp_path / "other", "--budget", "0.7m", "--arch", tmp_path / "large.json")
    expect_mistake(scalenas(*larger), f"the least that a run of {count_macs(large, None, 10) / 1e6:.3g} M")


def test_all_that_stands_on_the_frontier_counts(scalenas: Run, tmp_path: Path) -> None:
    asked = (*RUN, "--run", tmp_path / "run", "--target-macs", "100k", "--budget", "4m", "--epochs", "1")
    for more in ((), ("--rivals",), ("--lengths", "3,9"), ("--train-fraction", "0.5"), ("--plot-phi", "3")):
        status, out, err = scalenas(*asked, "--dry-run", "--json", *more)
        assert status == 0, err
        assert 120 < json.loads(out)["seconds"] <= 240


def test_time_left_goes_into_further_seeds(scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings take a small part of what was foretold: seeds are added until there are the most there may be."""
    run = tmp_path / "run"
    asked = (*RUN, "--run", run, "--target-macs", "100k", "--budget", "0.7m", "--confirm", "1", "--epochs", "1")
    monkeypatch.setattr("experiments.plans.timetable.MOST_SEEDS", 3)
    monkeypatch.setattr("experiments.plans.division.MOST_SEEDS", 1)
    status, _, err = scalenas(*asked)
    assert status == 0, err
    assert "enough for another seed of each network" in err
    assert {point.n for point in read_points(run / "frontier.csv")} == {3}
    assert read_record(DivisionRecord, run / DivisionRecord.FILE).amounts.final_seeds == 3
    done = trained(run)
    assert scalenas(*asked)[0] == 0
    assert trained(run) == done
    # Who has decided on the seeds gets as many.
    few = (*asked[: len(RUN)], "--run", tmp_path / "few", *asked[len(RUN) + 2 :], "--final-seeds", "1")
    assert scalenas(*few)[0] == 0
    assert {point.n for point in read_points(tmp_path / "few" / "frontier.csv")} == {1}
