"""Tables that spreadsheets open: no cell is a formula, and what is read back is what was meant."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import UserError
from experiments.tables.csv_rows import SIGNED, read_rows, to_csv
from experiments.tables.curves import read_curves
from experiments.tables.differences import differences
from experiments.tables.fidelity_table import FidelityRow, ranking
from experiments.tables.frontier import read_own_points, read_points
from experiments.tables.grid import read_grid
from experiments.tables.standing import standing
from tests.helpers.damage import refusal


@dataclass(frozen=True)
class Row:
    name: str
    gain: float = field(metadata=SIGNED)


FORMULAS = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@SUM(A1)", "\t=1", "'=1", "''=1", "＝1", "\n=1"]


@pytest.mark.parametrize("text", [*FORMULAS, "it's", "a=b", "", "'quoted'"])
def test_no_cell_is_a_formula_and_texts_come_back(tmp_path: Path, text: str) -> None:
    written = to_csv(pd.DataFrame([{"name": text, "gain": -0.5, text: 1}]))
    cells = pd.read_csv(io.StringIO(written), dtype=str, keep_default_na=False)
    assert not any(cell[:1] in ("=", "+", "@", "\t", "\n", "＝") for cell in (*cells.columns, *cells["name"]))
    assert list(cells["gain"]) == ["-0.5"]
    (tmp_path / "a.csv").write_bytes(written.encode())
    assert read_rows(tmp_path / "a.csv", Row) == [Row(text, -0.5)]


@settings(derandomize=True, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\r\0"), max_size=6))
def test_any_text_comes_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(to_csv(pd.DataFrame([{"name": text, "gain": 1.0}])).encode())
    assert read_rows(path, Row) == [Row(text, 1.0)]


def test_a_table_with_semicolons_is_told(tmp_path: Path) -> None:
    path = tmp_path / "own.csv"
    path.write_text("label;accuracy;macs\na;0.5;100\n")
    for read in (read_own_points, lambda file: read_rows(file, Row)):
        with pytest.raises(UserError, match=r"own\.csv: its columns are separated by semicolons; save it with commas"):
            read(path)


def test_what_is_no_file_or_too_large_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,gain\na,1\n")
    monkeypatch.setattr("experiments.tables.csv_rows.LARGEST", 5)
    for file, words in ((path, "larger than"), (Path("/dev/zero"), "no regular file"), (tmp_path / "b", "No such")):
        with pytest.raises(UserError, match=words):
            read_rows(file, Row)


OLD = Path(__file__).parents[1] / "old_runs"
READERS: dict[str, Callable[[Path], object]] = {
    "full/frontier.csv": lambda path: (differences(read_points(path)), standing(read_points(path))),
    "full/grid.csv": read_grid,
    "full/scaling.csv": read_curves,
    "fidelity/fidelity.csv": lambda path: ranking(read_rows(path, FidelityRow)),
}
JUNK = st.sampled_from(
    ["", "x", "0", "-1", "1.5", "1e308", "nan", "inf", "9" * 400, '"', "'=1", "\0", "\u00e9", "1_0", "\uff11", "true"]
)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=80, derandomize=True, deadline=None)
@given(data=st.data())
def test_tables_with_other_cells(tmp_path_factory: pytest.TempPathFactory, name: str, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / Path(name).name
    rows = list(csv.reader(io.StringIO((OLD / name).read_text())))
    for _ in range(data.draw(st.integers(1, 3))):
        row = rows[data.draw(st.integers(0, len(rows) - 1))]
        column = data.draw(st.integers(0, len(row) - 1))
        match data.draw(st.sampled_from(["cell", "cell", "cell", "lost", "doubled"])):
            case "cell":
                row[column] = data.draw(JUNK)
            case "lost":
                row[column:] = row[column + 1 :] or [""]
            case _:
                rows.append(list(row))
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    path.write_text(written.getvalue())
    told = refusal(
        (UserError, ValueError), lambda: READERS[name](path)
    )  # ValueError: `ranking`'s, named by its callers
    assert "\n" not in (told or "")
