"""Figures: one value of a network however it is asked for, and asked for once."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.benchmark_table import BenchmarkTable, Column, load_table
from nas.figures import Activations, Figure, InSpace, MultiplyAdds, Parameters, counts, keeps
from nas.figures import figure as figure_module
from nas.figures.latency import Latency, LatencyBook, LatencySetup
from nas.figures.latency_model import LEAST
from search_spaces import (
    ArchSpec,
    Choice,
    SearchSpace,
    build_network,
    count_macs,
    count_params,
    mbconv_space,
    network_cost,
    reference_arch,
)
from tests.helpers.evaluators import arch

STAGED = mbconv_space(20e6, 32, num_classes=10)
PLAIN = SearchSpace(  # every second kernel makes no network
    "plain", (Choice("channels", (8, 16, 24)), Choice("kernel", (3, 4, 5))), lambda p: arch(p["channels"], p["kernel"])
)


@dataclass(frozen=True)
class Layers(Figure):
    """A figure of one's own: no more than a name and a value."""

    asked: list[str] = field(default_factory=list)
    name = "layers"
    words = "layers"

    def of(self, arch: ArchSpec) -> float:
        self.asked.append(arch.id)
        if arch.stages[0].channels == 24:
            raise ValueError("no value")
        return float(sum(stage.layers for stage in arch.stages))


@pytest.mark.parametrize("figure", [MultiplyAdds(10), Parameters(10), MultiplyAdds(2)])
@given(seed=st.integers(0, 2**32 - 1))
def test_tables_hold_what_is_counted(figure: Figure, seed: int) -> None:
    rows = STAGED.sample(np.random.default_rng(seed), 3)
    counted = [figure.of(STAGED.decode(STAGED.params(row))) for row in rows]
    assert figure.of_rows(STAGED, rows).tolist() == counted
    known = InSpace(figure, STAGED)
    assert [known(STAGED.params(row)) for row in rows] == counted


def test_counts_are_the_networks_own() -> None:
    network = arch(16)
    macs, params = counts(7)
    assert (macs.of(network), params.of(network)) == (count_macs(network, None, 7), count_params(network, 7))
    assert isinstance(macs.of(network), int)  # as journals hold them
    assert macs.exact(network) == macs.of(network)


