"""Latency and other costs: what is measured, what is predicted from it, and what a search then charges for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
import torch
from optuna.trial import TrialState
from scipy.stats import kendalltau, spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor

from nas.figures.latency import LatencyBook, LatencySetup, measure_latency
from nas.figures.latency_model import KINDS, LatencyModel, Regressor, features, leaves, spread_out
from nas.machine import wait_for
from nas.score import Score
from nas.study.store import read_study
from search_spaces import ArchSpec, count_params, network_cost, reference_arch
from search_spaces.assembly import network_layers
from search_spaces.cost import input_shape
from search_spaces.network import Network
from tests.helpers.run_folders import SPACE
from tests.helpers.shared_data import shared_file

Run = Callable[..., tuple[int, str, str]]


def members(n: int, seed: int = 0) -> list[ArchSpec]:
    return [SPACE.decode(SPACE.params(row)) for row in SPACE.sample(np.random.default_rng(seed), n)]


class Gpu:
    """What a latency asks of torch.cuda, as far as it can be had without a GPU; `seen` is in the order of events."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.seen: list[object] = []
        plain, forward = torch.randn, Network.forward

        def note(event: object) -> AbstractContextManager[None]:
            self.seen.append(event)
            return nullcontext()

        def run(network: Network, images: torch.Tensor) -> torch.Tensor:
            self.seen.append("forward")
            logits: torch.Tensor = forward(network, images)
            return logits

        patch.setattr(torch, "randn", lambda *shape, **_: plain(*shape))
        patch.setattr(torch.nn.Module, "to", lambda network, *_: network)
        patch.setattr(Network, "forward", run)
        patch.setattr(torch.cuda, "synchronize", lambda device=None: self.seen.append(device))
        patch.setattr(torch.cuda, "device", lambda device: note(("on", device)))
        patch.setattr(torch.cuda, "Stream", MagicMock())
        patch.setattr(torch.cuda, "current_stream", MagicMock())
        patch.setattr(torch.cuda, "stream", lambda _: nullcontext())
        patch.setattr(torch.cuda, "graph", lambda _: note("capture"))
        patch.setattr(torch.cuda, "CUDAGraph", lambda: self)

    def replay(self) -> None:
        self.seen.append("replay")


def test_a_latency_waits_for_the_device_that_is_timed_after_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which need not be torch's current one. Its kernels are launched by replaying one forward pass."""
    device = torch.device("cuda", 1)
    gpu = Gpu(monkeypatch)
    measure_latency(members(1)[0], LatencySetup(device="cuda:1", warmup=2, repeats=3), 10)
    assert gpu.seen == [("on", device), *["forward"] * 3, "capture", "forward", *["replay", device] * 5]


def test_a_latency_of_the_cpu_runs_the_network_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[object] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device=None: waited.append(device))
    measure_latency(members(1)[0], LatencySetup(warmup=2, repeats=3), 10)
    wait_for(torch.device("cpu"))
    assert waited == []


@pytest.mark.parametrize("name", ["efficientnet_b0", "shufflenet_v1", "squeezenet1_1", "resnet18", "xception"])
def test_features_add_up_to_the_counted_costs(name: str) -> None:
    arch = reference_arch(name)
    total = network_cost(arch)
    table = (features(arch, 1000) ** 2).reshape(len(KINDS), 4).sum(0)
    assert table[0] == pytest.approx(total.macs, rel=1e-9)
    assert table[2] == pytest.approx(total.params, rel=1e-9)
    assert table[3] == pytest.approx(len(list(leaves(network_layers(arch, 1000), input_shape(arch)))))


def test_a_model_ranks_a_made_up_device() -> None:
    """Time by memory traffic and layers, which no single figure tells."""

    def made_up(arch: ArchSpec) -> float:
        cost = network_cost(arch, None, 10)
        return 1e-6 * cost.activations + 0.02 * sum(stage.layers for stage in arch.stages) + 1e-8 * cost.macs

    fitted, others = members(60), members(150, seed=1)
    model = LatencyModel.fit(fitted, [made_up(arch) for arch in fitted], 10)
    truth = [made_up(arch) for arch in others]
    # Sixty networks are few; chance would give 0. What it says of itself is near the truth.
    assert kendalltau(model.predict(others), truth).statistic > 0.7
    assert model(others[0]) == pytest.approx(truth[0], rel=0.3)
    assert model.rank == pytest.approx(spearmanr(model.predict(others), truth).statistic, abs=0.1)
    assert model.error < 0.1


