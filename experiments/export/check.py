"""Whether two programs compute the same network."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from experiments.errors import UserError
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
    """The largest difference, relative to the largest expected output; infinite where what was found is no number.

    Raises UserError where the expected outputs are not finite themselves, and AssertionError on another shape.
    """
    if expected.shape != found.shape:
        raise AssertionError(f"outputs of shape {tuple(found.shape)}, not {tuple(expected.shape)}")
    if not bool(expected.isfinite().all()):
        raise UserError("the network's own outputs are not finite: no file of it can be checked against them")
    scale = max(torch.finfo(torch.float32).tiny, float(expected.abs().max()))
    gap = float((expected - found).abs().max()) / scale
    return math.inf if math.isnan(gap) else gap


@contextmanager
def lively(network: nn.Module) -> Iterator[None]:
    """For a while, give a network random biases and random scales and statistics of norms, the same every time.

    A fresh network's gates are all a half and its norms hand on what they get, so that whole branches fade and no
    output tells whether they are there.
    """
    kept = {name: value.clone() for name, value in network.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    try:
        with torch.no_grad():
            for name, value in network.state_dict().items():
                if name.endswith("running_var"):
                    value.uniform_(0.5, 2, generator=generator)
                elif name.endswith(("bias", "running_mean")):
                    value.normal_(generator=generator)
                elif value.dim() == 1:
                    value.uniform_(0.5, 1.5, generator=generator)
        yield
    finally:
        network.load_state_dict(kept)
