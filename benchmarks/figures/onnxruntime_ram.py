"""The counted peak of RAM beside what ONNX Runtime's profiler says that its operators read and write.

    python -m benchmarks.figures.onnxruntime_ram

Prints the counted bytes in float32, the most that one operator reads and writes (norms and activations merged where
ONNX Runtime merges them), and their quotient; nothing is asserted.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import machine
from nas.machine import quiet_onnxruntime, quietly
from nas.training.int8 import merged
from search_spaces import ArchSpec, build_network, count_ram, edge_space, macro_space, reference_arch

KNOWN = {"mobilenet_v1_025": 128, "mobilenet_v2": 96, "efficientnet_lite0": 96, "resnet18": 64, "squeezenet1_1": 96}
"""With the pixels they are run at."""
CLASSES, MEMBERS = 10, 5


def main() -> None:
    print(f"command: python -m benchmarks.figures.onnxruntime_ram {' '.join(sys.argv[1:])}".rstrip())
    print(f"machine: {machine()}")
    for name, arch in networks():
        counted, profiled = count_ram(arch, None, CLASSES, "float32"), largest_operator(arch)
        print(
            f"{name:20} {arch.resolution:4} px  counted {counted:9,}  profiled {profiled:9,}  {counted / profiled:.3f}"
        )


def networks() -> Iterator[tuple[str, ArchSpec]]:
    """Known ones, and random members of two spaces."""
    for name, pixels in KNOWN.items():
        yield name, replace(reference_arch(name), resolution=pixels)
    for space in (edge_space(7e6, (64, 48), num_classes=CLASSES), macro_space(7e6, (64, 48), num_classes=CLASSES)):
        for i, row in enumerate(space.sample(np.random.default_rng(0), MEMBERS), 1):
            yield f"{space.name} {i}", space.decode(space.params(row))


def largest_operator(arch: ArchSpec) -> int:
    """Bytes of the tensors that one operator reads and writes, weights left out: the most of all operators."""
    onnxruntime = quiet_onnxruntime()
    image = torch.zeros(1, arch.input_channels, arch.resolution, arch.resolution)
    with quietly():
        program = torch.onnx.export(
            merged(build_network(arch, CLASSES)), (image,), dynamo=True, input_names=["images"], verbose=False
        )
    assert program is not None
    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.log_severity_level = True, 3
        options.profile_file_prefix = str(Path(folder) / "profile")
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        session = onnxruntime.InferenceSession(
            program.model_proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        session.run(None, {"images": image.numpy()})
        events = json.loads(Path(session.end_profiling()).read_text())
    told = [event.get("args", {}) for event in events]
    return max(int(each["activation_size"]) + int(each["output_size"]) for each in told if "output_size" in each)


if __name__ == "__main__":
    main()
