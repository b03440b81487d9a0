"""Images as numbers, of any number of channels: .npy files, and TIFFs with channels that Pillow leaves out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from nas.data.levels import Levels, Seen, extremes

NPY = ".npy"
_NPY_BEGINS = b"\x93NUMPY"
_TIFF_BEGINS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BITS, _SAMPLES, _EXTRA = 258, 277, 338  # tags of a TIFF: bits, channels, and what those beyond the colours are
_UNSPECIFIED = 0  # an extra channel that is no transparency
Values = NDArray[Any]


class NotBandsError(Exception):
    """Bytes that hold no image of numbers."""


class NoTiffReaderError(Exception):
    """A TIFF that only tifffile could read, which is not installed or lacks what decompresses it."""


@dataclass(frozen=True)
class Bands:
    """A file's numbers. shape: (H, W, C), known from its header; read: gives them in that shape, raises NotBandsError
    and NoTiffReaderError."""

    shape: tuple[int, int, int]
    read: Callable[[], Values]


def begins_as_array(head: bytes) -> bool:
    """Whether a file with these first bytes is a .npy file."""
    return head.startswith(_NPY_BEGINS)


def begins_as_tiff(head: bytes) -> bool:
    """Whether a file with these first bytes is a TIFF."""
    return head.startswith(_TIFF_BEGINS)


def is_shown_in_part(image: Image.Image) -> bool:
    """Whether a file has channels that Pillow leaves out or takes for transparency without being told so, or colours of
    more than the 8 bits that it gives."""
    tags = getattr(image, "tag_v2", None)  # of TIFFs alone
    if tags is None:
        return False
    if len(image.getbands()) > 1 and max(tags.get(_BITS, (8,))) > 8:
        return True
    return _UNSPECIFIED in tags.get(_EXTRA, ()) or tags.get(_SAMPLES, 1) > len(image.getbands())


def open_array(file: BinaryIO) -> Bands:
    """A .npy file of two axes, or of three: that of channels is the last, or else the first.

    It is the first where only the last two axes are alike, and, where no two are, where the first is the shorter.

    Raises NotBandsError: other axes, objects or text in place of numbers, fewer bytes than the header says.
    """
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
    except (ValueError, EOFError):
        raise NotBandsError from None
    needed = file.tell() + math.prod(shape) * dtype.itemsize
    if dtype.kind not in "buif" or len(shape) not in (2, 3) or min(shape) < 1 or file.seek(0, 2) < needed:
        raise NotBandsError
    first = len(shape) == 3 and shape[0] != shape[1] and (shape[1] == shape[2] or shape[0] < shape[2])

    def values() -> Values:
        file.seek(0)
        array: Values = np.load(file, allow_pickle=False)
        return np.moveaxis(array, 0, 2) if first else array.reshape(*array.shape[:2], -1)

    rows, columns, channels = (*shape[1:], shape[0]) if first else (*shape, 1)[:3]
    return Bands((rows, columns, channels), values)


def open_tiff(file: BinaryIO) -> Bands:
    """The first picture of a TIFF, by tifffile. Raises NotBandsError and NoTiffReaderError."""
    try:
        import tifffile  # noqa: PLC0415  an extra
    except ImportError:
        raise NoTiffReaderError from None
    try:
        logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it says of odd files, the reason says
        page = tifffile.TiffFile(file).pages.first
        axes, shape = page.axes, dict(zip(page.axes, page.shape, strict=True))
    except Exception:  # it raises nearly anything on hostile bytes
        raise NotBandsError from None
    if not {"Y", "X"} <= set(axes) <= {"Y", "X", "S"} or page.dtype is None or page.dtype.kind not in "buif":
        raise NotBandsError

    def values() -> Values:
        try:
            array = np.asarray(page.asarray())
        except Exception as error:
            raise (NoTiffReaderError if "imagecodecs" in str(error) else NotBandsError) from None
        return array.reshape(*array.shape, 1) if "S" not in axes else np.moveaxis(array, axes.index("S"), 2)

    return Bands((shape["Y"], shape["X"], shape.get("S", 1)), values)


def seen_of(values: Values) -> Seen:
    """What an image (H, W, C) adds to the levels of its data set."""
    if values.dtype in (np.uint8, np.bool_):
        return Seen()
    channels = [extremes(values[..., channel]) for channel in range(values.shape[2])]
    return channels[0] if len(channels) == 1 else Seen(channels=tuple(channels))


def planes_of(values: Values, levels: Levels) -> list[Image.Image]:
    """The channels of an image (H, W, C), each as 8-bit grey; true of truth values is white.

    Where the levels have none for several channels, as those of photographs, they are the image's own.
    """
    planes = [values[..., channel] for channel in range(values.shape[2])]
    if values.dtype == np.bool_:
        planes = [plane * np.uint8(255) for plane in planes]
    elif values.dtype != np.uint8:
        ranges = [None] if len(planes) == 1 else levels.ranges or Levels.of([seen_of(values)]).ranges
        planes = [levels.to_grey(plane, own) for plane, own in zip(planes, ranges, strict=True)]
    return [Image.fromarray(np.ascontiguousarray(plane)) for plane in planes]