def test_left_out_predictions_are_those_of_models_without_the_network() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(14, 3))
    times = np.exp(x @ [0.5, 0.2, 0.0] + 0.05 * rng.normal(size=14))
    whole = Regressor.fit(x, times)
    kernel = whole.process.kernel_
    scaled, y = whole.scaler.transform(x), (np.log(times) - whole.mean) / whole.spread
    for i, found in enumerate(whole.left_out()):
        others = np.arange(14) != i
        alone = GaussianProcessRegressor(kernel, optimizer=None).fit(scaled[others], y[others])
        expected = np.exp(whole.mean + whole.spread * alone.predict(scaled[i : i + 1])[0])
        assert found == pytest.approx(expected, rel=1e-6)


def test_what_is_measured_next_lowers_the_uncertainty_of_all_most() -> None:
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    times = np.exp(x[:, 0] + 0.3 * np.sin(2 * x[:, 1]))
    taken = spread_out(x, 12)
    assert len(set(taken)) == 12
    model = Regressor.fit(x[taken], times[taken])
    first, second = model.most_telling(x, taken, 2)
    assert {first, second}.isdisjoint(taken)
    kernel, scaled = model.process.kernel_, model.scaler.transform(x)

    def uncertainty(places: list[int]) -> float:
        process = GaussianProcessRegressor(kernel, optimizer=None).fit(scaled[places], np.zeros(len(places)))
        return float((process.predict(scaled, return_std=True)[1] ** 2).sum())

    left = [i for i in range(len(x)) if i not in taken]
    assert first == min(left, key=lambda i: uncertainty([*taken, i]))
    assert second == min(set(left) - {first}, key=lambda i: uncertainty([*taken, first, i]))


def test_each_network_is_measured_once(tmp_path: Path) -> None:
    asked: list[str] = []

    class Counting(LatencySetup):
        def measure(self, arch: ArchSpec, num_classes: int) -> float:
            asked.append(f"{arch.id} {self.batch} {num_classes}")
            return float(len(asked))

    first, second = members(2)
    book = LatencyBook(tmp_path / "latency.json", Counting(), 10)
    assert [book(first), book(second), book(first)] == [1, 2, 1]
    assert LatencyBook(tmp_path / "latency.json", Counting(), 10)(second) == 2
    assert LatencyBook(tmp_path / "latency.json", Counting(batch=8), 10)(second) == 3
    assert len(asked) == 3
    (tmp_path / "latency.json").write_text("{")
    with pytest.raises(ValueError, match=r"latency\.json"):
        LatencyBook(tmp_path / "latency.json", Counting(), 10)(first)


def test_a_larger_network_takes_longer() -> None:
    small = replace(members(1)[0], resolution=8)
    setup = LatencySetup(warmup=1, repeats=3)
    assert 0 < measure_latency(small, setup, 10) < measure_latency(replace(small, resolution=96), setup, 10)
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    shallow = replace(small, stages=small.stages[:1])  # exporting takes a second a block
    assert measure_latency(shallow, replace(setup, backend="onnxruntime"), 10) > 0


@pytest.mark.parametrize("wrong", [{"backend": "tflite"}, {"batch": 0}, {"backend": "onnxruntime", "device": "cuda"}])
def test_setups_that_cannot_be(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"latency|ONNX"):
        LatencySetup(**wrong)  # type: ignore[arg-type]


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """A published table of B0's space with a made-up accuracy and a made-up cost."""
    rng = np.random.default_rng(0)
    columns = {
        f"stage{i}_{name}": rng.choice(values, 60)
        for i in range(1, 8)
        for name, values in (("expand", (1, 4, 6)), ("kernel", (3, 5)), ("layers", (1, 2, 3)), ("se", (0, 1)))
    }
    frame = pd.DataFrame(columns)
    frame["top1"] = 60 + frame.filter(like="kernel").sum(axis=1) / 5
    frame["chip_ms"] = 1 + frame.filter(like="kernel").sum(axis=1).astype(float) ** 2
    path = tmp_path / "table.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize("cost", ["params", "chip_ms"])
def test_the_score_charges_for_what_is_asked(table: Path, tmp_path: Path, scalenas: Run, cost: str) -> None:
    options = ("--cost", cost, "--target-cost", "500", "--trials", "14")
    status, _, err = scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", *options)
    assert status == 0, err
    study = read_study(tmp_path / "r" / "discover.journal", "discover")
    score = Score(500)
    for trial in study.trials:
        attrs = trial.user_attrs
        if cost == "params":
            assert attrs["cost"] == count_params(ArchSpec.from_dict(attrs["arch"]))
        assert trial.value == pytest.approx(score(attrs["accuracy"], attrs["cost"]))
    baseline = json.loads((tmp_path / "r" / "baseline.json").read_text())
    assert baseline["score"] == pytest.approx(max(trial.value or 0 for trial in study.trials))
    # Another target only rescores, by the same cost.
    again = (*options[:2], "--target-cost", "800", *options[4:])
    assert scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", *again)[0] == 0
    for trial in read_study(tmp_path / "r" / "discover.journal", "discover").trials:
        assert trial.value == pytest.approx(Score(800)(trial.user_attrs["accuracy"], trial.user_attrs["cost"]))
    status, _, err = scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", "--trials", "14")
    assert (status, "cost" in err) == (2, True)


