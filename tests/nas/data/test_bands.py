"""Images of any number of channels keep all of them; what would lose some without a word is refused by its reason."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, TiffImagePlugin

from nas.data.auto_augment import blend, color
from nas.data.dataset import DataError, Dataset
from nas.data.decode import Frame, Reason, UnreadableError, begins_as_image, decode_square, frame_of
from nas.data.levels import Levels
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.training.proxy import ProxyEvaluator
from search_spaces import StageSpec, reference_arch


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def tiff(values: np.ndarray, **how: Any) -> bytes:
    tifffile = pytest.importorskip("tifffile", reason="reads TIFFs of many channels")
    file = io.BytesIO()
    tifffile.imwrite(file, values, **how)
    return file.getvalue()


def numbers(shape: tuple[int, ...], high: int = 255, dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(0).integers(0, high, shape, endpoint=True).astype(dtype)


def data_set(root: Path, *, channels: int, dtype: str = "uint16", per_class: int = 12) -> Path:
    """.npy files of two classes that differ in one channel alone; each channel has a range of its own."""
    rng = np.random.default_rng(1)
    whites = 200 * 4 ** np.arange(channels)
    for label in range(2):
        (root / "ab"[label]).mkdir(parents=True)
        for i in range(per_class):
            shares = rng.random((8, 8, channels))
            shares[..., -1] = 0.25 + 0.5 * label
            np.save(root / "ab"[label] / f"{i}.npy", (shares * whites).astype(dtype))
    return root


def refused(data: bytes, **how: Any) -> Reason:
    with pytest.raises(UnreadableError) as error:
        decode_square(data, 4, **how)
    return error.value.reason


@pytest.mark.parametrize("channels", [2, 4, 13])
@pytest.mark.parametrize("form", ["npy", "npy, channels first", "tiff", "tiff, planes"])
def test_all_channels_are_kept(channels: int, form: str) -> None:
    values = numbers((16, 20, channels))
    first = np.moveaxis(values, 2, 0)
    data = {
        "npy": lambda: npy(values),
        "npy, channels first": lambda: npy(first),
        "tiff": lambda: tiff(values, photometric="minisblack", planarconfig="contig"),
        "tiff, planes": lambda: tiff(first, photometric="minisblack", planarconfig="separate"),
    }[form]()
    assert np.array_equal(decode_square(data, 16, channels=channels), values[:, 2:18])
    assert begins_as_image(data[:16])


@pytest.mark.parametrize("white", [4095, 65535])
def test_colours_of_more_than_8_bits_keep_them(white: int) -> None:
    values = numbers((16, 16, 3), white, "uint16")
    data = tiff(values, photometric="rgb", planarconfig="contig")
    assert np.abs(decode_square(data, 16) - values * (255 / white)).max() <= 0.5


def test_pages_beyond_the_first_are_told(tmp_path: Path) -> None:
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(4):
            pages = [Image.fromarray(numbers((8, 8), 100 + 20 * i)) for _ in range(3)]
            pages[0].save(tmp_path / "data" / label / f"{i}.tif", save_all=True, append_images=pages[1:])
    _, told = opened(tmp_path / "data", tmp_path)
    assert any(
        line.startswith("warning: values: ") and "TIFFs of several pages, of each the first" in line for line in told
    )


def test_infrared_beside_colours_is_not_dropped() -> None:
    values = numbers((16, 16, 4))
    data = tiff(values, photometric="rgb", extrasamples=["unspecified"], planarconfig="contig")
    assert np.array_equal(decode_square(data, 16, channels=4), values)
    assert refused(data) is Reason.OTHER_CHANNELS


def test_transparency_that_is_said_to_be_one_is_still_transparency() -> None:
    values = np.full((16, 16, 4), 9, dtype=np.uint8)
    values[..., 3] = 0
    data = tiff(values, photometric="rgb", extrasamples=["unassalpha"], planarconfig="contig")
    assert (decode_square(data, 16) == 255).all()


def test_without_its_reader_a_tiff_is_left_out_by_that_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    data = tiff(numbers((8, 8, 5)), photometric="minisblack", planarconfig="contig")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert refused(data, channels=5) is Reason.NEEDS_READER
    assert "tifffile" in Reason.NEEDS_READER.words


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.eye(4, dtype=bool), np.eye(4) * 255),
        (np.arange(16, dtype=np.uint8).reshape(4, 4), np.arange(16).reshape(4, 4)),
        (np.arange(16, dtype=np.uint16).reshape(4, 4) * 273, np.arange(16).reshape(4, 4) * 17),
        (np.linspace(0, 1, 16).reshape(4, 4), np.arange(16).reshape(4, 4) * 17),
        (np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 4, 4), np.arange(16).reshape(4, 4) * 17),
    ],
)
def test_an_array_of_one_channel_is_grey(values: np.ndarray, expected: np.ndarray) -> None:
    assert np.array_equal(decode_square(npy(values), 4), np.repeat(expected[..., None], 3, axis=2))
    assert np.array_equal(decode_square(npy(values), 4, channels=1)[..., 0], expected)


def test_three_channels_are_colours_and_may_become_grey() -> None:
    values = numbers((8, 8, 3))
    assert np.array_equal(decode_square(npy(values), 8), values)
    grey = np.asarray(Image.fromarray(values).convert("L"))
    assert np.array_equal(decode_square(npy(values), 8, channels=1)[..., 0], grey)


@pytest.mark.parametrize("crop", ["center", "pad", "stretch"])
def test_channels_are_cropped_as_pictures_are(crop: str) -> None:
    values = numbers((30, 17, 3))
    as_picture = decode_square(npy(values), 9, crop=crop)
    five = decode_square(npy(np.concatenate([values, values[..., :2]], axis=2)), 9, crop=crop, channels=5)
    assert np.array_equal(five, np.concatenate([as_picture, as_picture[..., :2]], axis=2))


@pytest.mark.parametrize(
    "values",
    [np.zeros(9), np.zeros((2, 3, 4, 5)), np.zeros((4, 0, 3)), np.array("text"), np.zeros((3, 3), dtype=complex)],
    ids=["a line", "four axes", "nothing", "text", "complex"],
)
def test_arrays_that_are_no_images(values: np.ndarray) -> None:
    assert refused(npy(values)) is Reason.NOT_AN_IMAGE


class Trap:
    """Does harm when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was loaded",)


