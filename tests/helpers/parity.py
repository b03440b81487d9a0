"""What fixtures of public implementations are made by: weights and images by formula, multiply-adds by hooks."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch
from torch import nn


def filled(keys: Iterable[tuple[str, list[int]]]) -> dict[str, torch.Tensor]:
    """A state dict of these keys and shapes.

    The j-th tensor is drawn from numpy's standard normal generator of seed j, and scaled so that activations keep
    their size: variances around 1, scales of norms around 1, other vectors small, the rest by its fan-in.
    """
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
    """Two images, (2, 3, resolution, resolution)."""
    b, c, h, w = np.ogrid[:2, :3, :resolution, :resolution]
    return torch.from_numpy(np.sin(0.05 * (b + 1) * h + 0.083 * (c + 1) * w + b).astype(np.float32))


def hooked_macs(network: nn.Module, resolution: int) -> int:
    """Multiply-adds of convolutions and linear layers for one RGB image, counted as they happen."""
    total = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal total
        assert isinstance(module.weight, torch.Tensor)
        total += module.weight.numel() * (output.shape[-1] * output.shape[-2] if output.dim() == 4 else 1)

    hooks = [
        module.register_forward_hook(count) for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)
    ]
    with torch.no_grad():
        network(torch.zeros(1, 3, resolution, resolution))
    for hook in hooks:
        hook.remove()
    return total
