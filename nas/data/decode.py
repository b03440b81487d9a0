"""One image file to a square uint8 RGB array, whatever its mode, depth and orientation."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError)
"""What Pillow raises on files that are not, or not wholly, images."""


def short_side(path: Path) -> int:
    """The shorter side in pixels, from the file's header. Raises one of UNREADABLE."""
    with Image.open(path) as image:
        return min(image.size)


def decode_square(data: bytes, size: int) -> NDArray[np.uint8]:
    """The file's bytes as (size, size, 3) uint8: short side resized to `size`, centre cropped.

    Orientation tags are obeyed, transparent pixels are laid on white, 16-bit grey is scaled to 8, and of several
    frames the first is taken. Raises one of UNREADABLE.
    """
    with Image.open(io.BytesIO(data)) as image:
        # A JPEG may be decoded at a half, a quarter or an eighth; at least twice the size is left to the resize.
        image.draft(None, (2 * size, 2 * size))
        rgb = to_rgb(ImageOps.exif_transpose(image))
    side = min(rgb.size)
    left, top = (rgb.width - side) // 2, (rgb.height - side) // 2
    box = (left, top, left + side, top + side)
    square = rgb.crop(box) if side == size else rgb.resize((size, size), Image.Resampling.BICUBIC, box=box)
    return np.asarray(square, dtype=np.uint8)


def to_rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as RGB; transparency is laid on white."""
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = _to_grey(image)
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def _to_grey(image: Image.Image) -> Image.Image:
    """Deep grey as 8-bit grey. Integers are taken as 16-bit unless beyond it, floats as 0..1 unless beyond it."""
    values = np.asarray(image, dtype=np.float64)
    highest = float(values.max(initial=0.0))
    scales = (1.0, 255.0, 65535.0, 2.0**32 - 1) if image.mode == "F" else (65535.0, 2.0**32 - 1)
    white = next((scale for scale in scales if highest <= scale), highest)
    return Image.fromarray(np.clip(np.rint(values * (255.0 / white)), 0, 255).astype(np.uint8))
