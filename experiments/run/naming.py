"""What people write for architectures, targets and spaces, turned into the things themselves."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.errors import UserError, from_user, from_users_code
from experiments.options.declaration import MOST_MACS, MOST_PIXELS
from experiments.records import BaselineRecord, read_json
from experiments.run.folder import RunFolder
from search_spaces import (
    REFERENCE_NAMES,
    SPACES,
    ArchSpec,
    SearchSpace,
    auto_resolution,
    count_macs,
    fit_arch,
    reference_arch,
)
from search_spaces.detection import DETECTOR_NAMES
from search_spaces.fit import IMAGENET_RESOLUTION, resolutions_up_to
from search_spaces.spaces import CHOOSE_PLAN, SIZES

_UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


def load_arch(text: str) -> ArchSpec:
    """The architecture of a name, an ArchSpec JSON file, or a run folder (its baseline).

    Raises UserError when it is none of them or the file is wrong.
    """
    path = Path(text)
    if path.is_dir():
        baseline = RunFolder(path).find(BaselineRecord)
        if baseline is None:
            raise UserError(f"{text}: this run has no baseline yet; run `scalenas discover` on it first")
        return baseline.arch
    if path.is_file():
        data = read_json(path)
        if isinstance(data, dict) and "arch" in data:
            data = data["arch"]
        with from_user(str(path)):
            return ArchSpec.from_dict(data)
    if _is_known(text):
        with from_user():
            return reference_arch(text)
    if text in DETECTOR_NAMES:
        raise UserError(f"{text} is a detector, not a classifier: only `scalenas inspect` knows it")
    raise UserError(
        f"unknown architecture {text!r}: give a JSON file, a run folder or one of {', '.join(REFERENCE_NAMES)}"
    )


def is_reference(text: str) -> bool:
    """Whether a text names a known network, to be fitted to the task, rather than an architecture to be taken as is."""
    return _is_known(text) and not Path(text).exists()


def _is_known(text: str) -> bool:
    return text in REFERENCE_NAMES or re.fullmatch(r"resnet\d{1,6}", text) is not None


@dataclass(frozen=True)
class Resolutions:
    """Input sizes in pixels. single: of networks whose resolution nobody chooses; allowed: where it is chosen, the
    largest first."""

    single: int
    allowed: tuple[int, ...]


def largest_resolution(text: str) -> int:
    """The most pixels that `--resolution` allows: the number, that behind `max:`, and 224 for `auto`.

    Raises UserError on anything else.
    """
    if text == "auto":
        return IMAGENET_RESOLUTION
    number = text.removeprefix("max:")
    if not re.fullmatch(r"0*[1-9][0-9]{,8}", number):
        raise UserError(f"--resolution must be auto, a number of pixels, or max: and a number, not {text!r}")
    if int(number) > MOST_PIXELS:
        raise UserError(f"--resolution must be at most {MOST_PIXELS} pixels, not {number}")
    return int(number)


def resolve_resolution(text: str, native: int) -> Resolutions:
    """What `--resolution` means for images of `native` pixels.

    A number is the resolution of all networks. `auto` and `max:N` let it be chosen up to the images' own pixels, 224 or
    N; where nobody chooses, they leave headroom (see auto_resolution). Raises UserError on anything else, and on more
    pixels than the images have.
    """
    largest = largest_resolution(text)
    if text == "auto" or text.startswith("max:"):
        return Resolutions(min(largest, auto_resolution(native)), resolutions_up_to(min(native, largest)))
    if largest > native:
        raise UserError(f"--resolution {text}: the images have {native} pixels, and enlarged ones hold no more")
    return Resolutions(largest, (largest,))


def resolve_target(text: str, resolution: int, num_classes: int, option: str = "--target-macs") -> int:
    """MACs from a number such as 20M, from "b0" (B0 fitted to the input), or from "auto" (half as wide below 224)."""
    if text in ("auto", "b0"):
        half = text == "auto" and resolution < IMAGENET_RESOLUTION
        b0 = fit_arch(reference_arch("efficientnet_b0"), resolution, width=0.5 if half else 1.0)
        return count_macs(b0, None, num_classes)
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)([kKmMgGbB]?)", text)
    if match is None:
        raise UserError(f"{option} must be auto, b0 or a number such as 20M, not {text!r}")
    target = float(match[1]) * _UNITS[match[2].lower()]
    if not 0.5 < target <= MOST_MACS:
        raise UserError(f"{option} must be above 0 and at most {MOST_MACS:g}, not {text}")
    return round(target)


def resolve_space(
    text: str,
    target_macs: float,
    resolutions: Resolutions,
    num_classes: int,
    input_channels: int,
    *,
    sized: bool = False,
) -> SearchSpace:
    """The space of a name, fitted to the task, or of `module:function`.

    sized: whether networks are to differ in MACs, where a space could have them all alike.

    A function of one's own is called with target_macs, resolution, num_classes and input_channels by keyword and
    returns a SearchSpace. Raises UserError when there is no such space or it cannot be fitted.
    """
    make = SPACES.get(text) or load_object(text, "--space", f"one of {', '.join(SPACES)}")
    with from_user() if text in SPACES else from_users_code(f"--space {text}"):
        resolution = resolutions.allowed if text in CHOOSE_PLAN else resolutions.single
        sizes = {"sizes": SIZES} if sized and text in CHOOSE_PLAN else {}
        space = make(target_macs, resolution, num_classes=num_classes, input_channels=input_channels, **sizes)
    if not isinstance(space, SearchSpace):
        raise UserError(f"--space {text}: the function must return a SearchSpace, not {type(space).__name__}")
    return space


def load_object(text: str, option: str, otherwise: str) -> Any:
    """What `module:name` names; modules of the working directory are found too, behind all others. Raises UserError."""
    module, _, name = text.partition(":")
    if not (module and name):
        raise UserError(f"{option} must be {otherwise}, or module:function, not {text!r}")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # in front, a folder of the user's would hide what is loaded later
    with from_users_code(f"{option} {text}"):
        return getattr(importlib.import_module(module), name)
