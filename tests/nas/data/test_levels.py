"""One scale for all images of a data set, whatever their numbers; and what transparency is laid on."""

from __future__ import annotations

import numpy as np
import pytest

from nas.data.levels import BLACK, GREY, WHITE, Levels, Seen, extremes


def levels_of(*arrays: np.ndarray) -> Levels:
    return Levels.of(map(extremes, arrays))


def ramp(low: float, high: float, dtype: str) -> np.ndarray:
    return np.linspace(low, high, 64).reshape(8, 8).astype(dtype)


@pytest.mark.parametrize(
    ("high", "white"), [(200, 255), (1000, 1023), (4095, 4095), (9000, 16383), (40000, 65535), (65535, 65535)]
)
def test_the_bits_that_are_used_fill_the_range(high: int, white: float) -> None:
    levels = levels_of(ramp(0, high / 3, "uint16"), ramp(0, high, "uint16"))
    assert levels.integers == (0, white)
    assert levels.to_grey(np.array([[white]], dtype="uint16")) == 255


@pytest.mark.parametrize(
    ("low", "high", "dtype", "expected"),
    [
        (-1024, 3071, "int32", (-1024, 3071)),
        (0, 5_000_000, "int32", (0, 5_000_000)),
        (0, 0.9, "float32", (0, 1)),
        (0, 1.004, "float32", (0, 1)),
        (-0.8, 0.9, "float32", (-1, 1)),
        (0, 250, "float32", (0, 255)),
        (270, 310, "float32", (270, 310)),
        (0, 0.01, "float32", (0, 0.01)),
        (-3, 7, "float32", (-3, 7)),
        (5, 5, "float32", (5, 6)),
    ],
)
def test_numbers_of_other_scales(low: float, high: float, dtype: str, expected: tuple[float, float]) -> None:
    levels = levels_of(ramp(low, high, dtype))
    assert (levels.integers if dtype == "int32" else levels.floats) == pytest.approx(expected)


def test_an_image_is_scaled_like_all_others() -> None:
    dark, bright = ramp(0, 0.2, "float32"), ramp(0, 1.004, "float32")
    levels = levels_of(dark, bright)
    assert levels.to_grey(dark).max() == 51
    assert levels.to_grey(bright).max() == 255


@pytest.mark.parametrize("hole", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_no_number_spoils_one_pixel(hole: float) -> None:
    image = ramp(0.5, 0.9, "float32")
    image[0, 0] = hole
    levels = levels_of(image)
    assert (levels.floats, levels.holes) == ((0, 1), 1)
    grey = levels.to_grey(image)
    assert grey[0, 0] == (255 if hole == np.inf else 0)
    assert grey.ravel()[1:].min() > 120


def test_an_image_without_any_number() -> None:
    levels = levels_of(np.full((4, 4), np.nan, dtype="float32"))
    assert (levels.to_grey(np.full((4, 4), np.nan)) == 0).all()


def test_a_hot_pixel_does_not_set_the_scale() -> None:
    image = ramp(0, 4000, "uint16").repeat(8, axis=0).repeat(8, axis=1)
    image[5, 5] = 65535
    assert levels_of(image).integers == (0, 4095)


@pytest.mark.parametrize(
    ("shades", "background"),
    [
        ([0.2, 0.5, 0.8], WHITE), ([0.0, 0.1], WHITE), ([1.0, 0.95, 1.0], BLACK), ([1.0, 0.5, 0.6], BLACK),
        ([1.0, 0.0, 1.0, 0.02], GREY), ([0.5] * 40 + [1.0], WHITE),
    ],
)  # fmt: skip
def test_white_is_not_laid_on_white(shades: list[float], background: int) -> None:
    assert Levels.of(Seen(shade=shade) for shade in shades).background == background


def test_levels_are_kept_as_text() -> None:
    levels = levels_of(ramp(0, 4000, "uint16"), ramp(-1, 1, "float32"))
    assert Levels.from_json(levels.to_json()) == levels
    assert Levels.from_json(Levels().to_json()) == Levels()


def test_only_what_was_read_otherwise_before_is_marked() -> None:
    assert levels_of(ramp(0, 60000, "uint16")).mark == ""
    marks = [levels_of(ramp(0, 4000, "uint16")).mark, levels_of(ramp(0, 0.9, "float32")).mark,
             Levels.of([Seen(shade=1.0)]).mark]  # fmt: skip
    assert "" not in marks
    assert len(set(marks)) == 3
