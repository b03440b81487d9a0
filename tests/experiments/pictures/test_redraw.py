"""Pictures drawn again from a run's tables: pixel by pixel those of the run, and one line for a damaged table."""

from __future__ import annotations

import json
import math
import random
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure

from experiments.cli import main
from experiments.run.folder import RunFolder
from experiments.views.redraw import redraw
from nas.data.dataset import Dataset
from nas.evaluation import Failure, Outcome, Report, Request
from search_spaces import fit_arch, reference_arch
from tests.helpers.command import Run, expect_mistake
from tests.helpers.redrawn import expect_same_pictures, tables_alone

PICTURES = ("drift", "fidelity", "frontier", "scaling", "triangle")
TABLES = ("frontier.csv", "grid.csv", "scaling.csv", "fidelity.csv")


class MadeUp:
    """Longer trainings want more pixels, shorter ones more layers; some networks fail in the longest."""

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        arch, epochs = request.arch, request.fidelity.epochs
        if epochs > 4 and arch.id < "2":
            return Outcome(failure=Failure("diverged", "as asked"))
        pixels = 2 * math.log2(arch.resolution / 5)
        layers = math.log2(sum(stage.layers for stage in arch.stages) / 16)
        luck = random.Random(request.key).gauss(0, 0.005)
        return Outcome(accuracy=0.4 + (0.05 if epochs > 1 else -0.05) * (pixels - layers) + luck)


