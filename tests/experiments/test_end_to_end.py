"""The main job on real images: all files, going on without training again, rescoring, refusing another run's folder."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from experiments.cli import main
from experiments.errors import UserError
from experiments.options.groups import REFERENCES
from experiments.pictures.frontier import frontier_figure
from experiments.pictures.save import save_figure
from experiments.plans import opponents
from experiments.plans.networks import network_plans
from experiments.report import collect
from experiments.run.context import RunContext
from experiments.run.folder import RunFolder
from experiments.tables.frontier import read_points
from experiments.tables.standing import standing
from nas.study.store import read_study
from scaling_search import Coefficients
from search_spaces import ArchSpec, count_macs, count_params
from search_spaces.plans import NetworkPlan
from tests.helpers.redrawn import expect_same_pictures, tables_alone

Run = Callable[..., tuple[int, str, str]]
IMAGES = ("--executor", "inline", "--devices", "cpu", "--train-images", "48")
COMMON = (*IMAGES, "--target-macs", "1M", "--epochs", "1")
SEARCH = ("--sampler", "random", "--trials", "3", "--confirm", "1", "--confirm-seeds", "2")
GROWTH = (
    "--seeds", "1", "--budget", "4", "--final-epochs", "1", "--final-seeds", "2", "--family-phi", "1",
    "--plot-phi", "1", "--rivals",
)  # fmt: skip
STUDIES = ("discover", "scale", "plans", "compare")
TINY = (*COMMON, *SEARCH, *GROWTH, "--top", "2")
FILES = (
    "run.json", "discover.journal", "scale.journal", "compare.journal", "trials.csv", "grid.csv", "baseline.json",
    "coefficients.json", "family.json", "frontier.csv", "differences.csv", "frontier.png", "frontier.svg",
    "scaling.csv", "scaling.png", "scaling.svg",
)  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run on digits."""
    folder = tmp_path_factory.mktemp("runs") / "digits"
    before = sys.argv
    sys.argv = ["scalenas", "run", "digits", "--run", str(folder), *TINY]
    try:
        main()
    finally:
        sys.argv = before
    return folder


