"""What a first look at awkward folders says: in at most nine lines, each of which a person can act on."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nas.data.dataset import DataError, Dataset, load_split
from nas.data.source import open_dataset


def write(folder: Path, count: int, seed: int = 0, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng([seed, i]).integers(0, 256, (12, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{i:03}{suffix}", "PNG")
    return folder


def opened(root: Path, **options: str) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    dataset = open_dataset(root, root.parent / "cache", tell=told.append, **options)  # type: ignore[arg-type]
    assert len(told) <= 9
    assert all(line.isprintable() and len(line) < 500 for line in told)
    return dataset, told


def test_a_plain_folder_takes_one_line(tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        write(tmp_path / "data" / name, 10, seed)
    assert opened(tmp_path / "data")[1] == ["splits: val and test cut from the class folders"]


def test_everything_at_once(tmp_path: Path) -> None:
    """Each fault has its line, and they keep within the bound."""
    root = tmp_path / "data"
    for seed, (split, name) in enumerate((s, n) for s in ("training", "dev") for n in ("cat", "dog", "owl")):
        write(root / split / name, 12, seed)
    shutil.rmtree(root / "dev" / "owl")
    write(root / "raw" / "x", 1)
    write(root, 2)
    write(root / "training" / "eel", 3, suffix=".heic")
    (root / "training" / "cat" / "bad.png").write_text("no image")
    (root / "training" / "cat" / "up").symlink_to("..")
    Image.new("RGB", (12, 12)).save(root / "training" / "dog" / "black.png")
    Image.fromarray(np.arange(144, dtype=np.float32).reshape(12, 12)).save(root / "training" / "dog" / "float.tif")
    shutil.copy(root / "training" / "dog" / "000.png", root / "dev" / "cat" / "again.png")
    _, told = opened(root, max_bad_share=0.5, group="[a-z]+/[0-9]")  # type: ignore[arg-type]
    assert told == [
        "splits: training/ is train, dev/ is val, nothing is held out for testing",
        "warning: not used: raw/, 2 images directly in data/",
        "warning: passed over: 3 .heic, 1 links to what is in the data folder already",
        "warning: groups: 6 of 63 images; 2 are in several splits, as the folder has it (cat/0, dog/0)",
        "warning: 1 of 64 files cannot be read and are left out: 1 not an image (training/cat/bad.png)",
        "warning: classes: left out, no images in it: eel in training/; none in val of owl",
        "values: 1 of more than 8 bits, in all of which 0 is black and 255 white",
        "warning: looks: 1 of 63 images of one colour (training/dog/black.png)",
        "warning: duplicates: 1 of val also in train (dev/cat/again.png); 2 under several classes "
        "(training/dog/000.png, dev/cat/again.png)",
    ]


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        ([("train/a/000.png", "test/a/x.png")], "1 of test also in train (test/a/x.png)"),
        ([("val/b/000.png", "test/b/x.png")], "1 of test also in val (test/b/x.png)"),
        ([("train/a/000.png", "train/b/x.png")], "2 under several classes (train/"),
        ([("train/a/000.png", "train/a/x.png")], "1 once more in the same class and split"),
        ([(f"train/a/00{i}.png", f"val/a/x{i}.jpg") for i in range(5)],
         "5 of val also in train (val/a/x0.jpg, val/a/x1.jpg and 3 more)"),
    ],
)  # fmt: skip
def test_duplicates_are_told_by_kind(tmp_path: Path, copies: list[tuple[str, str]], said: str) -> None:
    root = tmp_path / "data"
    for seed, folder in enumerate(f"{split}/{name}" for split in ("train", "val", "test") for name in "ab"):
        write(root / folder, 6, seed)
    assert not any("duplicates" in line for line in opened(root)[1])
    for source, target in copies:
        shutil.copy(root / source, root / target)
    (line,) = [line for line in opened(root)[1] if "duplicates" in line]
    assert line.startswith("warning: duplicates: ")
    assert said in line


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (9, 9, "10 of 30 images of one colour"),
        (100, 131, "10 of 30 images using under an eighth of the range"),
        (0, 32, None),
    ],
)
def test_images_that_show_nothing_are_counted(tmp_path: Path, low: int, high: int, said: str | None) -> None:
    for seed, name in enumerate(("a", "b")):
        write(tmp_path / "data" / name, 10, seed)
    (tmp_path / "data" / "c").mkdir()
    for i in range(10):
        pixels = np.full((12, 12), low, dtype=np.uint8)
        pixels[i, i] = high
        Image.fromarray(pixels).save(tmp_path / "data" / "c" / f"{i}.png")
    found = [line for line in opened(tmp_path / "data")[1] if "looks" in line]
    assert found == [] if said is None else said in found[0]


def test_names_cannot_break_a_line(tmp_path: Path) -> None:
    root = tmp_path / "data"
    for seed, name in enumerate(("a", "b")):
        write(root / "train" / name, 10, seed)
    (root / "train" / "a" / "x\n\x1b]0;title\x07.png").write_text("no image")
    (root / "more\r").mkdir()
    (root / "train" / "b" / "x.\x1b[31m").write_text("")
    told = " ".join(opened(root)[1])
    assert r"x\n\x1b]0;title\x07.png" in told
    assert r"more\r/" in told
    assert r"1 .\x1b[31m" in told


# --- Groups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "person"), [(r"p\d+", r"p\d+"), (r"(p\d+)_day(\d)", r"p\d+_day\d"), (r"day\d", r"day\d")]
)
@pytest.mark.parametrize("layout", ["", "train"])
def test_what_belongs_together_is_not_split(tmp_path: Path, pattern: str, person: str, layout: str) -> None:
    root = tmp_path / "data"
    for seed, name in enumerate(("ill", "well")):
        folder = write(root / layout / name, 48, seed)
        for i, path in enumerate(sorted(folder.iterdir())):
            path.rename(folder / f"p{i % 8}_day{i % 6}_{i}.png")
    dataset, told = opened(root, group=pattern)
    truth = {np.asarray(Image.open(path)).tobytes(): path.name for path in root.rglob("*.png")}
    groups = []
    for split in ("train", "val", "test"):
        part = load_split(dataset, split)
        found = (re.search(person, truth[part.images[row].tobytes()]) for row in part.rows)
        groups.append({match[0] for match in found if match})
    assert all(groups)
    assert sum(map(len, groups)) == len(set.union(*groups))
    assert f"groups: {sum(map(len, groups))} of 96 images" in told
    assert dataset.fingerprint != opened(root)[0].fingerprint


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("(", "must be a regular expression"), ("zebra", "is found in no name, such as a/000.png"),
     ("png", "one group cannot be divided into train and val and test")],
)  # fmt: skip
def test_groups_that_cannot_be(tmp_path: Path, pattern: str, message: str) -> None:
    for seed, name in enumerate(("a", "b")):
        write(tmp_path / "data" / name, 5, seed)
    with pytest.raises(DataError, match=re.escape(message)):
        opened(tmp_path / "data", group=pattern)
