"""Images of noise, which cost a training what photographs cost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_noise(folder: Path, size: int, each: int) -> Path:
    """An image folder of ten classes of noise, `each` in train/ and a tenth of it in val/; returns the folder."""
    rng = np.random.default_rng(0)
    for split, count in (("train", each), ("val", max(2, each // 10))):
        for label in range(10):
            place = folder / split / f"class{label}"
            place.mkdir(parents=True)
            for i in range(count):
                Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8)).save(place / f"{i}.png")
    return folder
