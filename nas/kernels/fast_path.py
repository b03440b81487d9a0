"""The fast path of trainings on the CPU: operations of a network swapped for compiled ones.

Parameters and the keys of the state dict stay. Where the loops are missing, or a short check against PyTorch fails,
networks are left as they are.

The two paths add the same numbers in another order: a gradient differs by about 1e-6 of its largest element, which
changes an accuracy as another version of PyTorch would, and so is not part of a request. On one machine equal trainings
give equal bits.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Iterator
from functools import lru_cache

import torch
from torch import Tensor, nn

from nas.kernels.depthwise import swap_convolutions
from nas.kernels.gated import swap_chains
from nas.kernels.library import library
from nas.kernels.norm import swap_norms
from nas.kernels.pointwise import swap_pointwise
from search_spaces.network import Gate, GlobalPool

TOLERANCE = 1e-3
"""How far a gradient may be from PyTorch's in the check, as a share of its largest element."""


def accelerate(network: nn.Module) -> nn.Module:
    """The same network, changed in place to the compiled operations where they are at hand and right."""
    if available():
        _swap(network)
    return network


@lru_cache(maxsize=1)
def available() -> bool:
    """Whether the loops were compiled and agree with PyTorch here; looked at once a process."""
    if library() is None:
        return False
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), torch.inference_mode(False), _one_thread():
        torch.manual_seed(0)
        plain = nn.Sequential(
            nn.Conv2d(20, 20, 5, 2, 2, groups=20, bias=False), nn.BatchNorm2d(20), nn.SiLU(),
            Gate(nn.Sequential(GlobalPool(), nn.Conv2d(20, 3, 1), nn.SiLU(), nn.Conv2d(3, 20, 1), nn.Sigmoid())),
            nn.Conv2d(20, 24, 1, bias=False), nn.BatchNorm2d(24), nn.ReLU6(),
            nn.Conv2d(24, 20, 1, bias=False), nn.BatchNorm2d(20), nn.SiLU(),
            nn.Conv2d(20, 20, 3, 1, 1, groups=20, bias=False), nn.BatchNorm2d(20), nn.ReLU6(),
        )  # fmt: skip
        ours = copy.deepcopy(plain)
        _swap(ours)
        images = torch.randn(4, 20, 7, 6).contiguous(memory_format=torch.channels_last)
        return all(
            bool((found - wanted).abs().max() <= TOLERANCE * wanted.abs().max())
            for found, wanted in zip(_gradients(ours, images), _gradients(plain, images), strict=True)
        )


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """What the compiled norms need, so that they are checked as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _swap(network: nn.Module) -> None:
    swap_convolutions(network)
    swap_pointwise(network)
    swap_norms(network)
    swap_chains(network)


def _gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    result = network(images)
    return list(torch.autograd.grad((result * torch.linspace(-1, 1, result.numel()).view_as(result)).sum(),
                                    list(network.parameters())))  # fmt: skip
