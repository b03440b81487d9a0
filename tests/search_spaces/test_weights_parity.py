"""Logits of public implementations, met by our networks filled through the weight loader.

The fixtures are optional data: each names a public model, the keys and shapes of its state dict, which a formula
fills, and the logits that the public implementation gives for a formula's images.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces import build_network, reference_arch
from search_spaces.weights import load_weights
from tests.helpers.shared_data import SHARED

FIXTURES = sorted(SHARED.joinpath("reference", "parity").glob("*.json"))
OURS = {
    "mobilenetv1_100": "mobilenet_v1",
    "mobilenetv2_100": "mobilenet_v2",
    "semnasnet_100": "mnasnet_a1",
    "mnasnet1_0": "mnasnet_b1",
    "legacy_xception": "xception",
}


def filled(keys: Iterable[tuple[str, list[int]]]) -> dict[str, torch.Tensor]:
    """The state dict by the fixtures' formula."""
    state = {}
    number = 0
    for key, shape in keys:
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros(shape, dtype=torch.int64)
            continue
        size = int(np.prod(shape))
        z = np.random.RandomState(number).standard_normal(size)
        if key.endswith("running_var"):
            values = np.exp(0.3 * z)
        elif key.endswith("weight") and len(shape) == 1:
            values = 1 + 0.1 * z
        elif len(shape) == 1:
            values = 0.1 * z
        else:
            values = z * np.sqrt(2 / (size / shape[0]))
        state[key] = torch.from_numpy(values.reshape(shape).astype(np.float32))
        number += 1
    return state


def images(resolution: int) -> torch.Tensor:
    """Two images by the fixtures' formula, (2, 3, resolution, resolution)."""
    b, c, h, w = np.ogrid[:2, :3, :resolution, :resolution]
    return torch.from_numpy(np.sin(0.05 * (b + 1) * h + 0.083 * (c + 1) * w + b).astype(np.float32))


@pytest.mark.skipif(not FIXTURES, reason="optional parity fixtures not found; set SCALENAS_SHARED")
@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_logits_are_those_of_the_public_implementation(path: Path) -> None:
    fixture = json.loads(path.read_text())
    arch = reference_arch(OURS.get(fixture["model"], fixture["model"]))
    assert arch.resolution == fixture["resolution"]
    # Another epsilon than the fixture's, so that the loader has to set it.
    network = build_network(arch).eval()
    load_weights(network, filled(fixture["keys"]))
    with torch.no_grad():
        logits = network(images(fixture["resolution"])).double().numpy()
    spread = np.array(fixture["logits_std"])
    difference = np.abs(logits[:, :8] - np.array(fixture["logits_first8"])) / spread[:, None]
    assert difference.max() <= 1e-4
    assert np.abs(logits.mean(1) - np.array(fixture["logits_mean"])).max() <= 1e-4 * spread.min()
    assert np.abs(logits.std(1) / spread - 1).max() <= 1e-3
    assert logits.argmax(1).tolist() == fixture["argmax"]
    assert sum(p.numel() for p in network.parameters()) == fixture["params"]
    if fixture["batchnorm_eps"]:
        assert [network.arch.norm_eps] == fixture["batchnorm_eps"]
