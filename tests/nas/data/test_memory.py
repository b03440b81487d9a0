"""Data larger than memory: its pages stay in this process neither while the cache is made nor while it is read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data import feed
from nas.data.augment import Augmentation, draw_epoch
from nas.data.cache import READ, Row, open_cache
from nas.data.dataset import Dataset
from nas.data.feed import open_feed

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ROWS, SIZE = 1500, 128  # 74 MB
IMAGE = SIZE * SIZE * 3
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    feed.RESIDENT.clear()
    yield
    feed.RESIDENT.clear()


def mapped(folder: Path) -> int:
    """Bytes of the folder's files that are resident in this process, whatever else it maps or shares with others."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            inside = str(folder) in line
        elif inside and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Row i is filled with i modulo 251; `peak` in its name is what making it left resident at most."""
    folder = tmp_path_factory.mktemp("cache")
    peak = 0

    def look(_done: int, _total: int) -> None:
        nonlocal peak
        peak = max(peak, mapped(folder))

    def read(row: int, _survey: str) -> Row:
        return Row(READ, np.full((SIZE, SIZE, 3), row % 251, np.uint8))

    cache = open_cache(folder / "images", (ROWS, SIZE, SIZE, 3), str, read, look)
    splits = {f"{split}_rows": np.arange(ROWS) for split in ("train", "val")}
    splits |= {f"{split}_labels": np.arange(ROWS) % 10 for split in ("train", "val")}
    splits |= {f"{split}_names": np.full(ROWS, "") for split in ("train", "val")}
    np.savez(folder / "splits.npz", **splits)  # type: ignore[arg-type]
    return Dataset(
        name=str(peak), classes=tuple("abcdefghij"), native_size=SIZE, size=SIZE, channels=3,
        counts={"train": ROWS, "val": ROWS, "test": 0}, fingerprint="", mean=(0.5,) * 3, std=(0.25,) * 3, flip=True,
        images_path=cache.images_path, splits_path=folder / "splits.npz",
    )  # fmt: skip


@linux
def test_making_the_cache_maps_none_of_it(dataset: Dataset) -> None:
    assert int(dataset.name) < 0.2 * ROWS * IMAGE
    images = np.load(dataset.images_path, mmap_mode="r")
    assert np.array_equal(images[:, 0, 0, 0], np.arange(ROWS) % 251)
    assert np.array_equal(images[:, -1, -1, -1], np.arange(ROWS) % 251)


@linux
def test_an_epoch_from_the_file_leaves_little_of_it_resident(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(feed.RESIDENT_BYTES, "cpu", ROWS * IMAGE - 1)
    images = open_feed(dataset, "train", CPU, share=1.0, resolution=SIZE, channels=3)
    folder, seen = dataset.splits_path.parent, []
    for batch, _ in images.shuffled(50, draw_epoch(ROWS, 0, 1, CPU), Augmentation(), flip=True):
        seen.append(mapped(folder))
        assert batch.shape == (50, 3, SIZE, SIZE)
    assert max(seen) < 0.2 * ROWS * IMAGE
    values = torch.cat([batch[:, 0, 0, 0] for batch, _ in images.in_order(64)])
    assert torch.equal(torch.round((values * 0.25 + 0.5) * 255), torch.arange(ROWS) % 251)
    assert mapped(folder) < 0.2 * ROWS * IMAGE


def test_splits_kept_in_memory_stay_within_their_bound(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = ROWS * 16 * 16 * 3
    monkeypatch.setitem(feed.RESIDENT_BYTES, "cpu", limit)
    kept = [open_feed(dataset, "val", CPU, share=1.0, resolution=size, channels=3) for size in (8, 12, 16, 14)]
    assert all(each.mapping is None for each in kept)
    assert sum(loaded[0].nbytes for loaded in feed.RESIDENT.values()) <= 2 * limit
    again = open_feed(dataset, "val", CPU, share=1.0, resolution=14, channels=3)
    assert again.images is kept[-1].images
    assert open_feed(dataset, "val", CPU, share=1.0, resolution=8, channels=3).images is not kept[0].images
    assert open_feed(dataset, "val", CPU, share=1.0, resolution=17, channels=3).mapping is not None
