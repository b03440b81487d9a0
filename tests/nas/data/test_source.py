"""Opening data sets: layouts, splits, the cache, and input that cannot be used."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data.dataset import SPLITS, DataError, Dataset, load_split
from nas.data.levels import Levels
from nas.data.source import open_dataset


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = (12, 12)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_classes(root: Path, counts: dict[str, int], first_seed: int = 0, size: int = 12) -> Path:
    """Images under root/<class>/<n>.png, no two alike."""
    seed = first_seed
    for name, count in counts.items():
        for i in range(count):
            write_image(root / name / f"{i:03}.png", seed := seed + 1, (size, size))
    return root


def contents(dataset: Dataset, split: str) -> list[bytes]:
    part = load_split(dataset, split)
    return [hashlib.sha256(part.images[row].tobytes()).digest() for row in part.rows]


def class_counts(dataset: Dataset, split: str) -> list[int]:
    return list(map(int, np.bincount(load_split(dataset, split).labels, minlength=dataset.num_classes)))


# --- Layouts -----------------------------------------------------------------------------------------------------


def test_bare_classes_are_split_in_proportion_and_without_overlap(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 20, "b": 40})
    dataset = open_dataset(root, tmp_path / "cache", val_fraction=0.1, test_fraction=0.2)
    assert dataset.classes == ("a", "b")
    assert dataset.counts == {"train": 42, "val": 6, "test": 12}
    assert [class_counts(dataset, split) for split in SPLITS] == [[14, 28], [2, 4], [4, 8]]
    everything = [digest for split in SPLITS for digest in contents(dataset, split)]
    assert len(set(everything)) == 60
    assert dataset.native_size == dataset.size == 12
    assert dataset.flip


def test_images_keep_their_labels_and_pixels(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 5, "b": 7, "c": 4})
    dataset = open_dataset(root, tmp_path / "cache")
    truth = {
        np.asarray(Image.open(path)).tobytes(): dataset.classes.index(path.parent.name) for path in root.rglob("*.png")
    }
    for split in SPLITS:
        part = load_split(dataset, split)
        for row, label in zip(part.rows, part.labels, strict=True):
            assert truth.pop(part.images[row].tobytes()) == label
    assert not truth


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("train",), {"train": 14, "val": 2, "test": 4}),
        (("train", "test"), {"train": 18, "val": 2, "test": 20}),
        (("train", "val"), {"train": 20, "val": 20, "test": 0}),
        (("train", "val", "test"), {"train": 20, "val": 20, "test": 20}),
    ],
)
def test_splits_that_are_missing_are_split_off(
    tmp_path: Path, given: tuple[str, ...], expected: dict[str, int]
) -> None:
    digests = {}
    for i, split in enumerate(given):
        folder = write_classes(tmp_path / "data" / split, {"x": 10, "y": 10}, first_seed=1000 * i)
        digests[split] = {np.asarray(Image.open(path)).tobytes() for path in folder.rglob("*.png")}
    dataset = open_dataset(tmp_path / "data", tmp_path / "cache", val_fraction=0.1, test_fraction=0.2)
    assert dataset.counts == expected
    for split in set(given) - {"train"}:
        part = load_split(dataset, split)
        assert {part.images[row].tobytes() for row in part.rows} == digests[split]
    if "test" not in expected or not expected["test"]:
        with pytest.raises(DataError, match="has no test images"):
            load_split(dataset, "test")


def test_names_of_all_kinds_hidden_files_and_nested_folders(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tmp_path / "my 'data'"
    for i, name in enumerate(['quo"te', "it's", "käse", "日本", "with space"]):
        for n in range(4):
            write_image(root / name / f"{name} {n}" / f"ü '{n}'.PNG", seed=10 * i + n)
        (root / name / ".hidden.png").write_text("no image")
        (root / name / "notes.txt").write_text("no image")
    write_image(root / ".hidden" / "a.png")
    (root / "empty class").mkdir()
    (root / "README.md").write_text("words")
    with caplog.at_level(logging.WARNING):
        dataset = open_dataset(root, tmp_path / "cache")
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.endswith("left out, no images in it: empty class")
    assert set(dataset.classes) == {'quo"te', "it's", "käse", "日本", "with space"}
    assert sum(dataset.counts.values()) == 20


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"train": 4, "tram": 4})
    assert open_dataset(root, tmp_path / "cache").classes == ("train", "tram")


def test_links_in_a_loop_are_walked_once(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    (root / "a" / "again").symlink_to(root / "a", target_is_directory=True)
    assert sum(open_dataset(root, tmp_path / "cache").counts.values()) == 8


def test_digits(tmp_path: Path) -> None:
    dataset = open_dataset("digits", tmp_path)
    assert dataset.counts == {"train": 1259, "val": 269, "test": 269}
    assert (dataset.native_size, dataset.channels, dataset.flip) == (8, 1, False)
    part = load_split(dataset, "train")
    assert part.images.shape == (1797, 8, 8, 1)
    assert int(part.images.max()) == 255
    shares = np.bincount(part.labels) / len(part.labels)
    assert np.abs(shares - 0.1).max() < 0.005


# --- The choice of images ----------------------------------------------------------------------------------------


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 20, "b": 20})
    one, same, other = (open_dataset(root, tmp_path / "cache", seed=seed) for seed in (0, 0, 1))
    assert one == same
    assert one.fingerprint != other.fingerprint
    assert set(contents(one, "val")) != set(contents(other, "val"))


def test_a_cap_takes_a_stratified_part_of_train_and_leaves_the_rest(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 40, "b": 20})
    whole = open_dataset(root, tmp_path / "cache")
    capped = open_dataset(root, tmp_path / "cache", train_images=12)
    assert capped.counts == {**whole.counts, "train": 12}
    assert class_counts(capped, "train") == [8, 4]
    assert contents(capped, "train") == contents(whole, "train")[:12]
    assert [contents(capped, s) for s in ("val", "test")] == [contents(whole, s) for s in ("val", "test")]
    assert capped.fingerprint != whole.fingerprint
    with pytest.raises(DataError, match="1 training images are fewer than the 2 classes"):
        open_dataset(root, tmp_path / "cache", train_images=1)


def test_the_fingerprint_is_of_the_content_alone(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 6, "b": 6})
    first = open_dataset(root, tmp_path / "cache")
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    for path in moved.rglob("*.png"):
        os.utime(path, (1, 1))
    again = open_dataset(moved, tmp_path / "other cache", max_resolution=8)
    assert again.fingerprint == first.fingerprint
    write_image(next(iter(sorted(moved.rglob("*.png")))), seed=999)
    assert open_dataset(moved, tmp_path / "cache").fingerprint != first.fingerprint


def test_statistics_are_those_of_the_training_images(tmp_path: Path) -> None:
    dataset = open_dataset(write_classes(tmp_path / "data", {"a": 9, "b": 9}), tmp_path / "cache")
    part = load_split(dataset, "train")
    pixels = part.images[part.rows].reshape(-1, 3) / 255
    assert np.allclose(dataset.mean, pixels.mean(axis=0), atol=1e-12)
    assert np.allclose(dataset.std, pixels.std(axis=0), atol=1e-9)


def test_the_description_is_small_and_travels(tmp_path: Path) -> None:
    dataset = open_dataset(write_classes(tmp_path / "data", {"a": 30, "b": 30}), tmp_path / "cache")
    data = pickle.dumps(dataset)
    assert len(data) < 2000
    assert pickle.loads(data) == dataset


# --- The cache ---------------------------------------------------------------------------------------------------


def test_the_cache_is_shrunk_but_never_enlarged(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 5, "b": 5}, size=20)
    write_image(root / "a" / "large.png", size=(90, 50))
    small = open_dataset(root, tmp_path / "cache", max_resolution=10)
    assert (small.native_size, small.size) == (20, 10)
    with pytest.raises(DataError, match="max_resolution=16"):
        small.check_resolution(16)
    large = open_dataset(root, tmp_path / "cache", max_resolution=64)
    assert (large.native_size, large.size) == (20, 20)
    large.check_resolution(64)


def test_images_are_decoded_once(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 8, "b": 8})
    seen: list[tuple[int, int]] = []
    first = open_dataset(root, tmp_path / "cache", progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (16, 16)
    seen.clear()
    assert open_dataset(root, tmp_path / "cache", progress=lambda *at: seen.append(at)) == first
    assert not seen
    changed = write_image(root / "a" / "000.png", seed=77)
    os.utime(changed, (5, 5))
    assert open_dataset(root, tmp_path / "cache").fingerprint != first.fingerprint


def test_a_cache_goes_on_after_a_kill(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 600, "b": 600})
    program = (
        "import sys, time; from pathlib import Path; import nas.data.source as data\n"
        "decode = data.decode_square\n"
        "def slowly(*file, **how):\n    time.sleep(0.003)\n    return decode(*file, **how)\n"
        "data.decode_square = slowly\n"
        "data.open_dataset(sys.argv[1], Path(sys.argv[2]), progress=lambda *at: print(*at, flush=True))\n"
    )
    cache = tmp_path / "cache"
    process = subprocess.Popen([sys.executable, "-c", program, str(root), str(cache)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline()  # at least one chunk is there
    process.send_signal(signal.SIGKILL)
    process.wait()
    (partial,) = cache.glob("*.partial")
    kept = int((np.load(partial / "state.npy") == 1).sum())
    assert 64 <= kept < 1200
    before = np.load(partial / "images.npy").copy()
    done_rows = np.load(partial / "state.npy") == 1

    seen: list[int] = []
    resumed = open_dataset(root, cache, progress=lambda done, _: seen.append(done))
    assert seen[0] > kept
    assert np.array_equal(np.load(resumed.images_path)[done_rows], before[done_rows])
    fresh = open_dataset(root, tmp_path / "fresh")
    assert np.array_equal(np.load(resumed.images_path), np.load(fresh.images_path))
    assert resumed.fingerprint == fresh.fingerprint
    assert not list(cache.glob("*.partial"))


def test_a_reader_that_breaks_leaves_no_finished_cache(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})

    def broken(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_dataset(root, tmp_path / "cache", progress=broken)
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".partial"]
    assert open_dataset(root, tmp_path / "cache").counts["train"] == 4


def test_a_full_disk_is_told_before_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr("nas.data.cache.shutil.disk_usage", lambda _: usage)
    with pytest.raises(DataError, match="the image cache needs"):
        open_dataset(root, tmp_path / "cache")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_cache_folder_that_cannot_be_written(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(DataError, match="cannot write the image cache"):
        open_dataset(root, tmp_path / "locked" / "cache")


@pytest.mark.parametrize("room", [0, 1000, 14 * 432 + 7])
def test_a_disk_that_fills_up_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    """Whatever is written has room in the file system or is refused by it: of a mapped page nobody is asked."""
    root = write_classes(tmp_path / "data", {"a": 12, "b": 12})
    pwrite, left = os.pwrite, [room]

    def full(file: int, data: bytes, at: int) -> int:
        if left[0] < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= len(data)
        return pwrite(file, data, at)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        with pytest.raises(DataError, match=r"cannot write the image cache \(No space left on device\)"):
            open_dataset(root, tmp_path / "cache")
    assert open_dataset(root, tmp_path / "cache") == replace_paths(open_dataset(root, tmp_path / "fresh"), tmp_path)


def replace_paths(dataset: Dataset, folder: Path) -> Dataset:
    """As if opened with the cache `folder`/cache."""
    places = (dataset.images_path, dataset.splits_path)
    images, splits = (folder / "cache" / Path(*place.parts[-2:]) for place in places)
    return replace(dataset, images_path=images, splits_path=splits)


@pytest.mark.parametrize("name", ["images", "state", "digests", "spans"])
def test_a_cache_that_was_cut_short_is_one_line(tmp_path: Path, name: str) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    file = open_dataset(root, tmp_path / "cache").images_path.with_name(f"{name}.npy")
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(DataError, match="not a whole image cache; remove it"):
        open_dataset(root, tmp_path / "cache")


def _pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def _folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _other_shape(file: Path) -> None:
    np.save(file, np.load(file)[:-1])


def _other_type(file: Path) -> None:
    np.save(file, np.load(file).astype(np.float32))


def _objects(file: Path) -> None:
    np.save(file, np.array([None, {}], dtype=object))


def _odd_header(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"{'descr'", b"{'descr\x00("))


ARRAYS = ("images", "state", "digests", "spans")
DAMAGE = (_pipe, _folder, _other_shape, _other_type, _objects, _odd_header)


@pytest.mark.parametrize("partial", [False, True], ids=["finished", "partial"])
@pytest.mark.parametrize(
    ("name", "damage"),
    [
        *((f"{name}.npy", damage) for name in ARRAYS for damage in DAMAGE),
        *(("survey.json", each) for each in DAMAGE[:2]),
    ],
)
def test_a_damaged_cache_is_one_line(tmp_path: Path, name: str, damage: Callable[[Path], None], partial: bool) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    cache = open_dataset(root, tmp_path / "cache").images_path.parent
    if partial:
        cache = cache.rename(cache.with_name(f"{cache.name}.partial"))
    damage(cache / name)
    with pytest.raises(DataError, match="not a whole image cache; remove it"):
        open_dataset(root, tmp_path / "cache")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"{}", None])
def test_damaged_splits_are_written_anew(tmp_path: Path, content: bytes | None) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    dataset = open_dataset(root, tmp_path / "cache")
    labels = load_split(dataset, "train").labels
    if content is None:
        np.savez(dataset.splits_path, train_rows=np.zeros(3, int), train_labels=np.zeros(3, int))
    else:
        dataset.splits_path.write_bytes(content)
    assert open_dataset(root, tmp_path / "cache") == dataset
    assert load_split(dataset, "train").labels.tolist() == labels.tolist()


def test_a_pipe_in_the_place_of_splits_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    dataset = open_dataset(root, tmp_path / "cache")
    _pipe(dataset.splits_path)
    with pytest.raises(DataError, match="no regular file"):
        open_dataset(root, tmp_path / "cache")


def test_a_cache_folder_that_is_a_file(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 4, "b": 4})
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write the image cache"):
        open_dataset(root, tmp_path / "file" / "cache")


# --- Files and folders that cannot be used -----------------------------------------------------------------------


def test_unreadable_files_are_named_once_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_classes(tmp_path / "data", {"a": 30, "b": 30})
    (root / "a" / "000.png").write_text("no image")
    whole = (root / "b" / "001.png").read_bytes()
    (root / "b" / "001.png").write_bytes(whole[: len(whole) // 2])
    (root / "b" / "dangling.jpg").symlink_to(root / "nowhere.jpg")
    with caplog.at_level(logging.WARNING):
        dataset = open_dataset(root, tmp_path / "cache")
    assert sum(dataset.counts.values()) == 58
    (message,) = [record.getMessage() for record in caplog.records]
    assert "3 of 61 files cannot be read and are left out" in message
    assert all(name in message for name in ("a/000.png", "b/001.png", "b/dangling.jpg"))
    assert all((load_split(dataset, s).images[load_split(dataset, s).rows].any(axis=(1, 2, 3))).all() for s in SPLITS)


@pytest.mark.parametrize(
    "error",
    [PermissionError(13, "Permission denied"), OSError(5, "Input/output error"), OSError(116, "Stale file handle"),
     MemoryError()],
)  # fmt: skip
def test_a_file_that_could_not_be_read_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    root = write_classes(tmp_path / "data", {"a": 30, "b": 30})
    (root / "b" / "001.png").write_text("no image")
    read, tried = Path.read_bytes, list[str]()

    def fails(path: Path) -> bytes:
        if path.parent == root / "a" or path.name == "001.png":
            tried.append(path.name)
        if path == root / "a" / "000.png":
            raise error
        return read(path)

    with monkeypatch.context() as patch, caplog.at_level(logging.WARNING):
        patch.setattr(Path, "read_bytes", fails)
        first = open_dataset(root, tmp_path / "cache")
    reason = getattr(error, "strerror", None) or "no memory left for it"
    assert f"1 {reason.lower()} (a/000.png)" in caplog.text
    assert "1 not an image (b/001.png)" in caplog.text
    tried.clear()

    def notes(path: Path) -> bytes:
        tried.append(path.name)
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", notes)
    second = open_dataset(root, tmp_path / "cache")
    assert tried == ["000.png"]
    assert sum(second.counts.values()) == sum(first.counts.values()) + 1 == 59
    assert second.fingerprint == open_dataset(root, tmp_path / "fresh").fingerprint


def test_a_file_of_any_size_is_not_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = write_classes(tmp_path / "data", {"a": 9, "b": 9})
    with (root / "a" / "sparse.png").open("wb") as file:
        file.truncate(1 << 40)
    open_dataset(root, tmp_path / "cache")
    assert "too large" in caplog.text


def test_what_says_that_it_is_empty_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as files of /proc, some of which never end."""
    root = write_classes(tmp_path / "data", {"a": 9, "b": 9})
    (root / "a" / "z.png").write_bytes(b"")
    (root / "b" / "without_suffix").write_bytes(b"")
    opening, opened = Path.open, []

    def noted(path: Path, *how: Any, **more: Any) -> Any:
        opened.append(path.name)
        return opening(path, *how, **more)

    monkeypatch.setattr(Path, "open", noted)
    open_dataset(root, tmp_path / "cache")
    assert "000.png" in opened
    assert not {"z.png", "without_suffix"} & set(opened)
    assert "1 empty (a/z.png)" in caplog.text


