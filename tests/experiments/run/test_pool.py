"""What is measured of a run's cards: once for equal ones, whatever their numbers, and anew for others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from experiments.options.groups import PoolOptions
from experiments.options.settings import Settings
from experiments.run.folder import RunFolder
from experiments.run.pool import WorkerPool
from experiments.run.progress import Narrator
from nas.evaluation import Failure, Probe, Timing
from nas.pool import slots
from nas.pool.slots import Slot, card_of
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import ArchSpec
from tests.helpers.evaluators import arch

CARDS = {"cuda:0": ("H100", 80), "cuda:1": ("H100", 80), "cuda:2": ("H100", 94), "cuda:3": ("T4", 16)}


class Device:
    """Trainings that share 300 images a second; `fits` of them at a time."""

    def __init__(self, opened: list[list[str]], asked: Sequence[Slot], fits: int) -> None:
        opened.append([slot.device for slot in asked])
        self.free_slots = len(asked)
        self.fits = fits

    def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
        if times > self.fits:
            return [Failure("oom", "no room")] * times
        macs, step = probe.arch.stages[0].channels * 1e6, 32 / min(100, 300 / times)
        return [Timing(macs, step, 32, 0.1, 64, 0.1, 1.0, 70e9, 80e9)] * times

    def close(self) -> None: ...


class Pool(WorkerPool):
    opened: list[list[str]]
    fits = 99

    def _open(self, asked: Sequence[Slot]) -> Any:
        return Device(self.opened, asked, self.fits)


def pool(folder: Path, devices: str, fits: int = 99, **options: Any) -> Pool:
    """Calibrated, with what it has opened: the devices of each executor."""
    data: Any = SimpleNamespace(counts={"train": 1000, "val": 200})
    problem: Any = SimpleNamespace(evaluator=ProxyEvaluator(data, fast()), noisy=True)
    asked = tuple(Slot(name) for name in devices.split(","))
    settings = Settings(pool=PoolOptions(**options))
    found = Pool(RunFolder(folder), settings, Narrator(), problem, asked, ExitStack(), lambda a: a.stages[0].channels)
    found.opened, found.fits = [], fits
    found.calibrate([arch(8), arch(16)])
    return found


@pytest.fixture(autouse=True)
def cards(monkeypatch: pytest.MonkeyPatch) -> None:
    def properties(device: str) -> Any:
        name, gigabytes = CARDS[device]
        return SimpleNamespace(name=name, total_memory=gigabytes * 10**9)

    monkeypatch.setattr(torch.cuda, "get_device_properties", properties)
    monkeypatch.setattr(slots, "gpu_count", lambda: len(CARDS))


def test_equal_cards_are_measured_once_whatever_their_numbers(tmp_path: Path) -> None:
    assert card_of("cpu") == "cpu"
    assert len({card_of(device) for device in CARDS}) == 3
    first = pool(tmp_path, "cuda:0,cuda:1")
    assert first.opened == [["cuda:0"] * n for n in (1, 2, 4, 8)] + [["cuda:0", "cuda:1"] * 4]
    assert list(json.loads((tmp_path / "packing.json").read_text())) == ["H100, 80000000000 bytes"]
    assert len(first.slots) == 8
    assert pool(tmp_path, "cuda:1,cuda:0").opened == []  # speed.json holds too


def test_another_card_of_the_same_number_is_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pool(tmp_path, "cuda:0")
    for other in ("cuda:2", "cuda:3"):  # of the same name, and of another
        monkeypatch.setitem(CARDS, "cuda:0", CARDS[other])
        assert pool(tmp_path, "cuda:0").opened[:2] == [["cuda:0"], ["cuda:0"] * 2]
        assert pool(tmp_path, "cuda:0").opened == []
    assert len(json.loads((tmp_path / "packing.json").read_text())) == 3


def test_files_that_name_numbers_are_of_unknown_cards(tmp_path: Path) -> None:
    known = pool(tmp_path, "cuda:0")
    speed, packing = tmp_path / "speed.json", tmp_path / "packing.json"
    content = json.loads(speed.read_text())
    for slot in content["of"]["slots"]:
        slot["device"] = "cuda:0"
    speed.write_text(json.dumps(content))
    packing.write_text(json.dumps({"cuda:0": {"slots": 16, "measured": []}}))
    again = pool(tmp_path, "cuda:0")
    assert again.opened == known.opened
    assert again.slots == known.slots
    assert again.speed == known.speed


def test_where_trainings_do_not_fit_side_by_side_one_is_timed_alone(tmp_path: Path) -> None:
    speed = pool(tmp_path, "cuda:0,cuda:1,cuda:2,cuda:3", fits=1, workers=4).speed
    assert speed is not None
    assert speed.step == pytest.approx(0.32)


class Blocks:
    """Two kinds of blocks of one cost, the odd ones half as fast; a step takes 10 ms and what its pixels take."""

    free_slots = 1

    def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
        macs = macs_of(probe.arch)
        slow = 2.0 if probe.arch.stages[0].channels % 2 else 1.0
        step = 0.01 + slow * 1e-10 * 3 * macs * 32
        return [Timing(macs, step, 32, 0.1 * step, 64, 0.1, 1.0)] * times

    def close(self) -> None: ...


def macs_of(net: ArchSpec) -> int:
    return 100 * net.resolution**2 + net.stages[0].channels


@pytest.mark.parametrize("pixels", [48, 96])
def test_networks_of_one_cost_tell_how_time_grows_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pixels: int
) -> None:
    """What is timed of networks that all cost the same is right for others of a third to three times their cost."""
    data: Any = SimpleNamespace(counts={"train": 1000, "val": 200})
    problem: Any = SimpleNamespace(evaluator=ProxyEvaluator(data, fast()), noisy=True)
    found = WorkerPool(
        RunFolder(tmp_path), Settings(pool=PoolOptions(workers=1)), Narrator(), problem, (Slot("cpu"),), ExitStack(),
        macs_of,
    )  # fmt: skip
    monkeypatch.setattr(WorkerPool, "_open", lambda *_: Blocks())
    archs = [replace(arch(channels), resolution=pixels) for channels in (7, 8)]
    speed = found.calibrate(archs)
    assert speed is not None
    for times in (1 / 3, 1, 3):
        macs = times * macs_of(archs[0])
        typical = 0.01 + 1.5e-10 * 3 * macs * 32
        assert speed.step + speed.per_mac * 3 * macs * 32 == pytest.approx(typical, rel=0.01)
    for each, per_mac in zip(archs, (2e-10, 1e-10), strict=True):
        step = 0.01 + per_mac * 3 * macs_of(each) * 32
        assert found.seconds_an_epoch(each) == pytest.approx(0.1 + 1000 // 32 * step + 200 * 0.1 * step / 64)
    found.speed = None
    assert found.calibrate([replace(each, resolution=pixels // 2) for each in archs]) == speed  # known from the record
