"""Where optional data lies that is not part of the project; tests that need it are skipped without it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED = Path(os.environ.get("SCALENAS_SHARED", Path(__file__).parents[2] / "shared"))


def shared_file(*parts: str) -> Path:
    """A file or folder of the shared data; skips the calling test or module where it is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"optional data {'/'.join(parts)} not found; set SCALENAS_SHARED", allow_module_level=True)
    return path