def test_objects_are_never_loaded() -> None:
    array = np.empty((2, 2), dtype=object)
    array[:] = Trap()
    assert refused(npy(array)) is Reason.NOT_AN_IMAGE


@pytest.mark.parametrize("shape", [b"(-4, -4)", b"(-2, 4, 2)"])
def test_axes_below_nothing(shape: bytes) -> None:
    data = npy(np.zeros((4, 4), dtype=np.uint8))
    end = data.index(b"\n")
    begin = data.index(b"(4, 4)")
    assert refused(data[:begin] + (shape + b", }").ljust(end - begin) + data[end:]) is Reason.NOT_AN_IMAGE


def test_a_header_that_promises_too_much_takes_no_memory() -> None:
    data = npy(np.zeros((4, 4), dtype=np.uint8)).replace(b"(4, 4), }" + 8 * b" ", b"(40000, 40000), }")
    assert b"(40000, 40000), }" in data
    assert refused(data) is Reason.NOT_AN_IMAGE
    assert refused(npy(np.zeros((4, 4)))[:-1]) is Reason.NOT_AN_IMAGE


def test_an_image_of_too_many_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.data.decode.MOST_PIXELS", 100)
    assert refused(npy(numbers((6, 6, 3)))) is Reason.TOO_LARGE
    assert refused(npy(numbers((5, 5, 5))), channels=5) is Reason.TOO_LARGE


@pytest.mark.parametrize("share", [0.3, 0.6, 0.99])
def test_a_tiff_that_ends_early(share: float) -> None:
    data = tiff(numbers((40, 40, 6)), photometric="minisblack", planarconfig="contig")
    assert refused(data[: int(share * len(data))], channels=6) in (Reason.NOT_AN_IMAGE, Reason.DAMAGED)


