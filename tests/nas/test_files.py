"""Files replaced in one step: the old or the new, whatever happens between, and no link is followed."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas import files
from nas.files import own_file, own_folder, read_bounded, read_json, replace_bytes, replace_text, replacing


@pytest.mark.parametrize("durable", [True, False])
def test_the_new_content_takes_the_place_of_the_old(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "a.json"
    replace_text(path, "é\n", durable=durable)
    assert path.read_bytes() == "é\n".encode()
    replace_bytes(path, b"\x00", durable=durable)
    assert path.read_bytes() == b"\x00"
    assert list(tmp_path.iterdir()) == [path]


def test_what_fails_leaves_the_old_one_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def broken_off() -> None:
        with replacing(path, durable=False) as draft:
            draft.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken_off()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    code = (
        "import os, pathlib, sys; from nas.files import replacing\n"
        "with replacing(pathlib.Path(sys.argv[1]), durable=False) as draft: draft.write_text('half'); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    assert path.read_text() == "old"
    (draft,) = tmp_path.glob("a.json.*")
    replace_text(path, "new", durable=False)
    assert (path.read_text(), draft.read_text()) == ("new", "half")


def test_no_link_is_followed(tmp_path: Path) -> None:
    treasure, path = tmp_path / "treasure", tmp_path / "a.json"
    treasure.write_text("mine")
    path.symlink_to(treasure)
    (tmp_path / "a.json.partial").symlink_to(treasure)
    replace_text(path, "new", durable=False)
    assert (treasure.read_text(), path.read_text(), path.is_symlink()) == ("mine", "new", False)


def test_a_draft_whose_name_is_taken_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    treasure = tmp_path / "treasure"
    treasure.write_text("mine")
    monkeypatch.setattr("nas.files.secrets.token_hex", lambda _: "guessed")
    (tmp_path / "a.json.guessed.partial").symlink_to(treasure)
    with pytest.raises(FileExistsError):
        replace_text(tmp_path / "a.json", "new", durable=False)
    assert treasure.read_text() == "mine"
    assert not (tmp_path / "a.json").exists()


def test_others_may_read_it_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        replace_text(tmp_path / "a.json", "new", durable=False)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.json").stat().st_mode) == 0o640


def test_durable_content_is_on_the_disk_before_it_has_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, flushed, fsync = tmp_path / "a.json", list[bool](), os.fsync

    def watched(descriptor: int) -> None:
        flushed.append(path.exists())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    replace_text(path, "new", durable=False)
    assert flushed == []
    path.unlink()
    replace_text(path, "new", durable=True)
    assert flushed == [False, True]


def link(path: Path, treasure: Path) -> None:
    path.symlink_to(treasure)


def hard_link(path: Path, treasure: Path) -> None:
    path.hardlink_to(treasure)


def pipe(path: Path, _: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("mode", ["ab", "r+b", "a+"])
@pytest.mark.parametrize("make", [link, hard_link, pipe])
def test_a_file_written_in_place_is_ones_own(tmp_path: Path, make: Callable[[Path, Path], None], mode: str) -> None:
    treasure, path = tmp_path / "treasure", tmp_path / "own"
    treasure.write_text("mine")
    make(path, treasure)
    with pytest.raises(OSError, match="remove it") as told, open(path, mode, opener=own_file):
        pass
    assert told.value.filename == str(path)
    assert treasure.read_text() == "mine"
    path.unlink()
    path.write_text("old")
    with open(path, mode, opener=own_file):
        pass
    assert path.read_text() == "old"


def test_a_link_to_nothing_makes_no_file_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "own").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="is a link"), open(tmp_path / "own", "ab", opener=own_file):
        pass
    with pytest.raises(OSError, match="is a link"):
        own_folder(tmp_path / "own")
    assert not (tmp_path / "elsewhere").exists()


def test_what_others_made_is_read_within_bounds(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"1234")
    assert read_bounded(path, 4) == b"1234"
    with pytest.raises(OSError, match="larger"):
        read_bounded(path, 3)
    os.mkfifo(tmp_path / "pipe")
    for endless in (Path("/dev/zero"), tmp_path / "pipe"):
        with pytest.raises(OSError, match="is no regular file"):
            read_bounded(endless, 4)


def test_a_json_file_is_read_within_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, "\u00e4"]}')
    assert read_json(path) == {"a": [1, "\u00e4"]}
    monkeypatch.setattr(files, "LARGEST_JSON", path.stat().st_size)
    assert read_json(path) == {"a": [1, "\u00e4"]}
    path.write_text(path.read_text() + " ")
    with pytest.raises(OSError, match="is larger than"):
        read_json(path)


def test_bytes_of_a_path_that_are_no_text_are_written_as_text(tmp_path: Path) -> None:
    replace_text(tmp_path / "a", os.fsdecode(b"d\xe9ta"), durable=False)
    assert (tmp_path / "a").read_text() == "d\\udce9ta"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, make: Callable[[Path], None], linked: bool) -> None:
    path = real = tmp_path / "a"
    if linked:
        real = tmp_path / "real"
        path.symlink_to(real)
    make(real)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match="no regular file"):
        replace_text(path, "new", durable=False)
    assert not real.is_file()
    assert path.is_symlink() == linked
    assert sorted(tmp_path.iterdir()) == before
