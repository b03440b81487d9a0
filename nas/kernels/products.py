"""Products of matrices with many more rows than columns, by the library that is the faster one on this processor."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

_IMAGES = 16
"""As so many images rows are shown to a convolution: with fewer PyTorch does not give it to oneDNN."""


@lru_cache(maxsize=1)
def onednn_is_faster() -> bool:
    """Whether products go to oneDNN: where there is AVX-512 and the processor is not Intel's.

    PyTorch has products made by MKL, which uses AVX-512 on Intel's alone; on a Zen 5 oneDNN is twice as fast.
    """
    return (
        hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.cpu.get_cpu_capability() == "AVX512"
        and _vendor() not in ("GenuineIntel", "")
    )


def _vendor() -> str:
    """The processor's maker as Linux tells it; nothing where it does not."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("vendor_id")), "")


def product(rows: Tensor, weights: Tensor) -> Tensor:
    """Rows (R, K) times the transpose of weights (N, K)."""
    if onednn_is_faster() and rows.dtype == torch.float32:
        result: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weights.contiguous(), None, "none", [], "")
        return result
    return rows @ weights.t()


def product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right of two high matrices (R, M) and (R, N)."""
    if onednn_is_faster() and left.dtype == torch.float32 and len(left) % _IMAGES == 0:
        weight = left.new_empty(left.shape[1], right.shape[1], 1, 1)  # of which its shape alone is asked
        _, found, _ = torch.ops.aten.convolution_backward(
            _as_images(left), _as_images(right), weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1,
            (False, True, False),
        )  # fmt: skip
        result: Tensor = found.reshape(weight.shape[:2])
        return result
    if left.shape[1] <= right.shape[1]:  # the side with fewer columns goes first, which is up to twice as fast
        return left.t() @ right
    return (right.t() @ left).t()


def _as_images(rows: Tensor) -> Tensor:
    """Rows (R, C) as images (_IMAGES, C, 1, R / _IMAGES) in channels_last layout in the same memory."""
    return rows.reshape(_IMAGES, 1, len(rows) // _IMAGES, rows.shape[1]).permute(0, 3, 1, 2)
