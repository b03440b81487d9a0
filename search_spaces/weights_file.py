"""Tensors by name from files and from what training scripts save. Nothing in a file is ever executed."""

from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from search_spaces.arch import PADDINGS
from search_spaces.checks import ArchError, Check, number, one_of
from search_spaces.json_text import parse_json

PREFIXES = ("module.", "_orig_mod.", "model.", "ema_model.", "ema.")
"""What DataParallel, torch.compile, Lightning and averages of weights put in front of every name."""
WRAPPERS = ("state_dict_ema", "model_ema", "ema_state_dict", "ema", "state_dict", "model_state_dict", "model", "net")
"""Where training scripts put the state dict when they save more than that. Averages of the weights come first, since
they are what such trainings are judged by."""
_COUNTERS = frozenset({"n_averaged"})
"""What torch's AveragedModel keeps beside the weights."""
_PICKLES = (b"PK\x03\x04", b"\x80")  # torch.save's archives, and the bare pickles of old ones
_HEADER_AT = 8  # bytes of a .safetensors file that tell the length of its header, which is JSON
_WHOLE = "scalenas"  # the one field of our files' metadata
_MOST_HEADER = 100_000_000
_MOST_LEVEL = 10.0  # of a mean or deviation, in units of white


class WeightsError(ValueError):
    """Weights that cannot be loaded: one line with the file, what is wrong, and what would be right."""


@dataclass(frozen=True)
class Origin:
    """What is known of weights beside their tensors; each None where it is not known.

    mean, std: per channel in 0..1, by which the images that they were trained on are normalised. padding, norm_eps:
    of the network, as in ArchSpec. classes: names in the order of the outputs.
    """

    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    padding: str | None = None
    norm_eps: float | None = None
    classes: tuple[str, ...] | None = None


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU, whatever its suffix: what it is its content tells.

    Raises WeightsError; code in a pickle is refused, not run.
    """
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder; give the weights file in it")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    with path.open("rb") as file:
        head = file.read(_HEADER_AT + 1)
    if not head:
        raise WeightsError(f"{path}: is empty")
    if _is_safetensors(head) or path.suffix == ".safetensors":
        try:
            return _tensors(load_file(path), str(path))
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{path}: not a whole .safetensors file ({_one_line(error)})") from None
    if not head.startswith(_PICKLES):
        raise WeightsError(
            f"{path}: holds no weights that can be read: neither a .safetensors file nor one that torch.save wrote"
        )
    try:
        with warnings.catch_warnings():  # about pickle protocols: nothing that the line below does not say
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path}: not a plain state dict: damaged, or holding code or objects, none of which was run; "
            "save the tensors alone, best as .safetensors"
        ) from None
    except Exception as error:
        raise WeightsError(f"{path}: not a whole weights file ({_one_line(error)})") from None
    return tensors_in(content, str(path))


def read_origin(path: str | Path) -> Origin:
    """What the metadata of a .safetensors file say, or else the JSON file beside the weights, such as `w.json` beside
    `w.pth`: an object with some of the fields of Origin. Raises WeightsError where they cannot be meant.
    """
    path = Path(path)
    beside = path.with_suffix(".json")
    said = read_metadata(path)
    if not said and beside.is_file() and beside != path:
        path, said = beside, _json_object(beside)
    try:
        return Origin(
            mean=_of_channels("mean", said.get("mean"), -_MOST_LEVEL),
            std=_of_channels("std", said.get("std"), 1e-6),
            padding=_checked("padding", said.get("padding"), lambda where, value: one_of(where, value, PADDINGS)),
            norm_eps=_checked("norm_eps", said.get("norm_eps"), lambda where, value: number(where, value, 1e-12, 1)),
            classes=_names(said.get("classes")),
        )
    except ArchError as error:
        raise WeightsError(f"{path}: {error}") from None


def read_metadata(path: str | Path) -> dict[str, Any]:
    """What the metadata of a .safetensors file say, texts of JSON as what they mean; {} where there are none."""
    try:
        with safe_open(path, framework="pt") as file:
            found = file.metadata() or {}
    except (SafetensorError, OSError, ValueError):
        return {}
    said = {}
    for name, text in found.items():
        try:
            said[name] = parse_json(text)
        except ValueError:
            said[name] = text
    whole = said.get(_WHOLE)
    return whole if isinstance(whole, dict) else said


def as_metadata(said: Mapping[str, Any]) -> dict[str, str]:
    """Metadata for a .safetensors file that `read_metadata` reads back: one text, since several get no fixed order."""
    return {_WHOLE: json.dumps(said)}


def tensors_in(content: Any, label: str) -> dict[str, Tensor]:
    """The state dict in what torch.load gives, unwrapped where it is kept under a usual name, without the prefixes that
    all of its names share. Raises WeightsError."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping) and content[name]:
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{label}: holds no state dict, that is no tensors by name")
    return _tensors(content, label)


def _tensors(content: Mapping[Any, Any], label: str) -> dict[str, Tensor]:
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(f"{label}: {str(key)[:60]!r} is no tensor; only the network's state dict can be loaded")
    state = {key: value for key, value in content.items() if key not in _COUNTERS}
    while prefix := next((each for each in PREFIXES if state and all(key.startswith(each) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _is_safetensors(head: bytes) -> bool:
    return 0 < int.from_bytes(head[:_HEADER_AT], "little") <= _MOST_HEADER and head[_HEADER_AT:] == b"{"


def _json_object(path: Path) -> dict[str, Any]:
    try:
        said = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read ({_one_line(error)})") from None
    return said if isinstance(said, dict) else {}


def _of_channels(name: str, value: Any, least: float) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise ArchError(f"{name}: must be a list of a number for each channel")
    for each in value:
        number(name, each, least, _MOST_LEVEL)
    return tuple(map(float, value))


def _checked(name: str, value: Any, check: Check) -> Any:
    if value is not None:
        check(name, value)
    return value


def _names(value: Any) -> tuple[str, ...] | None:
    return tuple(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _one_line(error: Exception) -> str:
    """The first sentence; torch's messages go on with advice on its own calls."""
    return " ".join(str(error).split()).partition(". ")[0][:120]
