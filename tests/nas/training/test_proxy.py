"""The evaluator: it learns, it repeats itself to the bit, and its failures are outcomes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor, nn

from nas.data import feed
from nas.data.dataset import DataError, Dataset
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Outcome, Request
from nas.training import loop
from nas.training.optimizer import make_optimizer
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import RECIPES, fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec
from search_spaces.network import branch_ends

CPU = torch.device("cpu")
ARCH = ArchSpec(
    stages=(StageSpec(expand=2, channels=8, layers=2), StageSpec(expand=2, channels=16, stride=2, layers=2)),
    stem=StemSpec(channels=8, stride=1),
    head=HeadSpec(32),
    resolution=8,
)
OTHER = replace(ARCH, stages=(StageSpec(op="conv", channels=12, stride=2),))


class Small(nn.Module):
    """Two convolutions; keeps the first batch it is given."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
        )
        self.classifier = nn.Linear(32, classes)

    def forward(self, x: Tensor) -> Tensor:
        FIRST_BATCH.setdefault("images", x.detach().clone())
        logits: Tensor = self.classifier(self.body(x).mean((2, 3)))
        return logits


FIRST_BATCH: dict[str, Tensor] = {}


def build_small(arch: ArchSpec, num_classes: int) -> nn.Module:
    return Small(arch.input_channels, num_classes)


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("digits", tmp_path_factory.mktemp("cache"), train_images=400)


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    FIRST_BATCH.clear()
    yield
    feed.RESIDENT.clear()


def go_on(_epoch: int, _accuracy: float) -> bool:
    return True


def run(dataset: Dataset, request: Request, **options: Any) -> Outcome:
    return replace(ProxyEvaluator(dataset, **options).evaluate(request, "cpu", go_on), seconds=0.0)


def test_it_learns_real_digits(tmp_path: Path) -> None:
    outcome = run(open_dataset("digits", tmp_path), Request(ARCH, Fidelity(epochs=4)))
    assert outcome.accuracy is not None
    assert outcome.accuracy > 0.8
    assert outcome.curve[-1] == outcome.accuracy
    assert len(outcome.curve) == 4


# --- Repetition --------------------------------------------------------------------------------------------------


def test_equal_requests_give_equal_outcomes_whatever_ran_before(digits: Dataset) -> None:
    request = Request(replace(ARCH, dropout=0.5, drop_path=0.5), Fidelity(epochs=2), seed=3)
    first = run(digits, request)
    torch.manual_seed(12345)
    run(digits, Request(OTHER, Fidelity(epochs=1), seed=9))
    assert run(digits, request) == first
    assert run(digits, replace(request, seed=4)).curve != first.curve


def test_another_process_gives_the_same_outcome(digits: Dataset, tmp_path: Path) -> None:
    request = Request(ARCH, Fidelity(epochs=2), seed=1)
    job = tmp_path / "job"
    job.write_bytes(pickle.dumps((ProxyEvaluator(digits), request)))
    program = (
        "import pickle, sys\n"
        "evaluator, request = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(repr(evaluator.evaluate(request, 'cpu', lambda *_: True).curve))\n"
    )
    said = subprocess.run([sys.executable, "-c", program, job], capture_output=True, text=True, check=True).stdout
    assert said.strip() == repr(run(digits, request).curve)


def test_the_callers_random_numbers_are_left_alone(digits: Dataset) -> None:
    torch.manual_seed(7)
    wanted = torch.rand(3)
    torch.manual_seed(7)
    run(digits, Request(ARCH, Fidelity(epochs=1)))
    assert torch.equal(torch.rand(3), wanted)


def test_architectures_see_the_same_images_in_the_same_order(digits: Dataset) -> None:
    seen = []
    for arch in (ARCH, OTHER):
        FIRST_BATCH.clear()
        run(digits, Request(arch, Fidelity(epochs=1), seed=5), build=build_small)
        seen.append(FIRST_BATCH["images"])
    assert torch.equal(*seen)


@pytest.mark.parametrize("recipe", RECIPES)
def test_images_read_from_the_file_train_as_those_in_memory(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch, recipe: str
) -> None:
    request = Request(ARCH, Fidelity(epochs=2, train_fraction=0.5))
    resident = run(digits, request, recipe=RECIPES[recipe]())
    feed.RESIDENT.clear()
    monkeypatch.setitem(feed.RESIDENT_BYTES, "cpu", 0)
    assert run(digits, request, recipe=RECIPES[recipe]()) == resident


# --- Fidelity, splits, reports -----------------------------------------------------------------------------------


def test_the_test_split_is_measured_after_the_same_training(digits: Dataset) -> None:
    request = Request(ARCH, Fidelity(epochs=2))
    val, test = run(digits, request), run(digits, replace(request, split="test"))
    assert test.curve == val.curve
    assert test.metrics["val_accuracy"] == val.accuracy
    assert test.accuracy is not None
    assert round(test.accuracy * digits.counts["test"], 6) % 1 == 0


