"""Where optional data lies that is not part of the project; tests that need it are skipped without it."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SCALENAS_SHARED", Path(__file__).parents[3] / "shared"))


def shared_file(*parts: str) -> Path:
    """A file or folder of the shared data; skips the calling test or module where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"optional data {'/'.join(parts)} not found; set SCALENAS_SHARED", allow_module_level=True)
    return path


def cifar10_folder(parent: Path, images: int) -> Path:
    """A folder with the first `images` training images of each class of CIFAR-10."""
    with tarfile.open(shared_file("data", "cifar10.tar.xz")) as archive:
        for member in archive:
            if member.isfile() and member.name.startswith("train/") and int(Path(member.name).stem) < images:
                archive.extract(member, parent / "cifar10", filter="data")
            if member.name.startswith("test/"):
                break
    return parent / "cifar10"