@pytest.fixture
def run_dir(done: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed at will."""
    return Path(shutil.copytree(done, tmp_path / "digits"))


def trainings(folder: Path) -> dict[str, int]:
    return {name: len(read_study(folder / f"{name}.journal", name).trials) for name in STUDIES}


def test_a_run_leaves_its_files_and_they_agree(done: Path) -> None:
    assert [name for name in FILES if not (done / name).is_file()] == []
    baseline = json.loads((done / "baseline.json").read_text())
    arch = ArchSpec.from_dict(baseline["arch"])
    assert (baseline["macs"], baseline["params"]) == (count_macs(arch, None, 10), count_params(arch, 10))
    assert baseline["id"] == arch.id
    assert baseline["n"] == 2
    found = json.loads((done / "coefficients.json").read_text())
    shares = Coefficients(found["alpha"], found["beta"], found["gamma"])
    assert shares.nominal_cost == pytest.approx(2, rel=1e-6)
    assert sum(point["n"] for point in found["grid"]) == 4
    family = json.loads((done / "family.json").read_text())
    assert [member["phi"] for member in family if member["phi"] >= 0] == list(range(8))
    assert {member["phi"] for member in family} <= set(range(-2, 8))
    assert [ArchSpec.from_dict(member["arch"]).id for member in family if member["phi"] == 0] == [arch.id]
    trials = pd.read_csv(done / "trials.csv")
    assert list(trials["number"]) == [0, 1, 2]
    assert len(pd.read_csv(done / "grid.csv")) == 4
    curves = pd.read_csv(done / "scaling.csv")
    assert set(curves.way) == {"depth only", "width only", "resolution only", "dWr", "compound"}
    for _, line in curves.groupby("way"):
        assert line.macs.tolist()[0] == baseline["macs"]
        assert line.macs.is_monotonic_increasing
        assert line.macs.tolist()[-1] == pytest.approx(2 * baseline["macs"], rel=0.15)


def test_the_frontier_holds_every_part_at_one_fidelity(done: Path) -> None:
    points = read_points(done / "frontier.csv")
    assert {point.label for point in points} >= {"baseline", "phi 1", *REFERENCES}
    assert {(point.split, point.epochs, point.n) for point in points} == {("test", 1, 2)}
    baseline = next(point for point in points if point.role == "baseline")
    for point in points:
        assert (point.role == "reference") == bool(point.plan)
        if point.role == "reference":
            assert point.macs == pytest.approx(baseline.macs, rel=0.05)


def test_the_report_begins_with_the_best_opponent_and_draws_it(done: Path) -> None:
    points = read_points(done / "frontier.csv")
    placed = standing(points)
    assert placed is not None
    data = collect(RunFolder(done))
    assert data["unread"] == []
    assert data["story"][0] == placed.sentence("the network found")
    titles = [f"{drawn['title']} {drawn['id']}" for drawn in data["architectures"]]
    best = f"{placed.best.label}, the best network beside it {placed.best.arch_id}"
    assert titles == [f"The baseline {placed.own.arch_id}", best]
    assert [each["plan"] for each in data["frontier"]["points"]] == [point.plan for point in points]


def test_pictures_are_pictures(done: Path) -> None:
    with Image.open(done / "frontier.png") as picture:
        assert picture.width > 800
    assert "<svg" in (done / "frontier.svg").read_text()


def test_the_tables_alone_give_the_same_pictures(done: Path, tmp_path: Path, scalenas: Run) -> None:
    bare = tables_alone(done, tmp_path / "bare")
    status, _, err = scalenas("redraw", bare)
    assert status == 0, err
    # Two points a length make no triangle and no drift.
    assert expect_same_pictures(done, bare) == ["frontier.png", "scaling.png", "frontier.svg", "scaling.svg"]


def test_the_same_command_trains_nothing_again(run_dir: Path, scalenas: Run) -> None:
    before = trainings(run_dir)
    baseline = (run_dir / "baseline.json").read_text()
    status, _, err = scalenas("run", "digits", "--run", run_dir, *TINY)
    assert status == 0, err
    placed = standing(read_points(run_dir / "frontier.csv"))
    assert placed is not None
    *_, last, end = err.strip().splitlines()
    assert last == placed.sentence("the network found")
    assert end.startswith("done: ")
    assert trainings(run_dir) == before
    assert (run_dir / "baseline.json").read_text() == baseline


def test_compare_alone_puts_the_baseline_beside_known_networks(run_dir: Path, scalenas: Run) -> None:
    (run_dir / "frontier.csv").unlink()
    before = trainings(run_dir)
    options = ("--final-epochs", "1", "--final-seeds", "2")
    status, _, err = scalenas("compare", "digits", "--run", run_dir, *IMAGES, *options)
    assert status == 0, err
    labels = [(point.label, point.role) for point in read_points(run_dir / "frontier.csv")]
    known = [(name, "reference") for name in REFERENCES]
    assert sorted(labels) == sorted([("baseline", "baseline"), *known])
    assert trainings(run_dir) == before


def test_a_known_network_that_cannot_be_fitted_is_left_out(
    run_dir: Path, scalenas: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run_dir / "frontier.csv").unlink()

    def plans(run: RunContext, name: str, target: float, resolutions: Sequence[int]) -> tuple[NetworkPlan, ...]:
        if name == "efficientnet_b0":
            raise UserError(f"{name}: cannot be made so small")
        return network_plans(run, name, target, resolutions)

    (run_dir / "compare.journal").unlink()
    monkeypatch.setattr(opponents, "network_plans", plans)
    status, _, err = scalenas("run", "digits", "--run", run_dir, *TINY)
    assert status == 0, err
    assert "warning: left out of the comparison: efficientnet_b0: cannot be made so small" in err
    known = [point.label for point in read_points(run_dir / "frontier.csv") if point.role == "reference"]
    assert known == [name for name in REFERENCES if name != "efficientnet_b0"]


def test_a_damaged_journal_is_told_in_one_line(run_dir: Path, scalenas: Run) -> None:
    journal = run_dir / "discover.journal"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join([*lines[:5], "x" + lines[5], *lines[6:]]))
    status, _, err = scalenas("run", "digits", "--run", run_dir, *TINY)
    assert status == 2
    assert "discover.journal: damaged journal" in err.splitlines()[-1]


def test_more_trials_go_on_from_what_there_is(run_dir: Path, scalenas: Run) -> None:
    first = pd.read_csv(run_dir / "trials.csv")
    status, _, err = scalenas("discover", "digits", "--run", run_dir, *COMMON, *SEARCH, "--trials", "4")
    assert status == 0, err
    again = pd.read_csv(run_dir / "trials.csv")
    assert list(again["number"]) == [0, 1, 2, 3]
    pd.testing.assert_frame_equal(again.iloc[:3][["arch_id", "accuracy"]], first[["arch_id", "accuracy"]])


def test_another_target_rescores_without_training(run_dir: Path, scalenas: Run) -> None:
    first = pd.read_csv(run_dir / "trials.csv")
    options = [*COMMON, *SEARCH, "--target-macs", "2M", "--exponent", "-0.5"]
    status, _, err = scalenas("discover", "digits", "--run", run_dir, *options)
    assert status == 0, err
    again = pd.read_csv(run_dir / "trials.csv")
    pd.testing.assert_series_equal(again["accuracy"], first["accuracy"])
    expected = again["accuracy"] * (again["macs"] / 2_000_000) ** -0.5
    pd.testing.assert_series_equal(again["score"], expected, check_names=False)


@pytest.mark.parametrize(
    ("change", "word"),
    [(("--seed", "1"), "seed"), (("--epochs", "2"), "epochs"), (("--space", "mbconv"), "space"),
     (("--resolution", "7"), "resolution"), (("--train-images", "150"), "data set")],
)  # fmt: skip
def test_another_run_is_refused(run_dir: Path, scalenas: Run, change: tuple[str, str], word: str) -> None:
    before = trainings(run_dir)
    status, _, err = scalenas("discover", "digits", "--run", run_dir, *COMMON, *SEARCH, *change)
    assert status == 2
    assert word in err.strip().splitlines()[-1]
    assert trainings(run_dir) == before


def test_status_and_frontier_read_a_run(run_dir: Path, scalenas: Run, tmp_path: Path) -> None:
    status, out, _ = scalenas("status", run_dir, "--json")
    assert status == 0
    assert json.loads(out)["studies"]["discover"]["states"]["complete"] == 3
    assert "3 of 3" in scalenas("status", run_dir)[1]
    for suffix in ("png", "svg", "pdf", "csv"):
        assert scalenas("frontier", run_dir, "-o", tmp_path / f"f.{suffix}")[0] == 0
        assert (tmp_path / f"f.{suffix}").stat().st_size > 500
    assert scalenas("frontier", run_dir, "-o", tmp_path / "f.doc")[0] == 2


def test_two_runs_share_a_picture_under_their_paths(done: Path, run_dir: Path, scalenas: Run, tmp_path: Path) -> None:
    output = tmp_path / "both.csv"
    assert scalenas("frontier", done, run_dir, "-o", output)[0] == 0
    labels = [point.label for point in read_points(output)]
    assert len(set(labels)) == len(labels) == 2 * len(read_points(done / "frontier.csv"))
    assert scalenas("frontier", done, run_dir, "-o", tmp_path / "both.png")[0] == 0
    table = (run_dir / "frontier.csv").read_text().replace(",test,1,fast,", ",test,2,fast,")
    (run_dir / "frontier.csv").write_text(table)
    status, _, err = scalenas("frontier", done, run_dir, "-o", tmp_path / "both.png")
    assert status == 2
    assert "do not share an axis" in err


def test_published_points_are_marked_as_such(run_dir: Path, scalenas: Run, tmp_path: Path) -> None:
    output = tmp_path / "overlay.csv"
    assert scalenas("frontier", run_dir, "-o", output, "--published", "EfficientNet")[0] == 0
    quoted = [point for point in read_points(output) if point.role == "published"]
    assert {(point.data, point.recipe) for point in quoted} == {("ImageNet", "published")}
    assert next(p for p in quoted if p.label == "EfficientNet-B0").accuracy == pytest.approx(0.771)
    assert scalenas("frontier", run_dir, "-o", tmp_path / "overlay.png", "--published", "EfficientNet")[0] == 0
    status, _, err = scalenas("frontier", run_dir, "-o", output, "--published", "LeNet")
    assert status == 2
    assert "LeNet" in err


def test_names_are_drawn_as_text(done: Path, tmp_path: Path) -> None:
    odd = '<script>alert("$x^$")</script> $\\frac$\n'
    points = [replace(point, label=odd, data=odd) for point in read_points(done / "frontier.csv")]
    save_figure(frontier_figure(points, title=odd), tmp_path / "odd.svg")
    save_figure(frontier_figure(points, title=odd), tmp_path / "again.svg")
    drawn = (tmp_path / "odd.svg").read_text()
    assert "<script>" not in drawn
    assert drawn == (tmp_path / "again.svg").read_text()


def test_a_baseline_of_ones_own_skips_the_search(tmp_path: Path, scalenas: Run) -> None:
    options = (*COMMON, *GROWTH, "--evaluator", "tests.helpers.evaluators:formula_for")
    status, _, err = scalenas("run", "digits", "--run", tmp_path / "r", *options, "--arch", "mobilenet_v2")
    assert status == 0, err
    assert not (tmp_path / "r" / "discover.journal").exists()
    assert err.count("\nmobilenet_v2: 5 px") == 1  # the network that grows, with pixels left to grow into
    assert "the network given" in err.lower()
    assert scalenas("inspect", tmp_path / "r", "--num-classes", "10")[0] == 0
    labels = {point.label for point in read_points(tmp_path / "r" / "frontier.csv")}
    assert "baseline" in labels
