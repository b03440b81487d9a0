"""int8: norms merged, weights as they are counted, and the accuracy that is measured that of the quantised network."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from nas.data.dataset import Dataset
from nas.data.feed import open_feed
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request, with_int8
from nas.training.int8 import NEEDS, Quantised, check_packages, merged, quantise
from nas.training.objective import METRICS, Objective
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, StageSpec, StemSpec, build_network, count_flash, reference_arch

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

CPU = torch.device("cpu")
SMALL = ArchSpec(
    (StageSpec("sepconv", channels=16, stride=2, skip="pool"),), StemSpec(8, stride=1), resolution=8,
    activation="relu6", input_channels=1, drop_path=0.0, dropout=0.0,
)  # fmt: skip


def lively(arch: ArchSpec, num_classes: int) -> nn.Module:
    """A network whose norms change what they get, and whose biases are not nothing."""
    torch.manual_seed(0)
    network = build_network(arch, num_classes).eval()
    with torch.no_grad():
        for value in network.state_dict().values():
            if value.dim() == 1 and value.is_floating_point():
                value.uniform_(0.5, 1.5)
    return network


@pytest.mark.parametrize("name", ["mobilenet_v3_small", "resnet18", "shufflenet_v1", "xception", "efficientnet_lite0"])
def test_merged_norms_change_nothing(name: str) -> None:
    network = lively(replace(reference_arch(name), resolution=64), 5)
    plain = merged(network)
    assert not any(isinstance(each, nn.BatchNorm2d) for each in plain.modules())
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(plain(images), network(images), rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("digits", tmp_path_factory.mktemp("cache"), train_images=256)


def test_a_file_holds_the_weights_that_are_counted(digits: Dataset) -> None:
    images = open_feed(digits, "train", CPU, share=1.0, resolution=8, channels=1)
    made = quantise(lively(SMALL, 10), images).saying({"about": "this"})
    model = onnx.load_from_string(made.model)
    onnx.checker.check_model(model, full_check=True)
    assert {each.key: each.value for each in model.metadata_props} == {"about": "this"}
    kept = {each.name: onnx.numpy_helper.to_array(each) for each in model.graph.initializer}
    weights = {name: value for name, value in kept.items() if value.dtype == "int8" and value.ndim > 1}
    biases = [value for name, value in kept.items() if value.dtype == "int32" and not name.endswith("zero_point")]
    scales = [kept[name.replace("_quantized", "_scale")] for name in weights]
    assert all(abs(value).max() == 127 for value in weights.values())  # symmetric, and all of the range is used
    assert [len(scale) for scale in scales] == [len(value) for value in weights.values()]  # of each output channel
    held = [*weights.values(), *biases, *scales]
    assert sum(value.nbytes for value in held) == count_flash(SMALL, 10)
    predicted = Quantised(made.model).predict(images)
    assert predicted.shape == images.labels.shape


def test_the_value_in_int8_is_measured_beside_another_or_is_the_metric(digits: Dataset) -> None:
    def nothing(epoch: int, value: float) -> bool:  # noqa: ARG001
        return True

    plain, metric = ProxyEvaluator(digits), ProxyEvaluator(digits, objective=Objective(metric=METRICS["int8"]))
    request = Request(SMALL, Fidelity(4), 0, "test")
    alone = plain.evaluate(request, "cpu", nothing)
    beside = plain.evaluate(replace(request, method=with_int8("")), "cpu", nothing)
    scored = metric.evaluate(replace(request, method=metric.method), "cpu", nothing)
    assert (metric.method, scored.metric) == ("metric=int8", "int8")
    assert (beside.value, beside.curve, scored.curve) == (alone.value, alone.curve, alone.curve)  # one training
    assert "int8" not in alone.metrics
    assert scored.value == beside.metrics["int8"]
    assert alone.value is not None
    assert alone.value > 0.5
    assert abs(beside.metrics["int8"] - alone.value) < 0.05
    with pytest.raises(ValueError, match="asks for the method 'other'"):
        plain.evaluate(replace(request, method="other"), "cpu", nothing)


def test_missing_packages_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ImportError, match="pip install") as raised:
        check_packages()
    assert str(raised.value) == NEEDS