def test_activations_are_what_the_modules_of_a_network_write() -> None:
    network = reference_arch("squeezenet1_1")  # no norm or gate: every value is written by a module of its own
    written = 0

    def add(module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
        nonlocal written
        leaf = not list(module.children()) and not isinstance(module, torch.nn.Dropout | torch.nn.Flatten)
        written += output.numel() * leaf

    built = build_network(network, 7).eval()
    for module in built.modules():
        module.register_forward_hook(add)
    with torch.inference_mode():
        built(torch.zeros(1, 3, network.resolution, network.resolution))
    assert Activations(7).of(network) == written


@pytest.mark.parametrize("figure", [MultiplyAdds(10), Parameters(10), Layers()])
def test_rows_without_a_value_have_none(figure: Figure) -> None:
    rows = np.array([[i, j] for i in range(3) for j in range(3)])
    values = figure.of_rows(PLAIN, rows)
    nothing = [j == 1 or (figure.name == "layers" and i == 2) for i, j in rows]
    assert np.isnan(values).tolist() == nothing
    for row, value in zip(rows, values, strict=True):
        if not np.isnan(value):
            assert value == figure.of(PLAIN.decode(PLAIN.params(row)))


def test_a_space_asks_once_for_each_value(monkeypatch: pytest.MonkeyPatch) -> None:
    figure = Layers()
    known = InSpace(figure, PLAIN)
    rows = np.array([[0, 0], [1, 0], [0, 0]])
    assert known.of_rows(rows).tolist() == [1, 1, 1]
    assert known({"channels": 16, "kernel": 3}) == 1
    assert len(figure.asked) == 2
    monkeypatch.setattr(figure_module, "_MOST_KEPT", 3)
    assert known.of_rows(np.array([[0, 2], [1, 2], [1, 0]])).tolist() == [1, 1, 1]  # makes room, and answers all
    assert known.of_rows(np.array([[1, 0]])).tolist() == [1]
    assert len(figure.asked) == 5
    with pytest.raises(KeyError):
        known({"channels": 8})


def test_bounds_of_parameters() -> None:
    macs, params = (InSpace(figure, PLAIN) for figure in counts(10))
    middle = {"channels": 16, "kernel": 3}
    assert keeps([]) is None
    for limits in ([(macs, macs(middle))], [(macs, 1e12), (params, params(middle))]):
        kept = keeps(limits)
        assert kept is not None
        assert [kept(middle | {"channels": c}) for c in (8, 16, 24)] == [True, True, False]
        assert not kept(middle | {"kernel": 4})  # no network
        many = [{"channels": c, "kernel": k} for c in (8, 16, 24) for k in (3, 4, 5)]
        assert kept.batch(many).tolist() == [kept(each) for each in many]
        assert kept.batch([]).tolist() == []
        with pytest.raises(KeyError):
            kept.batch([middle, {"channels": 8}])


@pytest.fixture
def table(tmp_path: Path) -> BenchmarkTable:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({
        f"stage{i}_{name}": rng.choice(values, 40)
        for i in range(1, 8)
        for name, values in (("expand", (1, 6)), ("kernel", (3, 5)), ("layers", (1, 2)), ("se", (0, 1)))
    })  # fmt: skip
    frame["top1"], frame["chip_ms"], frame["zero"], frame["maker"] = 70.0, np.arange(1.0, 41.0), 0.0, "somebody"
    frame.to_csv(tmp_path / "table.csv", index=False)
    return load_table(tmp_path / "table.csv")


def test_a_column_answers_by_network_and_by_rows(table: BenchmarkTable) -> None:
    figure = Column(table, "chip_ms")
    rows = table.space.sample(np.random.default_rng(0), 4)
    archs = [table.space.decode(table.space.params(row)) for row in rows]
    assert figure.of_rows(table.space, rows).tolist() == pytest.approx([figure.of(each) for each in archs])
    assert (figure.name, figure.unit, figure.how) == ("chip_ms", "", "column chip_ms")
    first = table.space.indices({str(name): value for name, value in table.frame.iloc[0].items()})[None]
    exact = Column(replace(table, mode="exact"), "chip_ms")
    assert exact.of_rows(table.space, first).tolist() == [1.0]
    absent = exact.of_rows(table.space, rows)
    assert np.isnan(absent).all()  # of 2^28 networks the table has forty


@pytest.mark.parametrize(
    ("column", "text"), [("watts", "no such column"), ("maker", "no such column"), ("zero", "must be above 0")]
)
def test_a_column_that_cannot_be_charged_for(table: BenchmarkTable, column: str, text: str) -> None:
    with pytest.raises(ValueError, match=f"^{column}: .*{text}"):
        Column(table, column)


def test_latency_is_predicted_of_all_and_measured_of_few(tmp_path: Path) -> None:
    class MadeUp(LatencySetup):
        def measure(self, arch: ArchSpec, num_classes: int) -> float:
            return 1e-6 * network_cost(arch, None, num_classes).macs

    rows = STAGED.sample(np.random.default_rng(0), LEAST + 1)
    *fitted, other = (STAGED.decode(STAGED.params(row)) for row in rows)
    book = LatencyBook(tmp_path / "latency.json", MadeUp(batch=2), 10)
    noted: list[int] = []
    figure = Latency.fit(book, fitted, LEAST, noted.append)
    assert noted == list(range(1, LEAST + 1))
    assert len(book.known) == LEAST
    assert figure.of_rows(STAGED, rows[-1:])[0] == pytest.approx(figure.of(other))
    assert len(book.known) == LEAST
    assert figure.exact(other) == 1e-6 * count_macs(other, None, 10)
    assert len(book.known) == LEAST + 1
    assert (figure.name, figure.unit) == ("latency", "ms")
    assert figure.how == "latency: torch, cpu, batch 2, 1 thread(s)"


@pytest.mark.parametrize("other", [{"batch": 2}, {"threads": 2}, {"device": "cuda:0"}, {"backend": "onnxruntime"}])
def test_how_a_latency_is_got_is_part_of_it(other: dict[str, object]) -> None:
    assert LatencySetup(**other).words != LatencySetup().words  # type: ignore[arg-type]