def grey_files(root: Path, kind: str, most: float, suffix: str = ".tif") -> Path:
    for label in "ab":
        for i in range(8):
            values = np.linspace(0, most * (1 + i) / 8, 144).reshape(12, 12)
            (root / label).mkdir(parents=True, exist_ok=True)
            Image.fromarray(values.astype(kind)).save(root / label / f"{i}{suffix}")
    return root


@pytest.mark.parametrize(
    ("kind", "most", "suffix"),
    [("uint16", 4095, ".png"), ("uint16", 1000, ".tif"), ("float32", 1.004, ".tif"), ("int32", 70_000, ".tif")],
)
def test_all_images_have_one_scale_which_is_told(tmp_path: Path, kind: str, most: float, suffix: str) -> None:
    root = grey_files(tmp_path / "data", kind, most, suffix)
    told: list[str] = []
    dataset = open_dataset(root, tmp_path / "cache", tell=told.append)
    images = np.load(dataset.images_path)
    brightest = sorted(image.max() for image in images)
    assert np.allclose(brightest, np.repeat(brightest[-1] * np.arange(1, 9) / 8, 2), atol=1)
    assert brightest[-1] > 245
    assert any(line.startswith("values: 16 of more than 8 bits, in all of which 0 is black") for line in told)
    again: list[str] = []
    assert open_dataset(root, tmp_path / "cache", tell=again.append) == dataset
    assert again == told


