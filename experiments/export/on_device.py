"""LiteRT (.tflite) and ExecuTorch (.pte): programs of one image at a time for phones and small boards."""

from __future__ import annotations

from pathlib import Path

import torch

from experiments.errors import UserError
from experiments.export.check import difference, reference
from experiments.export.source import Exported
from nas.machine import quietly

NEEDS_LITERT = "LiteRT needs the package litert-torch: pip install '.[litert]' in the project's folder"
NEEDS_EXECUTORCH = "ExecuTorch needs the package executorch: pip install '.[executorch]' in the project's folder"


def write_litert(exported: Exported, path: Path) -> float:
    """Write `path` for LiteRT, float32, and give the largest difference of its interpreter's outputs. The format holds
    no antialiased resizing. Raises UserError where the package for it is missing."""
    with quietly():
        try:
            import litert_torch  # noqa: PLC0415  optional
            from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415
        except ImportError:
            raise UserError(NEEDS_LITERT) from None
        images = exported.probe(1)
        litert_torch.convert(exported.module, (images,)).export(str(path))
    interpreter = Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], images.numpy())
    interpreter.invoke()
    found = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return difference(reference(exported.module, images), torch.from_numpy(found))


def write_executorch(exported: Exported, path: Path) -> float:
    """Write `path` for ExecuTorch, float32, with what XNNPACK can do handed to it; give the largest difference of its
    runtime's outputs. Raises UserError where the package for it is missing."""
    with quietly():
        try:
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import (  # noqa: PLC0415  optional
                XnnpackPartitioner,
            )
            from executorch.exir import to_edge_transform_and_lower  # noqa: PLC0415
            from executorch.runtime import Runtime  # noqa: PLC0415
        except ImportError:
            raise UserError(NEEDS_EXECUTORCH) from None
        images = exported.probe(1)
        program = torch.export.export(exported.module, (images,))
        lowered = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch()
        path.write_bytes(lowered.buffer)
        (found,) = Runtime.get().load_program(str(path)).load_method("forward").execute([images])
    return difference(reference(exported.module, images), found)
