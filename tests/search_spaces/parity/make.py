"""Make the fixtures beside this file: what networks of timm, torchvision, efficientnet-pytorch and
efficientnet-lite-pytorch cost, and answer with weights and images by formula.

    python -m tests.search_spaces.parity.make [LIBRARY_NAME ...]

Needs the package of each network that is made, which nothing else of the project does; fixtures say its version. The
images are 91 pixels wide, an odd number, at which TensorFlow's padding is not PyTorch's.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tests.helpers.parity import filled, hooked_macs, images

TIMM = (
    "efficientnet_lite0",
    "mobilenetv3_large_100",
    "mobilenetv3_small_100",
    "mobilenetv4_conv_small",
    "tf_efficientnet_b0",
    *(f"tf_efficientnet_lite{i}" for i in range(5)),
    "tf_efficientnetv2_s",
    "tf_mobilenetv3_large_100",
)
TORCHVISION = ("efficientnet_v2_s", "mobilenet_v3_large", "mobilenet_v3_small")
EFFICIENTNET_PYTORCH = {"efficientnet_b0": "efficientnet_pytorch", "efficientnet_lite0": "efficientnet_lite_pytorch"}
"""Their packages: the second is a fork of the first."""
MODELS = (
    *(f"timm_{name}" for name in TIMM),
    *(f"torchvision_{name}" for name in TORCHVISION),
    *(f"lukemelas_{name}" for name in EFFICIENTNET_PYTORCH),
)
SMALL = 91


def built(library: str, name: str) -> tuple[nn.Module, int, str]:
    """A public network in eval mode, its resolution, the library's version."""
    if library == "timm":
        timm = importlib.import_module("timm")
        network = timm.create_model(name).eval()
        return network, network.default_cfg["input_size"][-1], timm.__version__
    if library == "lukemelas":
        package = EFFICIENTNET_PYTORCH[name]
        network = importlib.import_module(package).EfficientNet.from_name(name.replace("_", "-"), image_size=None)
        return network.eval(), 224, importlib.metadata.version(package)
    torchvision = importlib.import_module("torchvision")
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return torchvision.models.get_model(name).eval(), transforms.crop_size[0], torchvision.__version__


def fixture(library: str, name: str) -> dict[str, Any]:
    """The facts of one network."""
    network, resolution, version = built(library, name)
    macs = {str(size): hooked_macs(network, size) for size in (resolution, SMALL)}
    keys = [(key, list(value.shape)) for key, value in network.state_dict().items()]
    network.load_state_dict(filled(keys))
    with torch.no_grad():
        logits = network(images(SMALL)).double()
    return {
        "source": library,
        "version": version,
        "model": name,
        "resolution": resolution,
        "batchnorm_eps": sorted({module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d)}),
        "params": sum(parameter.numel() for parameter in network.parameters()),
        "macs": macs,
        "logits_resolution": SMALL,
        "logits_first8": logits[:, :8].tolist(),
        "logits_mean": logits.mean(1).tolist(),
        "logits_std": logits.std(1, correction=0).tolist(),
        "argmax": logits.argmax(1).tolist(),
        "keys": keys,
    }


if __name__ == "__main__":
    for model in sys.argv[1:] or MODELS:
        path = Path(__file__).with_name(f"{model}.json")
        path.write_text(json.dumps(fixture(*model.split("_", 1)), separators=(",", ":")))
        print(path.name)