def test_the_fingerprint_says_how_images_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of another version's run, which read the same files otherwise, is told apart by it."""
    root = grey_files(tmp_path / "data", "uint16", 4000)
    first = open_dataset(root, tmp_path / "cache")
    monkeypatch.setattr("nas.data.source.Levels.of", lambda _: Levels(integers=(0, 65535)))
    assert open_dataset(root, tmp_path / "other").fingerprint != first.fingerprint


@pytest.mark.parametrize(("kind", "suffix"), [("uint8", ".png"), ("uint16", ".png"), ("float32", ".tif")])
def test_grey_images_may_be_kept_as_they_are(tmp_path: Path, kind: str, suffix: str) -> None:
    root = grey_files(tmp_path / "data", kind, 1.0 if kind == "float32" else 250, suffix)
    told: list[str] = []
    three = open_dataset(root, tmp_path / "cache", tell=told.append)
    assert any("all grey, held as three equal channels" in line for line in told)
    told.clear()
    one = open_dataset(root, tmp_path / "cache", grey=True, tell=told.append)
    assert not any("all grey" in line for line in told)
    assert (three.channels, one.channels, len(one.mean), len(one.std)) == (3, 1, 1, 1)
    assert np.array_equal(np.load(one.images_path)[..., 0], np.load(three.images_path)[..., 2])
    assert one.fingerprint != three.fingerprint


