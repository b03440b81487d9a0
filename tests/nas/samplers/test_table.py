"""A published table as a search problem."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nas.benchmark_table import BenchmarkTable, TableError, TableEvaluator, load_table
from nas.evaluation import Fidelity, Request
from search_spaces import count_macs, reference_arch

ANB = Path(os.environ.get("SCALENAS_DATA", Path(__file__).parents[4] / "shared" / "data")) / "accel_nasbench.csv.gz"


def _plain(path: Path) -> Path:
    frame = pd.DataFrame(
        [("conv", w, d, 50 + w + 3 * d, 10.0 * w, np.nan if d == 3 else 2.0 * d) for w in (1, 2, 4) for d in (1, 2, 3)],
        columns=["op", "width", "depth", "top1", "latency_ms", "energy"],
    )
    other = frame.assign(op="sep", top1=frame.top1 - 5)
    file = path / "table.csv"
    pd.concat([frame, other, frame.iloc[:1].assign(top1=56.0)]).to_csv(file, index_label="id")
    return file


def test_exact_rows(tmp_path: Path) -> None:
    table = load_table(_plain(tmp_path), mode="exact")
    assert {choice.name: choice.values for choice in table.space.choices} == {
        "op": ("conv", "sep"),
        "width": (1, 2, 4),
        "depth": (1, 2, 3),
    }
    # Twice measured: 54 and 56 percent.
    assert table.accuracy({"op": "conv", "width": 1, "depth": 1}) == pytest.approx(0.55)
    assert table.accuracy({"op": "sep", "width": 4, "depth": 3}) == pytest.approx(0.58)
    assert table.cost("latency_ms", {"op": "sep", "width": 4, "depth": 3}) == 40.0
    assert not table.contains({"op": "conv", "width": 3, "depth": 1})
    with pytest.raises(KeyError):
        table.cost("energy", {"op": "conv", "width": 1, "depth": 3})


def test_fit_answers_rows_closely_and_leaves_out_empty_cells(tmp_path: Path) -> None:
    table = load_table(_plain(tmp_path))
    assert table.contains({"op": "conv", "width": 1, "depth": 1})
    assert table.accuracy({"op": "conv", "width": 4, "depth": 3}) == pytest.approx(0.63, abs=0.01)
    assert table.cost("energy", {"op": "conv", "width": 1, "depth": 2}) == pytest.approx(4.0, abs=0.3)
    with pytest.raises(TableError, match="no column 'power'"):
        table.cost("power", {"op": "conv", "width": 1, "depth": 2})
    with pytest.raises(TableError, match="MACs cannot be counted"):
        table.macs()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "no accuracy column"),
        ("top1,a\n1,2\n", "no column left of 'top1'"),
        ("a,top1\n1,\n", "no row has a value"),
        ("stage1_expand,top1\n1,50\n", "1 stage columns"),
    ],
)
def test_bad_tables_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(TableError, match=message):
        load_table(file)


def test_missing_file_and_mode(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="cannot be read"):
        load_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="mode must be one of fit, exact"):
        load_table(_plain(tmp_path), mode="guess")


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> BenchmarkTable:
    """A table of 300 random networks around B0 whose accuracy is a known sum."""
    rng = np.random.default_rng(0)
    values = {"expand": (1, 4, 6), "kernel": (3, 5), "layers": (1, 2, 3, 4), "se": (0, 1)}
    names = [f"stage{i}_{field}" for i in range(1, 8) for field in values]
    rows = np.array([[rng.choice(values[name.split("_")[1]]) for name in names] for _ in range(300)])
    frame = pd.DataFrame(rows, columns=names)
    frame["accuracy"] = 0.5 + rows.sum(1) / 1000
    file = tmp_path_factory.mktemp("table") / "networks.csv.gz"
    frame.to_csv(file, index=False)
    return load_table(file)


def test_networks_decode_and_count(networks: BenchmarkTable) -> None:
    b0 = reference_arch("efficientnet_b0")
    params = networks.params_of(b0)
    assert networks.space.decode(params).id == b0.id
    assert networks.macs()(params) == count_macs(b0) == 385_814_752


def test_evaluator(networks: BenchmarkTable) -> None:
    b0 = reference_arch("efficientnet_b0")
    seen: list[tuple[int, float]] = []

    def report(epoch: int, accuracy: float) -> bool:
        seen.append((epoch, accuracy))
        return True

    evaluator = TableEvaluator(networks)
    outcome = evaluator.evaluate(Request(b0, Fidelity(epochs=3)), "cpu", report)
    assert outcome.accuracy == pytest.approx(networks.accuracy(networks.params_of(b0)))
    assert seen == [(3, outcome.accuracy)]
    foreign = evaluator.evaluate(Request(reference_arch("mobilenet_v2"), Fidelity()), "cpu", report)
    assert foreign.failure is not None
    assert "not in the table" in foreign.failure.message


@pytest.mark.skipif(not ANB.exists(), reason="accel_nasbench.csv.gz is not here")
def test_accel_nasbench() -> None:
    table = load_table(ANB)
    assert table.space.size == 36**7 * 4 // 3
    assert len(table.frame) == 4138
    assert table.macs()(table.params_of(reference_arch("efficientnet_b0"))) == 385_814_752


@pytest.mark.parametrize("name", ["Top1", " top1", "ACCURACY", "Acc"])
def test_a_header_may_be_written_with_capitals(tmp_path: Path, name: str) -> None:
    file = tmp_path / "t.csv"
    file.write_text(f"ID,Width,{name},Latency\n0,1,50,3\n1,2,60,4\n")
    table = load_table(file, mode="exact")
    assert [choice.name for choice in table.space.choices] == ["Width"]
    assert table.accuracy({"Width": 2}) == pytest.approx(0.6)
    assert table.cost("Latency", {"Width": 1}) == 3


def test_stages_in_capitals_are_those_of_a_network(tmp_path: Path) -> None:
    values = {"expand": (1, 4), "kernel": (3, 5), "layers": (1, 2), "se": (0, 1)}
    columns = {f"Stage{i}_{name.title()}": pair for i in range(1, 8) for name, pair in values.items()}
    pd.DataFrame({**columns, "accuracy": (0.5, 0.6)}).to_csv(tmp_path / "t.csv", index=False)
    assert len(load_table(tmp_path / "t.csv").space.choices) == 28


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("width;top1\n1;50\n", "separated by semicolons; save it with commas"),
        ("width,top1,Top1\n1,50,50\n", "two columns have one name"),
    ],
)
def test_a_header_that_is_not_understood_is_told(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(TableError, match=f"t.csv: .*{words}"):
        load_table(tmp_path / "t.csv")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "csv.bz2", "csv.xz", "csv.zip"])
def test_what_is_no_table_is_told(tmp_path: Path, suffix: str) -> None:
    whole = tmp_path / f"whole.{suffix}"
    pd.read_csv(_plain(tmp_path)).to_csv(whole, index=False)
    content = whole.read_bytes()
    file = tmp_path / f"damaged.{suffix}"
    for damaged in (b"", content[: len(content) // 2].replace(b",", b"\xff"), bytes(80)):
        file.write_bytes(damaged)
        with pytest.raises(TableError, match=r"damaged\.csv") as told:
            load_table(file)
        assert "\n" not in str(told.value)
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(TableError, match="is no regular file"):
        load_table(file)


@pytest.mark.parametrize(
    ("column", "cell", "words"),
    [
        ("stage3_kernel", "", "column 'stage3_kernel' has an empty cell"),
        ("stage3_kernel", "4.5", "column 'stage3_kernel': stages[2].kernel: must be an integer of at least 1, not 4.5"),
        ("stage1_layers", "0", "column 'stage1_layers': stages[0].layers: must be an integer of at least 1, not 0"),
        ("stage1_expand", "many", "column 'stage1_expand': 'many' is no number"),
        ("stage7_se", "x", "column 'stage7_se': 'x' is no number"),
        ("top1", "good", "column 'top1': 'good' is no accuracy"),
        ("top1", "inf", "column 'top1': inf is no accuracy"),
        ("top1", "-3", "column 'top1': -3.0 is no accuracy"),
        ("top1", "101", "column 'top1': 101.0 is no accuracy"),
    ],
)
def test_a_cell_that_no_network_has_is_named(tmp_path: Path, column: str, cell: str, words: str) -> None:
    names = [f"stage{i}_{name}" for i in range(1, 8) for name in ("expand", "kernel", "layers", "se")]
    frame = pd.DataFrame([[1, 3, 2, 0] * 7 + [70.5], [1, 5, 1, 1] * 7 + [71.5]], columns=[*names, "top1"])
    file = tmp_path / "table.csv"
    frame.to_csv(file, index=False)
    assert len(load_table(file).frame) == 2
    frame = frame.astype(object)
    frame.loc[1, column] = cell
    frame.to_csv(file, index=False)
    with pytest.raises(TableError, match=f"table.csv: {re.escape(words)}"):
        load_table(file)


def test_numbers_that_stand_as_texts_are_numbers(tmp_path: Path) -> None:
    names = [f"stage{i}_{name}" for i in range(1, 8) for name in ("expand", "kernel", "layers", "se")]
    head, row = ",".join([*names, "top1"]), ",".join(map(str, [1, 3, 2, 0] * 7))
    file = tmp_path / "table.csv"
    # The last row, left out, has pandas read the columns as texts, or as numbers that are not whole.
    for odd in ("x", "0.5"):
        file.write_text(f"{head}\n{row},9.5\n{row.replace('1,', '4,', 1)},70.5\n{','.join([odd] * 28)},\n")
        table = load_table(file, mode="exact")
        assert table.space.choices[0].values == (1, 4)
        assert [type(value) for value in table.space.choices[0].values] == [int, int]
        params = {choice.name: choice.values[0] for choice in table.space.choices}
        assert table.accuracy(table.params_of(table.space.decode(params))) == pytest.approx(0.095)