def test_what_pillow_shows_of_a_tiff_is_all_of_it(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[270] = "a picture"
    Image.fromarray(numbers((8, 8, 3))).save(tmp_path / "a.tif", tiffinfo=tags)
    assert np.array_equal(decode_square((tmp_path / "a.tif").read_bytes(), 8), numbers((8, 8, 3)))


@pytest.mark.parametrize(
    ("shape", "frame"),
    [
        ((8, 6), Frame(6, 1)),
        ((8, 6, 3), Frame(6, 3)),
        ((7, 8, 9), Frame(8, 7)),
        ((9, 8, 7), Frame(8, 7)),
        ((16, 16, 60), Frame(16, 60)),
        ((60, 16, 16), Frame(16, 60)),
        ((5, 5, 5), Frame(5, 5)),
    ],
)
def test_the_header_tells_side_and_channels(tmp_path: Path, shape: tuple[int, ...], frame: Frame) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    assert frame_of(tmp_path / "a.npy") == frame


def opened(root: Path, tmp_path: Path, **how: Any) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    return open_dataset(root, tmp_path / "cache", tell=told.append, **how), told


def test_each_channel_has_a_scale_of_its_own(tmp_path: Path) -> None:
    dataset, told = opened(data_set(tmp_path / "data", channels=4), tmp_path)
    assert (dataset.channels, len(dataset.mean)) == (4, 4)
    images = np.load(dataset.images_path)
    assert images.shape == (24, 8, 8, 4)
    line = next(line for line in told if line.startswith("values: "))
    assert "4 channels, kept as they are" in line
    assert "24 of more than 8 bits, each channel scaled by itself: 0 to 255, 0 to 1023, 0 to 4095, 0 to 16383" in line
    assert images[..., :3].max((0, 1, 2)) == pytest.approx(
        [200, 199, 199], abs=2
    )  # of 255; numbers end at 78 % of white


def test_an_image_of_other_channels_is_left_out_and_named(tmp_path: Path) -> None:
    root = data_set(tmp_path / "data", channels=4)
    np.save(root / "a" / "odd.npy", numbers((8, 8, 5)))
    Image.new("RGB", (8, 8)).save(root / "b" / "odd.png")
    _, told = opened(root, tmp_path, max_bad_share=0.2)
    assert any("2 of 26 files cannot be read" in line and "another number of channels" in line for line in told)


def test_many_channels_have_no_grey(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"have 4 channels, of which no grey is made"):
        opened(data_set(tmp_path / "data", channels=4), tmp_path, grey=True)


def test_colours_of_more_than_8_bits_become_grey_or_stay(tmp_path: Path) -> None:
    root = data_set(tmp_path / "data", channels=3)
    colours, grey = opened(root, tmp_path)[0], opened(root, tmp_path, grey=True)[0]
    assert (colours.channels, grey.channels) == (3, 1)
    assert len(colours.levels.ranges) == 3
    expected = [np.asarray(Image.fromarray(each).convert("L")) for each in np.load(colours.images_path)]
    assert np.array_equal(np.load(grey.images_path)[..., 0], np.stack(expected))


def test_where_levels_know_no_such_images_they_are_their_own() -> None:
    values = (np.arange(48).reshape(4, 4, 3) * 80).astype("uint16")
    by_itself = decode_square(npy(values), 4)
    assert by_itself.max() > 200
    assert np.array_equal(decode_square(npy(values), 4, Levels()), by_itself)


@pytest.mark.parametrize("kind", ["uint8", "bool", "float32"])
def test_grey_arrays_are_like_grey_pictures(tmp_path: Path, kind: str) -> None:
    root = tmp_path / "data"
    for label in "ab":
        (root / label).mkdir(parents=True)
        for i in range(6):
            np.save(root / label / f"{i}.npy", (np.random.default_rng(i).random((8, 8)) > 0.5).astype(kind))
    dataset, told = opened(root, tmp_path)
    assert dataset.channels == 3
    assert any("all grey" in line for line in told)
    assert opened(root, tmp_path, grey=True)[0].channels == 1


def test_a_network_learns_from_a_channel_that_no_picture_has(tmp_path: Path) -> None:
    dataset, _ = opened(data_set(tmp_path / "data", channels=5, per_class=40), tmp_path)
    arch = reference_arch("plain_resnet")
    arch = type(arch)(
        stem=arch.stem, stages=(StageSpec("conv", channels=8),), head=arch.head, resolution=8, input_channels=5
    )
    outcome = ProxyEvaluator(dataset, threads=1).evaluate(Request(arch, Fidelity(8), 0, "val"), "cpu", lambda *_: True)
    assert outcome.value == 1.0


def test_without_colours_grey_is_the_mean_of_the_channels() -> None:
    images = torch.from_numpy(numbers((3, 4, 4, 5)))
    exact = images.double().mean(-1, keepdim=True)
    grey = color(images, torch.zeros(3, dtype=torch.float64))
    assert (grey.double() - exact).abs().max() <= 0.5
    assert torch.equal(color(images, torch.ones(3, dtype=torch.float64)), images)
    assert torch.equal(blend(images, images, torch.zeros(3, dtype=torch.float64)), images)