def made_up(_: Dataset) -> MadeUp:
    return MadeUp()


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with every picture there is, of accuracies that are made up."""
    folder = tmp_path_factory.mktemp("runs") / "mine"
    b0 = fit_arch(replace(reference_arch("efficientnet_b0"), input_channels=1), 5, 4e6, num_classes=10)
    file = folder.with_name("b0.json")
    file.write_text(b0.to_json())
    common = ("digits", "--run", str(folder), "--evaluator", f"{__name__}:made_up", "--executor", "inline",
              "--devices", "cpu")  # fmt: skip
    fitted = (*common, "--target-macs", "4M")
    steps = (
        ("scale", *common, "--arch", str(file), "--lengths", "1,2", "--seeds", "2", "--plot-phi", "1"),
        ("compare", *fitted, "--arch", "mobilenet_v2", "--arch", "mnasnet_a1", "--final-epochs", "3"),
        ("fidelity", *fitted, "--space", "mnasnet", "--candidates", "12", "--epochs", "1", "--fidelity", "2:0.5"),
    )
    before = sys.argv
    try:
        for step in steps:
            sys.argv = ["scalenas", *step]
            main()
    finally:
        sys.argv = before
    return folder


def test_the_tables_alone_give_the_same_pictures(done: Path, tmp_path: Path, scalenas: Run) -> None:
    bare = tables_alone(done, tmp_path / "bare")
    tables = {file: file.read_bytes() for file in bare.glob("*.csv")}
    status, out, err = scalenas("redraw", bare)
    assert status == 0, err
    names = [f"{name}.{suffix}" for suffix in ("png", "svg") for name in PICTURES]
    assert expect_same_pictures(done, bare) == names
    assert sorted(out.splitlines()) == sorted(str(bare / name) for name in (*names, "report.html"))
    assert {file: file.read_bytes() for file in bare.glob("*.csv")} == tables
    assert pd.read_csv(bare / "fidelity.csv").failure.eq("diverged").any()  # those are left out of the picture


def test_what_an_older_run_does_not_tell_is_the_default(done: Path, tmp_path: Path) -> None:
    bare = tables_alone(done, tmp_path / "bare", "grid.csv", "run.json")
    record = json.loads((bare / "run.json").read_text())
    settings = record["steps"]["scale"]["settings"]
    settings["final_epochs"] = 20
    (bare / "run.json").write_text(json.dumps(record))
    assert [file.name for file in redraw(RunFolder(bare))][-1] == "report.html"
    told = shutil.copytree(bare, tmp_path / "told")
    del settings["final_epochs"]
    (bare / "run.json").write_text(json.dumps(record))
    redraw(RunFolder(bare))
    assert expect_same_pictures(told, bare) == ["drift.png", "triangle.png", "drift.svg", "triangle.svg"]

    record["steps"]["scale"]["settings"]["final_epochs"] = 500
    (bare / "run.json").write_text(json.dumps(record))
    redraw(RunFolder(bare))
    with pytest.raises(AssertionError, match=r"drift\.png"):  # the line is extrapolated to other epochs
        expect_same_pictures(told, bare)


def test_pictures_drawn_again_say_what_the_run_measured(
    done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tables_alone(done, tmp_path / "bare")
    record = json.loads((bare / "run.json").read_text())
    record["identity"]["recipe"] += ", metric=macro_f1"
    (bare / "run.json").write_text(json.dumps(record))
    table = pd.read_csv(bare / "frontier.csv")
    table["recipe"] += ", metric=macro_f1"
    table.to_csv(bare / "frontier.csv", index=False)
    drawn: dict[str, str] = {}

    def note(figure: Figure, path: Path) -> None:
        drawn[path.stem] = "; ".join(f"{axes.get_xlabel()}, {axes.get_ylabel()}" for axes in figure.axes)

    monkeypatch.setattr("experiments.pictures.run_folder.save_figure", note)
    redraw(RunFolder(bare))
    assert set(drawn) == set(PICTURES)
    for name in set(PICTURES) - {"drift"}:
        assert "macro f1" in drawn[name]
        assert "accuracy" not in drawn[name]


def test_parts_of_several_runs(done: Path, tmp_path: Path, scalenas: Run) -> None:
    folders = [tables_alone(done, tmp_path / name, "run.json", f"{name}.csv") for name in ("scaling", "frontier")]
    status, out, err = scalenas("redraw", *folders)
    assert status == 0, err
    wanted = [folder / f"{folder.name}{suffix}" for folder in folders for suffix in (".png", ".svg")]
    printed = [Path(line) for line in out.splitlines()]
    assert [file for file in printed if file.name != "report.html"] == wanted
    assert all(file.is_file() for file in printed)


@pytest.mark.parametrize(
    ("table", "damage"),
    [("frontier.csv", ("accuracy", "much")), ("frontier.csv", ("split", None)), ("grid.csv", ("share_depth", "wide")),
     ("grid.csv", ("accuracy", "")), ("grid.csv", ("realised_cost", None)), ("scaling.csv", ("macs", "1.5")),
     ("scaling.csv", ("accuracy_std", "-1")), ("scaling.csv", ("way", None)), ("fidelity.csv", ("epochs", "inf")),
     ("frontier.csv", ("role", "mine")), ("frontier.csv", ("macs", "0")), ("frontier.csv", ("n", "0")),
     ("scaling.csv", ("n", "0")),
     ("fidelity.csv", ("training", "medium")), ("fidelity.csv", ("network", None))],
)  # fmt: skip
def test_a_damaged_table_is_told_in_one_line(
    done: Path, tmp_path: Path, scalenas: Run, table: str, damage: tuple[str, str | None]
) -> None:
    column, cell = damage
    bare = tables_alone(done, tmp_path / "bare", table, "run.json")
    frame = pd.read_csv(bare / table, dtype=str, keep_default_na=False)
    if cell is None:
        frame = frame.drop(columns=column)
    else:
        frame.loc[1, column] = cell
    frame.to_csv(bare / table, index=False)
    expect_mistake(scalenas("redraw", bare), str(bare / table), repr(column))


@pytest.mark.parametrize("table", TABLES)
def test_a_table_without_rows(done: Path, tmp_path: Path, scalenas: Run, table: str) -> None:
    bare = tables_alone(done, tmp_path / "bare", table, "run.json")
    (bare / table).write_text((bare / table).read_text().splitlines()[0] + "\n")
    expect_mistake(scalenas("redraw", bare), table, "no rows")
    (bare / table).write_text("")
    expect_mistake(scalenas("redraw", bare), table)


def test_a_cut_fidelity_table(done: Path, tmp_path: Path, scalenas: Run) -> None:
    bare = tables_alone(done, tmp_path / "bare", "fidelity.csv", "run.json")
    lines = (bare / "fidelity.csv").read_text().splitlines(keepends=True)
    (bare / "fidelity.csv").write_text("".join(lines[:20]))
    expect_mistake(scalenas("redraw", bare), "fidelity.csv", "'training'")


def test_what_the_run_could_not_draw_is_left_out(done: Path, tmp_path: Path) -> None:
    bare = tables_alone(done, tmp_path / "bare", "grid.csv", "fidelity.csv", "run.json")
    for table, column, few in (("grid.csv", "arch_id", 9), ("fidelity.csv", "network", 3)):
        frame = pd.read_csv(bare / table, dtype=str, keep_default_na=False)
        frame[frame[column].isin(frame[column].unique()[:few])].to_csv(bare / table, index=False)
    assert [file.name for file in redraw(RunFolder(bare))] == ["report.html"]


@pytest.mark.parametrize(
    ("record", "word"),
    [("[]", "not the record of a run"), ('{"steps": []}', "not the record"),
     ('{"steps": {"scale": {"settings": {"final_epochs": "many"}}}}', "final_epochs"), ("{", "not JSON")],
)  # fmt: skip
def test_a_damaged_record(done: Path, tmp_path: Path, scalenas: Run, record: str, word: str) -> None:
    bare = tables_alone(done, tmp_path / "bare", "grid.csv")
    # Ten points make a surface; fewer are enough to ask run.json, and faster.
    grid = pd.read_csv(bare / "grid.csv", dtype=str).head(3)
    grid.to_csv(bare / "grid.csv", index=False)
    (bare / "run.json").write_text(record)
    expect_mistake(scalenas("redraw", bare), "run.json", word)


def test_a_folder_that_is_no_run(done: Path, tmp_path: Path, scalenas: Run) -> None:
    shutil.copyfile(done / "frontier.csv", tmp_path / "frontier.csv")
    expect_mistake(scalenas("redraw", tmp_path), "not a run folder")
    assert not (tmp_path / "frontier.png").exists()
