"""Images whose bytes were cut or changed are decoded, or counted as unreadable for a reason."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nas.data.decode import Reason, UnreadableError, decode_square, look
from tests.helpers.damage import refusal

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's remarks on odd and large images

RNG = np.random.default_rng(0)
COLOUR = Image.fromarray(RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8))
MODES = {"rgb": COLOUR, "palette": COLOUR.convert("P"), "transparent": COLOUR.convert("RGBA"),
         "deep": Image.fromarray(RNG.integers(0, 65536, (9, 12), dtype=np.uint16))}  # fmt: skip
SAVED = [("rgb", "PNG"), ("palette", "PNG"), ("transparent", "PNG"), ("deep", "PNG"), ("rgb", "JPEG"),
         ("palette", "GIF"), ("rgb", "BMP"), ("rgb", "TIFF"), ("deep", "TIFF"), ("transparent", "TIFF")]  # fmt: skip


def encoded(mode: str, kind: str) -> bytes:
    buffer = io.BytesIO()
    MODES[mode].save(buffer, kind)
    return buffer.getvalue()


FILES = {(mode, kind): encoded(mode, kind) for mode, kind in SAVED}


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A real file with up to four changes: bytes set, most of them where the headers are, left out, or cut off."""
    data = bytearray(draw(st.sampled_from(list(FILES.values()))))
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, 80) | st.integers(0, max(0, len(data) - 1)))
        change = draw(st.sampled_from(["set", "set", "drop", "cut"]))
        if change == "set" and place < len(data):
            data[place] = draw(st.integers(0, 255))
        elif change == "drop":
            del data[place : place + draw(st.integers(1, 8))]
        elif change == "cut":
            del data[place:]
    return bytes(data)


@pytest.mark.parametrize("saved", SAVED, ids="-".join)
def test_what_is_damaged_below_is_sound(saved: tuple[str, str]) -> None:
    assert decode_square(FILES[saved], 6).std() > 10


@given(data=damaged(), crop=st.sampled_from(["center", "pad", "stretch"]))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_damaged_images_are_decoded_or_unreadable(data: bytes, crop: str) -> None:
    def decode() -> None:
        pixels = decode_square(data, 6, crop=crop)
        assert pixels.shape == (6, 6, 3)
        assert pixels.dtype == np.uint8

    for read in (decode, lambda: look(io.BytesIO(data))):
        assert refusal(UnreadableError, read) in (None, *(reason.words for reason in Reason))
