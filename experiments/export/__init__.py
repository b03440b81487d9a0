"""Networks in forms that other programs read. Each file is checked by reading it back."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from experiments.export.check import lively
from experiments.export.on_device import write_executorch, write_litert
from experiments.export.onnx_file import write_onnx
from experiments.export.program import write_program
from experiments.export.source import Exported
from experiments.export.standalone import write_standalone
from experiments.export.timm_text import write_timm
from nas.files import replace_text
from search_spaces import ArchSpec, network_cost

__all__ = ["FORMATS", "Exported", "check_output", "export"]

TOLERANCE = 1e-4
ROUNDED = 0.01
"""Tolerance of programs that resize images: a value halfway between two levels may be rounded to either."""


def _write_json(exported: Exported, path: Path) -> float | None:
    replace_text(path, exported.arch.to_json() + "\n", durable=False)
    if ArchSpec.from_json(path.read_text(encoding="utf-8")) != exported.arch:
        raise AssertionError(f"{path}: does not read back as the same architecture")
    return None


FORMATS: Mapping[str, Callable[[Exported, Path], float | None]] = {
    ".onnx": write_onnx,
    ".pt2": write_program,
    ".py": write_standalone,
    ".json": _write_json,
    ".tflite": write_litert,
    ".pte": write_executorch,
    ".txt": write_timm,
}
"""How each kind of file is written and read back; gives the largest difference of its outputs from torch's, relative
to the largest output, or None where no network was run."""

RUNNABLE = (".onnx", ".pt2", ".py", ".tflite", ".pte")
"""Formats that hold a network with its weights, as a program."""
FIXED = (".tflite", ".pte")
"""Of these, programs that take one image at a time, of one size."""
WITHOUT_NETWORK = (".json",)
"""Formats that hold the architecture alone: no network is built for them."""


def check_output(path: Path) -> None:
    """Raise UserError where no export can be written to `path`: for its suffix, or for where it is to lie."""
    if path.suffix not in FORMATS:
        raise UserError(f"{path}: an export is written as {', '.join(FORMATS)}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: there is no folder {path.parent}; make it first")
    if path.is_dir():
        raise UserError(f"{path}: is a folder, not a file to write")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is there, and no regular file")


def export(exported: Exported, path: Path) -> dict[str, Any]:
    """Write the network to `path`, in the format of its suffix, and check the file before it is put in place.

    A fresh network is written and checked with other weights first, whose outputs tell of every branch. Beside a
    network with its weights goes a file such as net.onnx.model.json, with its facts.

    Gives what is worth telling: file, files (those beside it too), id, resolution, num_classes, macs and params
    (counted with that many classes), the difference found (see FORMATS), and where the weights are from. Raises
    UserError for a path (see check_output) or a network that the format cannot hold, and AssertionError when what was
    written does not read back as the same network.
    """
    check_output(path)
    if path.suffix in FIXED:
        exported = replace(exported, fixed=True)
    cost = network_cost(exported.arch, None, exported.num_classes)
    alone = path.suffix in WITHOUT_NETWORK
    if not alone:
        torch_params = sum(parameter.numel() for parameter in exported.network.parameters())
        if torch_params != cost.params:
            raise AssertionError(f"{torch_params} parameters in torch, {cost.params} counted")
    with tempfile.TemporaryDirectory(prefix=f".{path.stem}-", dir=path.parent) as folder:
        draft = Path(folder) / path.name
        if exported.fresh and not alone:
            with lively(exported.network):
                _write(exported, draft, path)
        found = _write(exported, draft, path)
        if path.suffix in RUNNABLE:
            text = json.dumps(exported.facts, indent=2) + "\n"
            replace_text(draft.with_name(f"{path.name}.model.json"), text, durable=False)
        written = sorted(file.name for file in Path(folder).iterdir() if file.is_file())
        for name in written:
            os.replace(draft.with_name(name), path.with_name(name))
    return {
        "file": str(path),
        "files": [str(path.with_name(name)) for name in written],
        "id": exported.arch.id,
        "resolution": exported.arch.resolution,
        "num_classes": exported.num_classes,
        "macs": cost.macs,
        "params": cost.params,
        "difference": found,
        "weights": exported.weights,
        **({"arch": asdict(exported.arch)} if path.suffix == ".json" else {}),
    }


def _write(exported: Exported, draft: Path, path: Path) -> float | None:
    """Write and check a file that is to become `path`."""
    found = FORMATS[path.suffix](exported, draft)
    resizes = exported.prepares and not exported.fixed
    if found is not None and not found <= (ROUNDED if resizes else TOLERANCE):
        raise AssertionError(f"{path}: outputs differ from torch's by {found:.2g} of the largest")
    return found
