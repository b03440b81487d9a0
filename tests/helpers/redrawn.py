"""What tests of redrawing share: a run's tables elsewhere, and a comparison of the pictures."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image


def tables_alone(run: Path, folder: Path, *names: str) -> Path:
    """A new folder with the tables and records of a run, all of them or those named, and nothing else."""
    folder.mkdir()
    for file in sorted(run.iterdir()):
        if file.suffix in {".csv", ".json"} and (not names or file.name in names):
            shutil.copyfile(file, folder / file.name)
    return folder


def expect_same_pictures(run: Path, other: Path) -> list[str]:
    """Every picture in `other` has the pixels of that in `run`, or the very text; their names, the .png first."""
    for file in other.glob("*.png"):
        with Image.open(file) as drawn, Image.open(run / file.name) as wanted:
            assert np.array_equal(np.asarray(drawn), np.asarray(wanted)), file.name
    for file in other.glob("*.svg"):
        assert file.read_text() == (run / file.name).read_text(), file.name
    return [file.name for suffix in ("png", "svg") for file in sorted(other.glob(f"*.{suffix}"))]
