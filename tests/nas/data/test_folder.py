"""Which folders are splits and which are classes, what is passed over on the way, and what cannot be told."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from PIL import Image

from nas.data.dataset import DataError
from nas.data.folder import Listing, scan_folder

COUNT = 2


def write(root: Path, *folders: str, suffix: str = ".png", count: int = COUNT) -> Path:
    """Small images in each of the folders below root."""
    for folder in folders:
        (root / folder).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            (root / folder / f"{i}{suffix}").write_bytes(b"")
    return root


def refused(root: Path) -> str:
    with pytest.raises(DataError) as error:
        scan_folder(root)
    assert "\n" not in str(error.value)
    return str(error.value)


def names(listing: Listing) -> dict[str, list[str]]:
    return {split: [file.name for file in files] for split, files in listing.files.items()}


# --- Layouts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (("training", "testing"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("training_set", "test_set"), ("train", "test")),
        (("Train", "Validation", "TEST"), ("train", "val", "test")),
        (("train", "dev", "eval"), ("train", "val", "test")),
        (("train", "holdout"), ("train", "test")),
        (("train-images", "held-out data"), ("train", "test")),
        (("train2017", "val2017"), ("train", "val")),
        (("TrainData", "EvaluationData"), ("train", "test")),
    ],
)
def test_splits_by_their_usual_names(tmp_path: Path, names: Sequence[str], splits: Sequence[str]) -> None:
    listing = scan_folder(write(tmp_path, *(f"{name}/{each}" for name in names for each in ("cat", "dog", "owl"))))
    assert listing.classes == ("cat", "dog", "owl")
    assert listing.folders == dict(zip(splits, names, strict=True))
    assert listing.counts == dict.fromkeys(splits, [COUNT] * 3)
    assert listing.unused == ()


def test_a_folder_of_splits_in_one_of_the_same_name(tmp_path: Path) -> None:
    folders = [f"seg_{split}/seg_{split}/{each}" for split in ("train", "test") for each in ("sea", "wood")]
    listing = scan_folder(write(tmp_path, *folders, "seg_pred/seg_pred"))
    assert listing.classes == ("sea", "wood")
    assert listing.folders == {"train": "seg_train/seg_train", "test": "seg_test/seg_test"}
    assert listing.unused == ("seg_pred/",)


@pytest.mark.parametrize(
    ("folders", "words"),
    [
        (("train/a", "train/b", "val/a", "val/b", "validation/a", "validation/b"), "val/ and validation/ are called"),
        (("train/a", "train/b", "Train/a", "Train/b"), "Train/ and train/ are called"),
        (("train/a", "train/b", "test/a", "eval/a"), "eval/ and test/ are called like test"),
        (("fold1/a", "fold1/b", "fold2/a", "fold2/b"), "fold1/ and fold2/ hold the same folders (a, b)"),
        (("x/a", "x/b", "x/c", "y/A", "y/B"), "x/ and y/ hold the same folders (a, b)"),
        (("cat/train", "cat/test", "dog/train", "dog/test"), "hold the same folders (test, train)"),
        (("images/train/a", "images/train/b", "labels/train", "images/val/a", "labels/val"), "hold the same folders"),
        (("train/a", "train/b", "more/a", "more/b"), "more/ holds the same folders as train/ (a, b)"),
        (("asl_alphabet_train/A", "asl_alphabet_train/B", "asl_alphabet_test"), "is called like a split"),
        (("training", "testing"), "no class folders in it"),
        (("train", "test", "other"), "no class folders in it"),
        (("seg_test/a", "seg_test/b"), "has seg_test/ but no train/"),
        (("data/a", "data/b", "data/c"), "if its folders are the classes, give"),
        (("café", "cafe\u0301", "tea"), "two folders are called"),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused(tmp_path: Path, folders: Sequence[str], words: str) -> None:
    root = write(tmp_path / "data", *folders)
    message = refused(root)
    assert words in message
    assert str(root) in message


def test_folders_in_a_class_may_be_alike_below_train(tmp_path: Path) -> None:
    """The way out of a refusal: nothing is guessed where the folders say which is the split."""
    folders = [f"train/{name}/{camera}" for name in ("cat", "dog", "training") for camera in ("left", "right")]
    listing = scan_folder(write(tmp_path, *folders))
    assert listing.classes == ("cat", "dog", "training")
    assert listing.counts == {"train": [2 * COUNT] * 3}


def test_a_single_folder_in_each_class_is_part_of_it(tmp_path: Path) -> None:
    listing = scan_folder(write(tmp_path, "cat/images", "dog/images", "dog/more"))
    assert listing.counts == {"all": [COUNT, 2 * COUNT]}


def test_what_is_not_used_is_named(tmp_path: Path) -> None:
    root = write(tmp_path / "data", "train/a", "train/b", "val/a", "val/b", "test", "raw/2021", "train")
    write(root / "test", ".")
    write(root, ".", count=3)
    listing = scan_folder(root)
    assert listing.unused == (
        "raw/", "test/ (no class folders in it)", "3 images directly in data/", f"{COUNT} images directly in train/",
    )  # fmt: skip
    assert listing.folders == {"train": "train", "val": "val"}


def test_other_folders_do_no_harm_where_all_splits_are_there(tmp_path: Path) -> None:
    folders = [f"{split}/{name}" for split in ("train", "val", "test", "augmented") for name in "ab"]
    assert scan_folder(write(tmp_path, *folders)).unused == ("augmented/",)


# --- What is passed over -----------------------------------------------------------------------------------------


def test_all_suffixes_of_images_are_read_and_others_counted(tmp_path: Path) -> None:
    read = (".jfif", ".avif", ".JPG", ".tga", ".pbm", ".qoi", ".jpe", ".webp")
    for suffix in read:
        write(tmp_path, "a", suffix=suffix)
    for suffix in (".heic", ".HEIC", ".eps", ".txt", ".svg"):
        write(tmp_path, "a", suffix=suffix)
    write(tmp_path, "b")
    for i in range(3):
        Image.new("RGB", (4, 4)).save(tmp_path / "b" / f"plain{i}", "JPEG")
    (tmp_path / "b" / "README").write_text("words")
    (tmp_path / "b" / "nothing").write_text("")
    (tmp_path / "b" / "Thumbs.db").write_text("")
    write(tmp_path, "b/.git", "b/__MACOSX")
    listing = scan_folder(tmp_path)
    assert listing.counts == {"all": [len(read) * COUNT, COUNT + 3]}
    assert listing.passed == {".heic": 2 * COUNT, ".eps": COUNT, ".txt": COUNT, ".svg": COUNT, "without a suffix": 2,
                              "hidden": 3}  # fmt: skip


def test_what_there_is_in_place_of_images_is_named(tmp_path: Path) -> None:
    root = write(write(tmp_path / "data", "a", "b", suffix=".heic"), ".", count=3)
    assert refused(root).endswith("(expected " + str(root) + "/<class>/*.jpg), but 3 images in no folder, 4 .heic")


def test_a_class_without_images_is_named(tmp_path: Path) -> None:
    write(tmp_path, "train/a", "train/b", "val/a", "val/b")
    write(tmp_path, "train/c", "val/c", suffix=".heic")
    assert scan_folder(tmp_path).empty == ("c in train/", "c in val/")


LINKS: Mapping[str, tuple[str, str]] = {
    "to the folder above": ("a/up", ".."),
    "to the data": ("a/deep/up", "../.."),
    "to itself": ("a/again", "."),
    "into another class": ("a/more", "../b"),
    "below another class": ("a/more", "../b/deep"),
    "of a class to another": ("c", "b"),
    "of a file to another class": ("a/z.png", "../b/0.png"),
    "of a file to its own": ("a/z.png", "0.png"),
}


@pytest.mark.parametrize("name", LINKS)
def test_links_to_what_is_read_already_are_not_followed(tmp_path: Path, name: str) -> None:
    root = write(tmp_path / "data", "a", "a/deep", "b", "b/deep")
    at, to = LINKS[name]
    (root / at).symlink_to(to)
    listing = scan_folder(root)
    assert listing.classes == ("a", "b")
    assert listing.counts == {"all": [2 * COUNT, 2 * COUNT]}
    assert sum(listing.passed.values()) == 1


def test_links_elsewhere_are_followed_once(tmp_path: Path) -> None:
    store = write(tmp_path / "store", "cats", "more")
    (store / "cats" / "loop").symlink_to(store / "cats")
    root = write(tmp_path / "data", "b")
    (root / "a").symlink_to(store / "cats")
    (root / "b" / "more").symlink_to(store / "more")
    (root / "b" / "one.png").symlink_to(store / "file.png")
    (store / "file.png").write_bytes(b"")
    (root / "c").symlink_to(store / "cats")
    listing = scan_folder(root)
    assert names(listing) == {"all": ["a/0.png", "a/1.png", "b/0.png", "b/1.png", "b/more/0.png", "b/more/1.png",
                                      "b/one.png"]}  # fmt: skip


def test_a_split_that_is_a_link_to_another_is_not_one(tmp_path: Path) -> None:
    root = write(tmp_path / "data", "train/a", "train/b", "val/a", "val/b")
    (root / "test").symlink_to("train")
    (root / "validation").symlink_to("val")
    listing = scan_folder(root)
    assert listing.folders == {"train": "train", "val": "val"}
    assert listing.unused == ("test/ (a link)", "validation/ (a link)")


def test_special_files_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write(tmp_path / "data", "a", "b")
    os.mkfifo(root / "a" / "f.png")
    os.mkfifo(root / "a" / "without_suffix")
    (root / "a" / "z.png").symlink_to("/dev/zero")
    (root / "b" / "tty").symlink_to("/dev/null")
    monkeypatch.chdir(root / "b")  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.png")
        listing = scan_folder(root)
    assert listing.counts == {"all": [COUNT, COUNT]}
    assert listing.passed == {"pipes, sockets or devices": 5}


@pytest.mark.parametrize("folder", ["c", "a/sub", "."])
def test_a_folder_that_may_not_be_read_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    root = write(tmp_path / "data", "a", "a/sub", "b", "c")
    scandir = os.scandir

    def guarded(path: Path) -> object:  # root may read what others may not
        if Path(path) == root / folder:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", guarded)
    assert refused(root) == f"{root / folder}: may not be read (permission denied)"


def test_a_folder_of_any_depth(tmp_path: Path) -> None:
    here = Path.cwd()
    root = write(tmp_path / "data", "a", "b")
    try:
        os.chdir(root / "a")
        for _ in range(1200):
            os.mkdir("d")
            os.chdir("d")
        Path("deep.png").write_bytes(b"")
        os.chdir(here)
        assert scan_folder(root).counts == {"all": [COUNT + 1, COUNT]}
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-r", root], check=True)  # too deep for what clears up after tests
