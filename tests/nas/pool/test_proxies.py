"""What the pool asks of the built-in training: going on after a kill, and batches in parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from nas.data.dataset import Dataset
from nas.data.feed import RESIDENT, open_feed
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Outcome, Request
from nas.pool.executor import is_lost_device, release_memory
from nas.training.checkpoint import trial_checkpoints
from nas.training.loop import Training
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec

ARCH = ArchSpec(
    stages=(StageSpec(expand=2, channels=8), StageSpec(expand=2, channels=16, stride=2)),
    stem=StemSpec(channels=8, stride=1),
    head=HeadSpec(32),
    resolution=8,
    input_channels=1,
)
REQUEST = Request(ARCH, Fidelity(epochs=4, train_fraction=0.2))


class KilledError(BaseException):
    pass


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return open_dataset("digits", tmp_path_factory.mktemp("cache"))


def evaluate(evaluator: ProxyEvaluator, request: Request = REQUEST, die_at: int = 0) -> tuple[Outcome, list[int]]:
    told: list[int] = []

    def report(epoch: int, _accuracy: float) -> bool:
        told.append(epoch)
        if epoch == die_at:
            raise KilledError
        return True

    return evaluator.evaluate(request, "cpu", report), told


def facts(outcome: Outcome) -> Outcome:
    return replace(outcome, seconds=0.0)


def test_a_killed_training_goes_on_from_its_last_epoch_to_the_same_end(digits: Dataset, tmp_path: Path) -> None:
    unbroken, _ = evaluate(ProxyEvaluator(digits, threads=1))
    keeping = ProxyEvaluator(digits, threads=1, checkpoints=tmp_path / "kept", checkpoint_after=0)
    with pytest.raises(KilledError):
        evaluate(keeping, die_at=3)
    kept = trial_checkpoints(tmp_path / "kept", REQUEST)
    assert sorted(path.name for path in kept.folder.iterdir()) == ["epoch-2.pt", "epoch-2.safetensors"]
    outcome, told = evaluate(keeping)
    assert facts(outcome) == facts(unbroken)
    assert told == [1, 2, 3, 4]  # those before the kill are told again
    kept.remove()
    assert not kept.folder.exists()


def test_a_short_training_keeps_nothing(digits: Dataset, tmp_path: Path) -> None:
    evaluate(ProxyEvaluator(digits, threads=1, checkpoints=tmp_path / "kept"))
    assert not (tmp_path / "kept").exists()


@pytest.mark.parametrize("name", ["epoch-2.pt", "epoch-2.safetensors"])
def test_a_damaged_checkpoint_is_begun_anew(digits: Dataset, tmp_path: Path, name: str) -> None:
    unbroken, _ = evaluate(ProxyEvaluator(digits, threads=1))
    keeping = ProxyEvaluator(digits, threads=1, checkpoints=tmp_path, checkpoint_after=0)
    with pytest.raises(KilledError):
        evaluate(keeping, die_at=3)
    (trial_checkpoints(tmp_path, REQUEST).folder / name).write_bytes(b"cut")
    assert facts(evaluate(keeping)[0]) == facts(unbroken)


def test_a_checkpoint_that_cannot_be_written_costs_no_training(digits: Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    keeping = ProxyEvaluator(digits, threads=1, checkpoints=tmp_path / "file", checkpoint_after=0)
    assert evaluate(keeping)[0].accuracy is not None


class Plain(nn.Module):
    """Without batch norms, so that a batch in parts is the same batch."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.body(x)
        return logits


@pytest.mark.parametrize("micro_batches", [2, 3])
def test_batches_in_parts_take_the_same_steps(digits: Dataset, micro_batches: int) -> None:
    feed = open_feed(digits, "train", torch.device("cpu"), share=0.2, resolution=8, channels=1)
    weights = []
    for parts in (1, micro_batches):
        torch.manual_seed(0)
        training = Training(Plain(10), fast(), feed, 1, 0, flip=False, micro_batches=parts)
        training.run_epoch(1)
        weights.append(torch.cat([p.detach().flatten() for p in training.network.parameters()]))
    torch.manual_seed(0)
    begun = torch.cat([p.detach().flatten() for p in Plain(10).parameters()])
    assert (weights[0] - begun).norm() > 0.1
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


def test_an_outcome_tells_of_its_batches_in_parts(digits: Dataset) -> None:
    outcome, _ = evaluate(ProxyEvaluator(digits, threads=1), replace(REQUEST, micro_batches=2))
    assert outcome.metrics == {"micro_batches": 2.0}
    assert replace(REQUEST, micro_batches=2).key == REQUEST.key


def test_torch_out_of_memory_is_an_outcome(digits: Dataset) -> None:
    def no_room(_arch: ArchSpec, _classes: int) -> nn.Module:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    failure = evaluate(ProxyEvaluator(digits, build=no_room))[0].failure
    assert failure is not None
    assert failure.kind == "oom"


def test_what_is_kept_between_trainings_is_released_and_comes_back(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # as in the worker of a GPU
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(not RESIDENT))
    RESIDENT.clear()
    evaluator = ProxyEvaluator(digits, threads=1)
    before, _ = evaluate(evaluator)
    kept = len(RESIDENT)
    assert kept > 0
    assert release_memory(evaluator, "meta") is None
    assert len(RESIDENT) == kept  # on another device
    assert release_memory(evaluator, "cpu") is None
    assert emptied == [False, True]
    assert facts(evaluate(evaluator)[0]) == facts(before)
    assert len(RESIDENT) == kept


def test_a_device_that_is_lost_while_memory_is_released_is_told(
    digits: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: unspecified launch failure")

    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", fail)
    failure = release_memory(ProxyEvaluator(digits, threads=1), "cpu")
    assert failure is not None
    assert is_lost_device(failure)