@pytest.mark.parametrize(("cost", "bound"), [("params", 4.5e6), ("chip_ms", 800.0)])
def test_a_bound_in_the_unit_of_the_cost(table: Path, tmp_path: Path, scalenas: Run, cost: str, bound: float) -> None:
    options = ("--cost", cost, "--target-cost", f"{bound}", "--max-cost", f"{bound}", "--trials", "25")
    status, _, err = scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", *options)
    assert status == 0, err
    trials = read_study(tmp_path / "r" / "discover.journal", "discover").trials
    for trial in trials:
        assert (trial.state == TrialState.COMPLETE) == (trial.user_attrs["cost"] <= bound)
    # The sampler is told of the bound: but for the first trial, none is spent above it.
    assert all(trial.state == TrialState.COMPLETE for trial in trials[1:])
    # A lower bound holds for what was trained before it, too.
    costs = sorted(trial.user_attrs["cost"] for trial in trials)
    lower = [*options[:5], f"{costs[3]}", *options[6:]]
    assert scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", *lower)[0] == 0
    assert json.loads((tmp_path / "r" / "baseline.json").read_text())["cost"] <= costs[3]
    status, _, err = scalenas(
        "discover", "--benchmark", table, "--run", tmp_path / "r", *options[:5], f"{costs[0] / 2}"
    )
    assert (status, "keeps the bounds" in err, "Traceback" in err) == (1, True, False)
    status, _, err = scalenas("discover", "--benchmark", table, "--run", tmp_path / "s", "--max-cost", "0")
    assert (status, "--max-cost must be above 0" in err, "Traceback" in err) == (2, True, False)


def test_costs_that_cannot_be(table: Path, tmp_path: Path, scalenas: Run) -> None:
    for cost in ("chip_s", "stage1_kernel "):
        status, _, err = scalenas("discover", "--benchmark", table, "--run", tmp_path / "r", "--cost", cost)
        assert (status, cost.strip() in err, "Traceback" in err) == (2, True, False)


def test_a_search_by_measured_latency(tmp_path: Path, scalenas: Run) -> None:
    options = (
        "--executor", "inline", "--devices", "cpu", "--target-macs", "1M", "--epochs", "1", "--confirm", "1",
        "--confirm-seeds", "1", "--train-images", "120", "--cost", "latency", "--latency-samples", "10",
    )  # fmt: skip
    status, _, err = scalenas(
        "discover", "digits", "--run", tmp_path / "r", "--trials", "2", "--space", "mnasnet", *options
    )
    assert status == 0, err
    baseline = json.loads((tmp_path / "r" / "baseline.json").read_text())
    measured = json.loads((tmp_path / "r" / "latency.json").read_text())
    ((how, figures),) = measured.items()
    assert figures[baseline["id"]] == baseline["cost"] > 0
    assert "torch, cpu, batch 1, 1 thread(s)" in how
    assert 10 <= len(figures) <= 11
    for trial in read_study(tmp_path / "r" / "discover.journal", "discover").trials:
        assert 0.2 < trial.user_attrs["cost"] / np.median(list(figures.values())) < 5


def test_devices_of_a_published_table_are_ranked_from_fifty_measurements() -> None:
    from benchmarks.figures.latency_model import devices, few_shot  # noqa: PLC0415
    from nas.benchmark_table import load_table  # noqa: PLC0415

    published = load_table(shared_file("data", "accel_nasbench.csv.gz"))
    columns = devices(published)
    assert sorted(columns) == ["3090", "a100", "tpuv2", "tpuv3", "vck190", "zcu102"]
    for device in ("a100", "zcu102"):
        assert few_shot(published, columns[device], 50, 200, 0, chosen=True).rank > 0.95


@pytest.mark.parametrize(
    "content",
    ["[]", "null", '{"a": 1}', '{"a": {"b": "fast"}}', '{"a": {"b": NaN}}', "[" * 400 + "]" * 400, "[" * 100_000, "{"],
)
def test_a_file_that_holds_no_latencies_is_named(tmp_path: Path, content: str) -> None:
    file = tmp_path / "latency.json"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"latency\.json: .*remove it to measure anew"):
        LatencyBook(file, LatencySetup(), 10)(reference_arch("efficientnet_b0"))
