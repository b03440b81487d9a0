"""ONNX: one file with its weights, a free batch size, checked in ONNX Runtime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from experiments.errors import UserError
from experiments.export.check import BATCHES, difference, probe, reference
from experiments.export.source import Exported
from nas.machine import quiet_onnxruntime

NEEDS = "ONNX needs the packages onnx, onnxscript and onnxruntime: pip install 'scalenas[export]'"


def write_onnx(exported: Exported, path: Path) -> float:
    """Write `path` with input `images` (batch, channels, pixels, pixels) and output `logits` (batch, classes), in the
    opset that torch's exporter takes by itself, and the facts as metadata; give the largest difference of ONNX
    Runtime's outputs.

    Raises UserError where the packages for it are missing.
    """
    try:
        import onnx  # noqa: PLC0415  optional
        import onnxscript  # noqa: F401, PLC0415

        onnxruntime = quiet_onnxruntime()
    except ImportError:
        raise UserError(NEEDS) from None
    with _quiet():
        program = torch.onnx.export(
            exported.program,
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: "batch"},),  # the axis's name; it is free in the program
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(exported.metadata)
    program.save(str(path), external_data=False)
    onnx.checker.check_model(str(path), full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch in BATCHES:
        images = probe(exported.arch, batch)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        worst = max(worst, difference(reference(exported.network, images), torch.from_numpy(logits)))
    return worst


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of its passes by every channel there is."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