def test_until_the_last_epoch_a_part_of_val_is_watched(digits: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    request = Request(ARCH, Fidelity(epochs=3))
    whole = run(digits, request)
    images = digits.counts["val"]
    monkeypatch.setattr(loop, "_WATCHED", 10)
    part = run(digits, request)
    assert part.accuracy == whole.accuracy
    few = digits.counts["train"] // 4
    assert few < images
    assert [round(a * few, 6) % 1 for a in part.curve[:-1]] == [0, 0]
    assert part.curve[:-1] != whole.curve[:-1]


def test_what_is_watched_has_all_classes_in_their_shares(tmp_path: Path) -> None:
    for label in range(4):
        (tmp_path / "data" / str(label)).mkdir(parents=True)
        for i in range(60):
            pixels = np.full((8, 8, 3), 60 * label + i // 4, np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / str(label) / f"{i}.png")
    dataset = open_dataset(str(tmp_path / "data"), tmp_path / "cache", val_fraction=0.5)
    val = feed.open_feed(dataset, "val", CPU, share=1.0, resolution=8, channels=3)
    part = val.sample(len(val) // 2)
    assert len(part) == len(val) // 2
    assert torch.bincount(part.labels, minlength=4).min() >= len(part) // 8
    assert torch.equal(part.rows, val.sample(len(val) // 2).rows)
    shown = {
        tuple(image.flatten().tolist()): int(label)
        for images, labels in val.in_order(16)
        for image, label in zip(images, labels, strict=True)
    }
    for images, labels in part.in_order(16):
        assert [shown[tuple(image.flatten().tolist())] for image in images] == labels.tolist()


@given(st.integers(1, 20), st.integers(1, 100_000), st.integers(1, 100_000))
def test_watching_costs_little(epochs: int, train: int, val: int) -> None:
    watched = loop.images_watched(train, val)
    assert min(val, 1000) <= watched <= min(val, max(1000, train / 4))
    assert loop.images_measured(epochs, train, val) == val + (epochs - 1) * watched


def test_a_data_set_without_test_images_says_so_before_it_trains(digits: Dataset) -> None:
    bare = replace(digits, counts={**digits.counts, "test": 0})
    with pytest.raises(DataError, match="has no test images"):
        run(bare, Request(ARCH, Fidelity(epochs=1), split="test"), build=build_small)
    assert not FIRST_BATCH


def test_a_report_may_stop_the_training(digits: Dataset) -> None:
    told: list[tuple[int, float]] = []

    def stop_after_two(epoch: int, accuracy: float) -> bool:
        told.append((epoch, accuracy))
        return epoch < 2

    outcome = ProxyEvaluator(digits).evaluate(Request(ARCH, Fidelity(epochs=5)), "cpu", stop_after_two)
    assert outcome.curve == tuple(accuracy for _, accuracy in told)
    assert len(outcome.curve) == 2
    assert outcome.accuracy == outcome.curve[-1]
    assert outcome.seconds > 0
    assert outcome.device == "cpu"


@pytest.mark.parametrize(("factor", "side"), [(1.0, 8), (0.5, 4), (1.5, 12)])
def test_the_resolution_is_the_architectures_times_the_factor(digits: Dataset, factor: float, side: int) -> None:
    run(digits, Request(ARCH, Fidelity(1, 1.0, factor)), build=build_small)
    assert FIRST_BATCH["images"].shape[1:] == (3, side, side)
    assert FIRST_BATCH["images"].is_contiguous(memory_format=torch.channels_last)


def test_pixels_that_the_cache_left_out_are_not_made_up(digits: Dataset) -> None:
    with pytest.raises(DataError, match="max_resolution=8"):
        run(replace(digits, native_size=32, size=4), Request(ARCH, Fidelity(1)))


def test_grey_images_suit_one_or_more_input_channels(digits: Dataset) -> None:
    run(digits, Request(replace(ARCH, input_channels=1), Fidelity(1)), build=build_small)
    grey = FIRST_BATCH.pop("images")
    run(digits, Request(ARCH, Fidelity(1)), build=build_small)
    assert torch.equal(FIRST_BATCH["images"], grey.expand(-1, 3, -1, -1))
    with pytest.raises(ValueError, match="input channels are 1, those of digits's images 3; with `grey`"):
        run(replace(digits, channels=3, mean=digits.mean * 3), Request(replace(ARCH, input_channels=1), Fidelity(1)))


def test_a_share_of_the_images_is_a_prefix(digits: Dataset) -> None:
    device = torch.device("cpu")
    whole, part = (
        feed.open_feed(digits, "train", device, share=share, resolution=8, channels=3) for share in (1.0, 0.25)
    )
    assert (len(whole), len(part)) == (400, 100)
    assert torch.equal(whole.images[:100], part.images)
    tiny = feed.open_feed(digits, "train", device, share=1e-6, resolution=8, channels=3)
    assert sorted(tiny.labels.tolist()) == list(range(10))


# --- Failures ----------------------------------------------------------------------------------------------------


def broken_weights(arch: ArchSpec, num_classes: int) -> nn.Module:
    network = build_small(arch, num_classes)
    nn.init.constant_(network.get_parameter("classifier.weight"), float("nan"))
    return network


def test_a_loss_that_is_no_number_is_diverged(digits: Dataset) -> None:
    outcome = run(digits, Request(ARCH, Fidelity(1)), build=broken_weights)
    assert outcome.failure is not None
    assert outcome.failure.kind == "diverged"
    assert "epoch 1" in outcome.failure.message


def test_a_rate_far_too_high_is_diverged(digits: Dataset) -> None:
    outcome = run(digits, Request(ARCH, Fidelity(2)), recipe=replace(fast(), learning_rate=1e30))
    assert outcome.failure is not None
    assert outcome.failure.kind == "diverged"


@dataclass(frozen=True)
class Raises:
    error: Exception

    def __call__(self, *_: object) -> nn.Module:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore lines"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."),
        RuntimeError("CUDA error: out of memory\nmore lines"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_no_memory_is_oom(digits: Dataset, error: Exception) -> None:
    outcome = run(digits, Request(ARCH, Fidelity(1)), build=Raises(error))
    assert outcome.failure is not None
    assert outcome.failure.kind == "oom"
    assert outcome.failure.message
    assert "\n" not in outcome.failure.message


def test_memory_that_really_runs_out_is_oom(digits: Dataset) -> None:
    def huge(arch: ArchSpec, num_classes: int) -> nn.Module:
        return nn.Linear(2**40, num_classes + arch.resolution)

    outcome = run(digits, Request(ARCH, Fidelity(1)), build=huge)
    assert outcome.failure is not None
    assert outcome.failure.kind == "oom"


def test_a_defect_raises(digits: Dataset) -> None:
    with pytest.raises(RuntimeError, match="sizes differ"):
        run(digits, Request(ARCH, Fidelity(1)), build=Raises(RuntimeError("sizes differ")))


# --- Recipe ------------------------------------------------------------------------------------------------------


def test_residual_branches_start_at_zero_and_norms_take_the_recipes_momentum(digits: Dataset) -> None:
    evaluator = ProxyEvaluator(digits, recipe=replace(fast(), norm_momentum=0.3))
    network = evaluator.network(ARCH, 1, CPU)
    ends = list(branch_ends(network))
    assert ends
    assert all(not norm.weight.any() for norm in ends)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {0.3}
    assert all(norm.weight.all() for norm in norms if norm not in ends)


def test_weight_decay_spares_norms_and_biases(digits: Dataset) -> None:
    network = ProxyEvaluator(digits).network(ARCH, 1, CPU)
    groups = make_optimizer(network, fast()).param_groups
    assert {p.ndim for group in groups if group["weight_decay"] for p in group["params"]} == {2, 4}
    assert {p.ndim for group in groups if not group["weight_decay"] for p in group["params"]} == {1}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))


def regularised(rates: Callable[[ArchSpec], float], epochs: int, digits: Dataset) -> float:
    seen: list[ArchSpec] = []

    def build(arch: ArchSpec, num_classes: int) -> nn.Module:
        seen.append(arch)
        return build_small(arch, num_classes)

    ProxyEvaluator(digits, build=build).network(replace(ARCH, dropout=0.4), epochs, CPU)
    return rates(seen[0])


@pytest.mark.parametrize(("epochs", "rate"), [(5, 0.02), (50, 0.2), (100, 0.4), (300, 0.4)])
def test_dropout_grows_with_the_length_of_the_training(digits: Dataset, epochs: int, rate: float) -> None:
    assert regularised(lambda arch: arch.dropout, epochs, digits) == pytest.approx(rate)


@given(st.integers(2, 10**6))
def test_batches_are_small_enough_for_some_steps(images: int) -> None:
    recipe = fast()
    batch = recipe.batch_for(images)
    assert 1 <= batch <= min(images, recipe.batch_size)
    assert images // batch >= recipe.min_steps or batch <= 16
    assert batch == recipe.batch_size or images // (2 * batch) < recipe.min_steps


@pytest.mark.parametrize(("optimizer", "share"), [("muon", 1.0), ("sgd", 0.25)])
@given(progress=st.floats(0, 1))
def test_the_rate_rises_to_its_peak_and_falls_to_zero(
    optimizer: Literal["muon", "sgd"], share: float, progress: float
) -> None:
    recipe = replace(fast(), optimizer=optimizer)
    batch = recipe.batch_size // 4
    peak = recipe.learning_rate * share
    assert 0 <= recipe.rate_at(progress, batch, 5) <= peak
    assert recipe.rate_at(recipe.schedule.warmup, batch, 5) == pytest.approx(peak)
    assert recipe.rate_at(0, batch, 5) == 0
    assert recipe.rate_at(1, batch, 5) == pytest.approx(0, abs=1e-12)
