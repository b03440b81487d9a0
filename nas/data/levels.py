"""Which values are black and white where files do not say it, and what transparency is laid on: once for a data set."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.json_text import parse_json

WHITE, BLACK, GREY = 255, 0, 128
_INTEGERS = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # the whites of 8, 10, 12, 14 and 16 bits
_SIXTEEN_BITS = (0.0, 65535.0)
_AT_ONCE = 1 << 20  # numbers that are scaled, or looked at, at once
_BEYOND = 1.05  # a value so far above white is a highlight, not another scale
_EIGHTH = 1 / 8
_TAIL = 0.001  # the share of an image's pixels that may be outliers, at either end
_NEARLY_WHITE, _NEARLY_BLACK = 0.9, 0.1
_FEW = 0.05  # a smaller share of a data set's transparent images does not decide what all are laid on


@dataclass(frozen=True)
class Seen:
    """What one image adds to the choice of levels.

    low, high: of its numbers, but for outliers; None where it has none, or only 8-bit ones. floats: whether they are
    floats. holes: whether some are no numbers. shade: the mean brightness in 0..1 of what can be seen of a transparent
    image, None of others. channels: the same of each channel, in place of the above, of an image of several channels of
    more than 8 bits.
    """

    low: float | None = None
    high: float | None = None
    floats: bool = False
    holes: bool = False
    shade: float | None = None
    channels: tuple[Seen, ...] = ()


@dataclass(frozen=True)
class Levels:
    """How the images of a data set are read where their files leave it open.

    integers, floats: the values that become black and white in images of more than 8 bits, and in those of floats.
    ranges: these values for each channel, of images of several channels of more than 8 bits; () where there are none.
    background: the grey, 0..255, that transparency is laid on. deep, holes, transparent: how many images have more than
    8 bits, values that are no numbers (they become black), transparent pixels.
    """

    integers: tuple[float, float] | None = None
    floats: tuple[float, float] | None = None
    background: int = WHITE
    deep: int = 0
    holes: int = 0
    transparent: int = 0
    ranges: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, images: Iterable[Seen]) -> Levels:
        """One choice for all images of a data set."""
        images = list(images)
        deep = [seen for seen in images if _is_deep(seen)]
        several = [seen.channels for seen in images if seen.channels]
        shades = [seen.shade for seen in images if seen.shade is not None]
        return cls(
            integers=_range_of([seen for seen in deep if not seen.floats], _integer_range),
            floats=_range_of([seen for seen in deep if seen.floats], _float_range),
            ranges=_ranges_of(several),
            background=_background(shades),
            deep=len(deep) + len(several),
            holes=sum(seen.holes or any(each.holes for each in seen.channels) for seen in images),
            transparent=len(shades),
        )

    @property
    def mark(self) -> str:
        """What tells images read so from those that every version reads alike; "" where nothing was left open."""
        parts = []
        if self.integers not in (None, _SIXTEEN_BITS):
            parts.append(f"integers {self.integers}")
        if self.floats is not None:
            parts.append(f"floats {self.floats}")
        if self.ranges:
            parts.append(f"channels {self.ranges}")
        if self.background != WHITE:
            parts.append(f"background {self.background}")
        return ", ".join(parts)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Levels:
        """The inverse of `to_json`. Raises ValueError where the text is no such thing."""
        value = parse_json(text)
        try:
            for name in ("integers", "floats"):
                value[name] = None if value[name] is None else tuple(value[name])
            value["ranges"] = tuple(map(tuple, value["ranges"]))
            levels = cls(**value)
            every = [each for each in (levels.integers, levels.floats, *levels.ranges) if each is not None]
            sound = all(-math.inf < low < high < math.inf for low, high in every) and levels.background in range(256)
        except (KeyError, TypeError, ValueError):
            sound = False
        if not sound:
            raise ValueError("no levels, which are ranges of numbers and a grey, as this version writes them")
        return levels

    def to_grey(self, values: NDArray[Any], own: tuple[float, float] | None = None) -> NDArray[np.uint8]:
        """Numbers (H, W) of any kind as 8-bit grey of the same shape; what is no number is black.

        own: the values that become black and white in place of those of all images.
        """
        low, high = own or (self.floats if values.dtype.kind == "f" else self.integers) or _SIXTEEN_BITS
        grey = np.empty(values.shape, dtype=np.uint8)
        step = max(1, _AT_ONCE // max(1, values.shape[1]))
        for start in range(0, len(values), step):
            scaled = (values[start : start + step].astype(np.float64) - low) * (255.0 / (high - low))
            grey[start : start + step] = np.clip(np.rint(np.nan_to_num(scaled, nan=0.0)), 0, 255)
        return grey


def extremes(values: NDArray[Any]) -> Seen:
    """What an image's numbers, of any shape, add to the choice."""
    floats = values.dtype.kind == "f"
    holes = floats and not np.isfinite(values).all()
    sound = values.ravel()[:: max(1, values.size // _AT_ONCE)]
    if holes:
        sound = sound[np.isfinite(sound)]
    if not len(sound):
        return Seen(floats=floats, holes=holes)
    tail = int(_TAIL * len(sound))
    ordered = np.partition(sound, (tail, len(sound) - 1 - tail))
    return Seen(float(ordered[tail]), float(ordered[len(sound) - 1 - tail]), floats, holes)


def _is_deep(seen: Seen) -> bool:
    return seen.low is not None or seen.holes


def _ranges_of(images: list[tuple[Seen, ...]]) -> tuple[tuple[float, float], ...]:
    """Black and white of each channel, of images that have equally many."""
    ranges = []
    for channel in zip(*images, strict=True):
        choose = _float_range if any(seen.floats for seen in channel) else _integer_range
        ranges.append(_range_of(list(channel), choose) or _SIXTEEN_BITS)
    return tuple(ranges)


def _range_of(images: list[Seen], choose: Callable[[float, float], tuple[float, float]]) -> tuple[float, float] | None:
    """Black and white of the images of one kind; None where there is none."""
    lows = [seen.low for seen in images if seen.low is not None]
    highs = [seen.high for seen in images if seen.high is not None]
    if not images:
        return None
    low, high = choose(min(lows, default=0.0), max(highs, default=0.0))
    return low, high if high > low else low + 1


def _integer_range(low: float, high: float) -> tuple[float, float]:
    """The bits that the numbers need; all of their range where it is none of a camera's."""
    white = next((white for white in _INTEGERS if high <= white), None)
    return (low, high) if low < 0 or white is None else (0.0, white)


def _float_range(low: float, high: float) -> tuple[float, float]:
    """0..1, -1..1 or 0..255 where the numbers fill a good part of that; else all of their range."""
    if high <= _EIGHTH:
        return low, high
    if low >= 0 and high <= _BEYOND:
        return 0.0, 1.0
    if -_BEYOND <= low < 0 and high <= _BEYOND:
        return -1.0, 1.0
    return (0.0, 255.0) if low >= 0 and 255 * _EIGHTH < high <= 255 * _BEYOND else (low, high)


def _background(shades: list[float]) -> int:
    """White, unless much that is drawn is white itself: then black, or grey where as much is black."""
    light, dark = (sum(map(test, shades)) > _FEW * len(shades) for test in (_is_light, _is_dark))
    if not light:
        return WHITE
    return GREY if dark else BLACK


def _is_light(shade: float) -> bool:
    return shade > _NEARLY_WHITE


def _is_dark(shade: float) -> bool:
    return shade < _NEARLY_BLACK
