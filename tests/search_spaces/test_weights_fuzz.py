"""Weights files with any header: read, or refused in one line by a WeightsError."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from search_spaces import ArchSpec, StageSpec, StemSpec, build_network
from search_spaces.weights import load_weights
from search_spaces.weights_file import WeightsError, read_weights
from tests.helpers.damage import JUNK, refusal

NETWORK = build_network(ArchSpec((StageSpec(channels=8),), StemSpec(4), resolution=8), 3)
STATE = {name: value.contiguous() for name, value in NETWORK.state_dict().items()}


def pickled(content: Any, *, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


SOUND = {
    "a.safetensors": save(STATE),
    "a.pth": pickled(STATE, zipped=True),
    "old.pth": pickled({"state_dict": STATE}, zipped=False),
}
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "F16", "BF16", "I64", "BOOL", "F8_E4M3", "X"]) | JUNK,
        "shape": st.lists(st.integers(-1, 9) | st.just(2**40), max_size=4) | JUNK,
        "data_offsets": st.lists(st.integers(0, 64) | st.just(2**63), max_size=3) | JUNK,
    },
)
NAMES = st.sampled_from([*list(STATE)[:4], "module.a", "__metadata__"]) | st.text(max_size=5)
HEADER = st.dictionaries(NAMES, ENTRY | JUNK, max_size=4) | JUNK


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


def expect_read_or_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read in (lambda: read_weights(path), lambda: load_weights(NETWORK, path)):
        told = refusal(WeightsError, read)
        assert told is None or (told.startswith(f"{path}: ") and "\n" not in told)


@given(header=HEADER, off=st.just(0) | st.integers(-3, 3) | st.integers(0, 2**64 - 1), data=st.binary(max_size=64))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_any_header_of_a_safetensors_file(folder: Path, header: Any, off: int, data: bytes) -> None:
    text = json.dumps(header).encode()
    expect_read_or_refused(folder / "a.safetensors", struct.pack("<Q", (len(text) + off) % 2**64) + text + data)


@pytest.mark.parametrize("name", SOUND)
def test_what_is_damaged_below_is_sound(folder: Path, name: str) -> None:
    (folder / name).write_bytes(SOUND[name])
    assert read_weights(folder / name).keys() == STATE.keys()


@given(name=st.sampled_from(sorted(SOUND)), data=st.data())
@settings(max_examples=200, deadline=None, derandomize=True)
def test_weights_files_with_damaged_bytes(folder: Path, name: str, data: st.DataObject) -> None:
    content = bytearray(SOUND[name])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 200) | st.integers(0, max(0, len(content) - 1)))
        if place < len(content):
            content[place] = data.draw(st.integers(0, 255))
    del content[data.draw(st.just(len(content)) | st.integers(0, len(content))) :]
    expect_read_or_refused(folder / name, bytes(content))
