"""ONNX: one file with its weights, a free batch size, checked in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import torch

from experiments.errors import UserError
from experiments.export.check import BATCHES, difference, reference
from experiments.export.source import Exported
from nas.machine import quiet_onnxruntime, quietly

NEEDS = "ONNX needs the packages onnx, onnxscript and onnxruntime: pip install '.[export]' in the project's folder"


def write_onnx(exported: Exported, path: Path) -> float:
    """Write `path` with input `images` (batch, channels, pixels, pixels), or uint8 (batch, height, width, channels)
    where the program prepares them, and output `logits` (batch, classes), in the opset that torch's exporter takes by
    itself, and the facts as metadata; give the largest difference of ONNX Runtime's outputs.

    Raises UserError where the packages for it are missing.
    """
    try:
        import onnx  # noqa: PLC0415  optional
        import onnxscript  # noqa: F401, PLC0415

        onnxruntime = quiet_onnxruntime()
    except ImportError:
        raise UserError(NEEDS) from None
    with quietly():
        program = torch.onnx.export(
            exported.program,
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            # The axes' names; they are free in the program.
            dynamic_shapes=({0: "batch", **({1: "height", 2: "width"} if exported.prepares else {})},),
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
        images = exported.probe(batch)
        (logits,) = session.run(["logits"], {"images": images.numpy()})
        worst = max(worst, difference(reference(exported.module, images), torch.from_numpy(logits)))
    return worst
