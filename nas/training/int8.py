"""Post-training quantisation to int8 by ONNX Runtime's own tools, and what a quantised network makes of images."""

from __future__ import annotations

import copy
import importlib
import itertools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from nas.data.feed import Feed
from nas.figures.latency import onnx_program
from nas.machine import quiet_onnxruntime, quietly

NEEDS = "int8 needs the packages onnx, onnxscript and onnxruntime: pip install '.[export]' in the project's folder"
CALIBRATED_ON = 256
"""Training images at most by which the ranges of activations are set."""
_AT_ONCE = 64


def check_packages() -> None:
    """Raise ImportError, saying how to mend it, where a package that quantises is missing."""
    try:
        for name in ("onnx", "onnxscript"):
            importlib.import_module(name)
        quiet_onnxruntime()
    except ImportError:
        raise ImportError(NEEDS) from None


@dataclass(frozen=True, eq=False)
class Quantised:
    """A network in int8, as an ONNX model (QDQ) with input `images` (1, channels, pixels, pixels) and output `logits`
    (1, classes).

    It computes as its nodes say, without ONNX Runtime's kernels for int8, some of which saturate on CPUs without VNNI:
    what a quantised network predicts does not depend on the machine that way.
    """

    model: bytes

    def predict(self, feed: Feed) -> Tensor:
        """The class (N,) of each image of the feed, on the feed's device."""
        found = [
            int(self._session.run(None, {"images": image})[0].argmax())
            for images, _ in feed.in_order(_AT_ONCE)
            for image in _one_by_one(images)
        ]
        return torch.tensor(found, device=feed.device)

    def saying(self, metadata: Mapping[str, str]) -> Quantised:
        """The same, with what it says of itself."""
        onnx = importlib.import_module("onnx")
        model = onnx.load_from_string(self.model)
        onnx.helper.set_model_props(model, dict(metadata))
        return Quantised(model.SerializeToString())

    @cached_property
    def _session(self) -> Any:
        onnxruntime = quiet_onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.intra_op_num_threads = torch.get_num_threads()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        return onnxruntime.InferenceSession(self.model, options, providers=["CPUExecutionProvider"])


def quantise(network: nn.Module, images: Feed) -> Quantised:
    """A network, on the CPU in evaluation mode, in int8: weights symmetric by output channel, activations by tensor.

    images: of training; ranges are the least and the largest values that a fixed sample of them gives. Raises
    ImportError where packages are missing (see check_packages).
    """
    check_packages()
    onnx = importlib.import_module("onnx")
    tools = importlib.import_module("onnxruntime.quantization")
    sample = images.sample(min(CALIBRATED_ON, len(images)))
    feeds = ({"images": image} for batch, _ in sample.in_order(_AT_ONCE) for image in _one_by_one(batch))

    class Images(tools.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def get_next(self) -> dict[str, Any] | None:
            return next(feeds, None)

    with tempfile.TemporaryDirectory(prefix="scalenas-") as folder, quietly():
        plain, file = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        program = onnx_program(merged(network), torch.zeros(1, images.channels, images.resolution, images.resolution))
        program.save(str(plain), external_data=False)
        tools.quantize_static(
            str(plain),
            str(file),
            Images(),
            quant_format=tools.QuantFormat.QDQ,
            per_channel=True,
            activation_type=tools.QuantType.QInt8,
            weight_type=tools.QuantType.QInt8,
        )
        model = onnx.load(str(file))
    for node in model.graph.node:  # where in Python it is from would be most of a small file
        del node.metadata_props[:]
    return Quantised(model.SerializeToString())


def merged(network: nn.Module) -> nn.Module:
    """A copy in evaluation mode whose norms are part of the convolutions before them."""
    network = copy.deepcopy(network).eval()
    for parts in [module for module in network.modules() if isinstance(module, nn.Sequential)]:
        for (name, before), (norm, after) in itertools.pairwise(list(parts.named_children())):
            if isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d):
                setattr(parts, name, fuse_conv_bn_eval(before, after))
                setattr(parts, norm, nn.Identity())
    return network


def _one_by_one(images: Tensor) -> Iterator[Any]:
    for image in images.cpu():
        yield np.ascontiguousarray(image[None].numpy())
