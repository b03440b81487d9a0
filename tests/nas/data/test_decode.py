"""Every kind of image file reads as the RGB a viewer would show."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from nas.data.decode import Frame, Reason, UnreadableError, begins_as_image, decode_square, frame_of, look, suffixes
from nas.data.levels import Levels

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's remarks on odd and large images

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def grey_ramp(dtype: str, white: float) -> Image.Image:
    values = np.linspace(0, white, 64).reshape(8, 8)
    return Image.fromarray(values.astype(dtype))


RAMP = np.rint(np.linspace(0, 255, 64)).reshape(8, 8)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "PPM"])
def test_rgb_is_kept_to_the_bit(kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    assert np.array_equal(decode_square(encoded(Image.fromarray(pixels), kind), 8), pixels)


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (grey_ramp("uint8", 255), "PNG"),
        (grey_ramp("uint16", 65535), "PNG"),
        (grey_ramp("uint16", 65535), "TIFF"),
        (grey_ramp("int32", 65535), "TIFF"),
        (grey_ramp("float32", 1.0), "TIFF"),
        (grey_ramp("float32", 255.0), "TIFF"),
    ],
    ids=["8-bit", "16-bit png", "16-bit tiff", "32-bit tiff", "float 0..1", "float 0..255"],
)
def test_grey_of_any_depth_fills_the_same_levels(image: Image.Image, kind: str) -> None:
    pixels = decode_square(encoded(image, kind), 8).astype(float)
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])
    assert np.abs(pixels[..., 0] - RAMP).max() <= 1


def test_dark_16_bit_grey_stays_dark_among_brighter_images() -> None:
    image = Image.fromarray(np.full((8, 8), 2570, dtype=np.uint16))
    assert (decode_square(encoded(image, "PNG"), 8, Levels(integers=(0, 65535))) == 10).all()


def test_bilevel() -> None:
    pixels = decode_square(encoded(Image.fromarray(RAMP > 127), "PNG"), 8)
    assert np.array_equal(pixels[..., 0], np.where(RAMP > 127, 255, 0))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_laid_on_white(mode: str) -> None:
    image = Image.new(mode, (8, 8), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    assert (decode_square(encoded(image, "PNG"), 8) == 255).all()
    half = Image.new(mode, (8, 8), (0, 0, 0, 128) if mode == "RGBA" else (0, 128))
    assert np.abs(decode_square(encoded(half, "PNG"), 8).astype(int) - 127).max() <= 1


def test_palette_with_and_without_transparency() -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, *RED, *BLUE])
    assert (decode_square(encoded(image, "PNG"), 8) == RED).all()
    assert (decode_square(encoded(image, "PNG", transparency=1), 8) == 255).all()
    assert (decode_square(encoded(image, "PNG", transparency=0), 8) == RED).all()


def test_rgb_with_one_transparent_colour() -> None:
    image = Image.new("RGB", (8, 8), RED)
    assert (decode_square(encoded(image, "PNG", transparency=RED), 8) == 255).all()


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    pixels = decode_square(encoded(image, "JPEG", quality=95), 8).astype(int)
    assert np.abs(pixels - RED).max() < 20


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert (decode_square(data, 8) == RED).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_tags_are_obeyed(orientation: int) -> None:
    upright = np.zeros((8, 8, 3), dtype=np.uint8)
    upright[:4, :] = RED
    upright[:4, :4] = BLUE
    # What a camera stores so that the tagged turn gives the upright picture again.
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(undo[orientation](upright)))
    assert np.array_equal(decode_square(encoded(stored, "PNG", exif=exif), 8), upright)


@pytest.mark.parametrize(("width", "height"), [(40, 20), (20, 40)])
def test_oblong_images_are_cropped_in_the_middle(width: int, height: int) -> None:
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    along = slice((max(width, height) - 20) // 2, (max(width, height) + 20) // 2)
    pixels[(slice(None), along) if width > height else along] = RED
    assert (decode_square(encoded(Image.fromarray(pixels), "PNG"), 20) == RED).all()
    small = decode_square(encoded(Image.fromarray(pixels), "PNG"), 10)
    assert small.shape == (10, 10, 3)
    assert (small[2:-2, 2:-2] == RED).all()  # the filter sees a little beyond the crop


def test_shrinking_averages_rather_than_picks() -> None:
    checker = np.indices((64, 64)).sum(axis=0) % 2 * 255
    pixels = decode_square(encoded(Image.fromarray(checker.astype(np.uint8)), "PNG"), 8)
    assert np.abs(pixels.astype(int) - 127).max() <= 12


@pytest.mark.parametrize("size", [16, 40, 100])
def test_a_jpeg_read_at_a_reduced_scale_looks_the_same(size: int) -> None:
    place = np.indices((400, 400)).sum(axis=0) / 798 * 255
    smooth = Image.fromarray(place.astype(np.uint8)).convert("RGB")
    jpeg = decode_square(encoded(smooth, "JPEG", quality=95), size).astype(int)
    png = decode_square(encoded(smooth, "PNG"), size).astype(int)
    assert np.abs(jpeg - png).max() <= 4


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b"not an image", Reason.NOT_AN_IMAGE),
        (encoded(Image.new("RGB", (64, 64)), "PNG")[:-40], Reason.DAMAGED),
        (encoded(Image.new("1", (14000, 14000)), "PNG"), Reason.TOO_LARGE),  # beyond Pillow's limit
        (encoded(Image.new("1", (11000, 11000)), "PNG"), Reason.TOO_LARGE),  # beyond ours
        (encoded(Image.new("LA", (8000, 8000)), "PNG", compress_level=1), Reason.TOO_LARGE),
    ],
    ids=["empty", "text", "cut", "196 million pixels", "121 million pixels", "64 million of them transparent"],
)
def test_what_is_no_whole_image_raises_with_the_reason(data: bytes, reason: Reason) -> None:
    with pytest.raises(UnreadableError) as error:
        decode_square(data, 8)
    assert error.value.reason == reason


def test_a_large_jpeg_is_decoded_small() -> None:
    image = Image.new("L", (12000, 9000), 200)
    assert np.abs(decode_square(encoded(image, "JPEG"), 16).astype(int) - 200).max() <= 1


@pytest.mark.parametrize("at", [3, 9, 40, 100])
def test_hostile_bytes_raise_nothing_else(at: int) -> None:
    """Whatever Pillow raises, and it raises nearly anything, is told as one error."""
    sound = [
        encoded(Image.new("RGB", (9, 9), RED), kind) for kind in ("PNG", "TIFF", "GIF", "WEBP", "BMP", "PPM", "TGA")
    ]
    for data in sound:
        for junk in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"%n%s"):
            with contextlib.suppress(UnreadableError):
                assert decode_square(data[:at] + junk + data[at + 4 :], 4).shape == (4, 4, 3)


def wide() -> Image.Image:
    """Red at the left, blue in the middle half, red at the right; 40 by 20 pixels."""
    image = Image.new("RGB", (40, 20), RED)
    image.paste(BLUE, (10, 0, 30, 20))
    return image


def test_crops() -> None:
    data = encoded(wide(), "PNG")
    assert (decode_square(data, 20, crop="center") == BLUE).all()
    stretched = decode_square(data, 40, crop="stretch")
    assert (stretched[:, :8] == RED).all()
    assert (stretched[:, 16:24] == BLUE).all()
    padded = decode_square(data, 40, crop="pad")
    assert (padded[:10] == 0).all()
    assert (padded[30:] == 0).all()
    assert np.array_equal(padded[10:30], np.asarray(wide()))


@pytest.mark.parametrize(("shape", "crop"), [((1, 300), "pad"), ((300, 1), "pad"), ((1, 300), "stretch")])
def test_a_line_of_pixels_can_be_cropped(shape: tuple[int, int], crop: str) -> None:
    assert decode_square(encoded(Image.new("RGB", shape, RED), "PNG"), 8, crop=crop).max() == 255


@pytest.mark.parametrize(("crop", "side"), [("center", 20), ("stretch", 20), ("pad", 40)])
def test_the_side_of_the_square(tmp_path: Path, crop: str, side: int) -> None:
    wide().save(tmp_path / "a.png")
    assert frame_of(tmp_path / "a.png", crop) == Frame(side, 3)


def test_an_image_adds_to_the_levels_only_what_is_left_open() -> None:
    assert look(io.BytesIO(encoded(wide(), "PNG"))) == look(io.BytesIO(encoded(wide(), "JPEG")))
    assert Levels.of([look(io.BytesIO(encoded(wide(), "PNG")))]).mark == ""
    opaque = wide()
    opaque.putalpha(255)
    assert Levels.of([look(io.BytesIO(encoded(opaque, "PNG")))]).transparent == 0
    seen = look(io.BytesIO(encoded(grey_ramp("uint16", 4095), "TIFF")))
    assert (seen.low, seen.high) == (0, 4095)


def test_the_header_is_enough_where_nothing_is_left_open() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (400, 400, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG", "BMP"):
        file = io.BytesIO(encoded(noise, kind))
        look(file)
        assert file.tell() < len(file.getvalue()) / 2, kind


def test_formats_are_those_that_pillow_decodes() -> None:
    assert {".jpg", ".jfif", ".png", ".avif", ".tga", ".qoi", ".jp2", ".pbm"} <= suffixes()
    assert not {".eps", ".pdf", ".mpg", ".h5", ".txt", ""} & suffixes()
    for kind in ("JPEG", "PNG", "AVIF", "WEBP", "TIFF", "BMP"):
        assert begins_as_image(encoded(wide(), kind)[:16]), kind
    assert not any(map(begins_as_image, (b"", b"words of a README", b"%!PS-Adobe-3.0 E")))
