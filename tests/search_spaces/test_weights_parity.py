"""Public implementations, met by our networks: their costs, and their logits with weights through the loader.

Each fixture names a public model, the keys and shapes of its state dict, which a formula fills, and the logits that the
public implementation gives for a formula's images. Those beside these tests are made by `parity/make.py`; more are
optional data.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import ArchSpec, build_network, count_macs, count_params, reference_arch
from search_spaces.weights import load_weights, suited_arch
from tests.helpers.parity import filled, images
from tests.helpers.shared_data import SHARED

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
    assert difference.max() <= 1e-4
    assert np.abs(logits.mean(1) - np.array(fixture["logits_mean"])).max() <= 1e-4 * spread.min()
    assert np.abs(logits.std(1) / spread - 1).max() <= 1e-3
    assert logits.argmax(1).tolist() == fixture["argmax"]
    assert sum(p.numel() for p in network.parameters()) == fixture["params"]
    if fixture["batchnorm_eps"]:
        assert [network.arch.norm_eps] == fixture["batchnorm_eps"]
