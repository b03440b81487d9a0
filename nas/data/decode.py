"""One image file to a square uint8 array, RGB, grey or of more channels, whatever its mode, depth and orientation."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from nas.data.bands import (
    NPY,
    Bands,
    NotBandsError,
    NoTiffReaderError,
    begins_as_array,
    begins_as_tiff,
    is_shown_in_part,
    open_array,
    open_tiff,
    planes_of,
    seen_of,
)
from nas.data.levels import Levels, Seen, extremes

CROPS = ("center", "pad", "stretch")
MOST_PIXELS = 100_000_000
"""Images of more, or of half as many where they are transparent, are decoded only where that can be done at a reduced
scale, as of a JPEG."""
_LARGE = 25_000_000  # so many pixels are decoded by one thread at a time
_ALONE = threading.RLock()
_SAMPLE = (64, 64)  # pixels of an image whose transparency is looked at
_HEAD = 16  # bytes that tell the kind of a file
_NOT_DECODED = frozenset({"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG", "IPTC"})
"""Formats that Pillow knows by name, but hands to other programs or does not read."""


T = TypeVar("T")


class Reason(IntEnum):
    """Why bytes are no image that can be used; the value stands in caches."""

    NOT_AN_IMAGE = 2
    DAMAGED = 3
    EMPTY = 4
    TOO_LARGE = 5
    NEEDS_READER = 6
    OTHER_CHANNELS = 7

    @property
    def words(self) -> str:
        return {
            Reason.NOT_AN_IMAGE: "not an image",
            Reason.DAMAGED: "damaged",
            Reason.EMPTY: "empty",
            Reason.TOO_LARGE: f"too large: over {MOST_PIXELS // 10**6} million pixels, or half of that transparent",
            Reason.NEEDS_READER: "a TIFF that Pillow does not read whole (pip install tifffile imagecodecs)",
            Reason.OTHER_CHANNELS: "of another number of channels",
        }[self]


class UnreadableError(Exception):
    """Bytes that are no image, or not wholly; the same at every try."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.words)
        self.reason = reason


@dataclass(frozen=True)
class Frame:
    """What a file's header says. side: of the square that is made of it, in pixels; channels: 1, 3, or as many as its
    numbers have; pages: of a TIFF, 1 of others."""

    side: int
    channels: int
    pages: int = 1


@dataclass(frozen=True)
class Reading:
    """How the images of a data set became squares, for others to be read likewise; see decode_square."""

    size: int
    channels: int
    crop: str = CROPS[0]
    levels: Levels = field(default_factory=Levels)

    def square(self, data: bytes) -> NDArray[np.uint8]:
        """A file's bytes as (size, size, channels) uint8. Raises UnreadableError."""
        return decode_square(data, self.size, self.levels, self.crop, channels=self.channels)


@cache
def suffixes() -> frozenset[str]:
    """The suffixes, in small letters and with their dot, of the files that are decoded: arrays, and what this Pillow
    knows."""
    Image.init()
    known = (
        suffix
        for suffix, kind in Image.registered_extensions().items()
        if kind in Image.OPEN and kind not in _NOT_DECODED
    )
    return frozenset({NPY, *known})


def begins_as_image(head: bytes) -> bool:
    """Whether a file with these first 16 bytes is an array, or in a format that this Pillow knows and decodes."""
    Image.init()
    head = head.ljust(_HEAD, b"\0")  # which some formats count on
    known = (accept for kind, (_, accept) in Image.OPEN.items() if kind not in _NOT_DECODED and accept is not None)
    return begins_as_array(head) or any(accept(head) is True for accept in known)


def frame_of(path: Path, crop: str = "center") -> Frame:
    """What the header of a file says; padded squares have the longer side, others the shorter.

    Raises OSError or UnreadableError.
    """
    of_sides = max if crop == "pad" else min

    def of_picture(image: Image.Image) -> Frame:
        pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
        return Frame(of_sides(image.size), 1 if image.mode in ("1", "L") or _is_deep(image) else 3, pages)

    with path.open("rb") as file:
        return _guarded(file, of_picture, lambda bands: Frame(of_sides(bands.shape[:2]), bands.shape[2]))


def look(file: BinaryIO, channels: int = 3) -> Seen:
    """What a file adds to the levels of its data set, whose images have so many channels; nothing where they make no
    difference to it, for which its header is enough. Raises UnreadableError.
    """
    return _guarded(
        file, _seen, lambda bands: seen_of(_numbers(bands)) if _can_become(bands.shape[2], channels) else Seen()
    )


def decode_square(
    data: bytes, size: int, levels: Levels | None = None, crop: str = "center", *, channels: int = 3
) -> NDArray[np.uint8]:
    """The file's bytes as (size, size, channels) uint8: RGB (3), grey (1), or as they are.

    crop: of CROPS. `center` takes the middle of the longer side, `pad` adds black beside the shorter, `stretch` gives
    both sides the same length. Orientation tags are obeyed, numbers of more than 8 bits are scaled and transparency
    laid on a background by the `levels` (None: those of this image alone), and of several frames the first is taken.
    Raises UnreadableError, also where an image has neither 1 nor 3 channels and not so many.
    """

    def square(image: Image.Image) -> NDArray[np.uint8]:
        if channels not in (1, 3):
            raise UnreadableError(Reason.OTHER_CHANNELS)
        # A JPEG may be decoded at a half, a quarter or an eighth; at least twice the size is left to the resize.
        whole = image.width * image.height
        image.draft(None, (2 * size, 2 * size))
        with _room_for(image, whole):
            chosen = Levels.of([_seen(image)]) if levels is None else levels
            ImageOps.exif_transpose(image, in_place=True)
            return _colours(_fit(to_plain(image, chosen), size, crop), channels)

    def square_of_bands(bands: Bands) -> NDArray[np.uint8]:
        if not _can_become(bands.shape[2], channels):
            raise UnreadableError(Reason.OTHER_CHANNELS)
        values = _numbers(bands)
        chosen = Levels.of([seen_of(values)]) if levels is None else levels
        planes = [_fit(plane, size, crop) for plane in planes_of(values, chosen)]
        if channels in (1, 3):
            return _colours(planes[0] if len(planes) == 1 else Image.merge("RGB", planes), channels)
        return np.stack([np.asarray(plane) for plane in planes], axis=2)

    if not data:
        raise UnreadableError(Reason.EMPTY)
    return _guarded(io.BytesIO(data), square, square_of_bands)


