"""How exactly a device computes in trainings: one setting for all trainings that are compared."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

FLOAT32, TF32, BFLOAT16 = NUMERICS = ("float32", "tf32", "bfloat16")
"""float32: all in single precision, on every device. tf32: convolutions and matrix products of an NVIDIA GPU round
their factors to 10 bits of mantissa (TensorFloat-32) and sum in single precision. bfloat16: they take and give
bfloat16, by PyTorch's autocast; weights, norms' statistics, losses and steps stay in single precision."""


@contextmanager
def repeatable(seed: int, device: torch.device, numerics: str = FLOAT32) -> Iterator[None]:
    """Draw from `seed` inside and compute by algorithms that repeat themselves, products by `numerics` (of
    NUMERICS); the caller's random numbers and settings are left alone. See `mixed` for bfloat16.
    """
    tf32 = numerics == TF32
    before = torch.get_float32_matmul_precision()
    flags = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=tf32)
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), flags:
        torch.set_float32_matmul_precision("high" if tf32 else "highest")
        torch.manual_seed(seed)
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(before)


def mixed(numerics: str, device: torch.device) -> AbstractContextManager[object]:
    """What a forward pass, and its loss, is to be computed in; neither the backward pass nor the step."""
    return torch.autocast(device.type, torch.bfloat16) if numerics == BFLOAT16 else nullcontext()


def method_of(numerics: str) -> str:
    """What tells figures of these numerics from others in a `Request.method`: nothing for float32."""
    return "" if numerics == FLOAT32 else f"numerics={numerics}"
