"""Whether two programs compute the same network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from search_spaces import ArchSpec

BATCHES = (1, 3)
"""Batch sizes that an export with a free batch size is run at."""


def probe(arch: ArchSpec, batch: int) -> Tensor:
    """Images of noise, shape (batch, input_channels, resolution, resolution), the same at every call."""
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, arch.input_channels, arch.resolution, arch.resolution, generator=generator)


def reference(network: nn.Module, images: Tensor) -> Tensor:
    """The network's logits in evaluation."""
    with torch.inference_mode():
        logits: Tensor = network.eval()(images)
    return logits


def difference(expected: Tensor, found: Tensor) -> float:
    """The largest difference, relative to the largest expected output or to 1 if that is less."""
    if expected.shape != found.shape:
        raise AssertionError(f"outputs of shape {tuple(found.shape)}, not {tuple(expected.shape)}")
    scale = max(1.0, float(expected.abs().max()))
    return float((expected - found).abs().max()) / scale