def to_plain(image: Image.Image, levels: Levels) -> Image.Image:
    """Any of Pillow's modes as RGB, or as 8-bit grey where it has no colours, which takes a quarter of the memory."""
    if _is_deep(image):
        image = Image.fromarray(levels.to_grey(np.asarray(image)))
    if _may_be_transparent(image):
        grey = levels.background
        image = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (grey, grey, grey, 255)), image)
    if image.mode in ("RGB", "L"):
        return image
    return image.convert("L" if image.mode == "1" else "RGB")


def _colours(plain: Image.Image, channels: int) -> NDArray[np.uint8]:
    """(H, W, 3), or (H, W, 1) of grey."""
    return np.asarray(plain.convert("L"))[..., None] if channels == 1 else np.asarray(plain.convert("RGB"))


def _fit(plain: Image.Image, size: int, crop: str) -> Image.Image:
    if crop == "pad":
        wide, high = (max(1, round(size * side / max(plain.size))) for side in plain.size)
        square = Image.new(plain.mode, (size, size))
        square.paste(plain.resize((wide, high), Image.Resampling.BICUBIC), ((size - wide) // 2, (size - high) // 2))
        return square
    if crop == "stretch":
        return plain.resize((size, size), Image.Resampling.BICUBIC)
    side = min(plain.size)
    left, top = (plain.width - side) // 2, (plain.height - side) // 2
    box = (left, top, left + side, top + side)
    return plain.crop(box) if side == size else plain.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _seen(image: Image.Image) -> Seen:
    if _is_deep(image):
        with _room_for(image):
            return extremes(np.asarray(image))
    if not _may_be_transparent(image):
        return Seen()
    with _room_for(image):
        sample = image.resize(_SAMPLE, Image.Resampling.NEAREST).convert("RGBA")
    alpha = np.asarray(sample.getchannel("A"), dtype=np.float64)
    if alpha.min() == 255 or not alpha.any():
        return Seen()
    grey = np.asarray(sample.convert("RGB").convert("L"), dtype=np.float64)
    return Seen(shade=float((grey * alpha).sum() / alpha.sum() / 255))


def _is_deep(image: Image.Image) -> bool:
    return image.mode in ("F", "I") or image.mode.startswith("I;16")


def _may_be_transparent(image: Image.Image) -> bool:
    return "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "La", "RGBa")


def _guarded(file: BinaryIO, of: Callable[[Image.Image], T], of_bands: Callable[[Bands], T]) -> T:
    """What is made of a file: of a picture, or of an image of numbers. Raises UnreadableError."""
    head = file.read(_HEAD)
    file.seek(0)
    try:
        if begins_as_array(head):
            return of_bands(open_array(file))
        try:
            with Image.open(file) as image:
                if not is_shown_in_part(image):
                    return of(image)
        except UnidentifiedImageError:
            if not begins_as_tiff(head):
                raise
        file.seek(0)
        return of_bands(open_tiff(file))
    except (MemoryError, UnreadableError):
        raise
    except Exception as error:  # Pillow raises nearly anything on hostile bytes
        raise UnreadableError(_reason_of(error)) from error


def _reason_of(error: Exception) -> Reason:
    if isinstance(error, Image.DecompressionBombError):
        return Reason.TOO_LARGE
    if isinstance(error, NoTiffReaderError):
        return Reason.NEEDS_READER
    return Reason.NOT_AN_IMAGE if isinstance(error, UnidentifiedImageError | NotBandsError) else Reason.DAMAGED


def _can_become(channels: int, wanted: int) -> bool:
    """Whether so many channels can be made of those an image has: grey and colours of each other."""
    return channels == wanted or {channels, wanted} <= {1, 3}


def _numbers(bands: Bands) -> NDArray[Any]:
    """All numbers of an image; raises UnreadableError where they are too many."""
    numbers = math.prod(bands.shape)
    if numbers > MOST_PIXELS:
        raise UnreadableError(Reason.TOO_LARGE)
    with _ALONE if numbers > _LARGE else nullcontext():
        return bands.read()


@contextmanager
def _room_for(image: Image.Image, whole: int = 0) -> Iterator[None]:
    """Wait until no other thread decodes a large image, where this is one. Raises UnreadableError where too large.

    whole: its pixels in the file, where it will be decoded at a reduced scale.
    """
    pixels = image.width * image.height * (2 if _may_be_transparent(image) else 1)
    if pixels > MOST_PIXELS:
        raise UnreadableError(Reason.TOO_LARGE)
    with _ALONE if max(pixels, whole) > _LARGE else nullcontext():
        yield