def test_colours_may_be_left_away(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 5, "b": 5})
    told: list[str] = []
    assert open_dataset(root, tmp_path / "cache", grey=True, tell=told.append).channels == 1
    open_dataset(root, tmp_path / "cache", tell=told.append)
    assert not any("grey" in line for line in told)


def test_white_on_transparent_can_be_seen(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for label in "ab":
        (root / label).mkdir(parents=True)
        for i in range(8):
            pixels = np.full((12, 12, 4), 255, dtype=np.uint8)
            pixels[..., 3] = np.random.default_rng(i).integers(0, 2, (12, 12)) * 255
            Image.fromarray(pixels).save(root / label / f"{i}.png")
    told: list[str] = []
    images = np.load(open_dataset(root, tmp_path / "cache", tell=told.append).images_path)
    assert (images.min(axis=(1, 2, 3)) < images.max(axis=(1, 2, 3))).all()
    assert any("laid on black" in line for line in told)


def test_too_many_unreadable_files(tmp_path: Path) -> None:
    root = write_classes(tmp_path / "data", {"a": 10, "b": 10})
    for i in range(7):
        (root / "a" / f"{i:03}.png").write_text("no image")
    with pytest.raises(DataError, match=r"7 of 20 files cannot be read, more than 10%.* and 2 more"):
        open_dataset(root, tmp_path / "cache")


def one_line(error: pytest.ExceptionInfo[DataError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_missing_empty_and_single_class_folders(tmp_path: Path) -> None:
    cases = {
        "missing": "no such folder",
        "empty": "no images in class folders",
        "flat": "no images in class folders",
        "single": "only one class with images, 'a'",
        "split single": "only one class with images, 'a'",
        "flat train": "no class folders in it",
        "no train": "has test/ but no train/",
        "few": "class 'b' has one image",
        "text": "class 'b' has one image",
        "train text": "class 'b' has no readable training image .train/b/x.jpg",
        "all text": "no readable images",
        "stranger": "class 'c' has no training images",
    }
    for name in set(cases) - {"missing"}:
        (tmp_path / name).mkdir()
    write_image(tmp_path / "flat" / "a.png")
    write_classes(tmp_path / "single", {"a": 5})
    (tmp_path / "single" / "b").mkdir()
    write_classes(tmp_path / "split single" / "train", {"a": 5})
    write_image(tmp_path / "flat train" / "train" / "a.png")
    write_classes(tmp_path / "no train" / "test", {"a": 5, "b": 5})
    write_classes(tmp_path / "few", {"a": 5, "b": 1})
    write_classes(tmp_path / "text", {"a": 5, "b": 0})
    (tmp_path / "text" / "b").mkdir()
    (tmp_path / "text" / "b" / "x.jpg").write_text("words")
    for split in ("train", "val"):
        write_classes(tmp_path / "train text" / split, {"a": 30})
        (tmp_path / "train text" / split / "b").mkdir()
        (tmp_path / "train text" / split / "b" / "x.jpg").write_text("words")
    for i in range(6):
        for label in "ab":
            (tmp_path / "all text" / label).mkdir(exist_ok=True)
            (tmp_path / "all text" / label / f"{i}.jpg").write_text("words")
    write_classes(tmp_path / "stranger" / "train", {"a": 5, "b": 5})
    write_classes(tmp_path / "stranger" / "val", {"a": 5, "c": 5})
    for name, message in cases.items():
        with pytest.raises(DataError, match=message) as error:
            open_dataset(tmp_path / name, tmp_path / "cache")
        assert name in one_line(error)


def test_a_file_is_not_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a folder"):
        open_dataset(write_image(tmp_path / "a.png"), tmp_path / "cache")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_fraction": 0.0}, "fractions must be"),
        ({"val_fraction": 0.6, "test_fraction": 0.4}, "fractions must be"),
        ({"train_images": 0}, "training images must be at least 1"),
        ({"max_resolution": 0}, "max_resolution must be at least 1"),
    ],
)
def test_options_out_of_range(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset("digits", tmp_path, **options)
