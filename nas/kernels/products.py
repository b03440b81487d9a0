"""Products of matrices with many more rows than columns, by the library that is the faster one on this processor."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

_IMAGES = 16
"""Images in a batch into which rows are cut for a convolution: on one thread PyTorch gives oneDNN no smaller ones."""


@lru_cache(maxsize=1)
def onednn_is_faster() -> bool:
    """Whether products go to oneDNN: where there is AVX-512 and the processor is not Intel's.

    PyTorch has products made by MKL, which uses AVX-512 on Intel's alone.
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


def product(rows: Tensor, weights: Tensor, result: Tensor | None = None) -> Tensor:
    """Rows (R, K) times the transpose of weights (N, K), in `result` (R, N) where that is given."""
    if not (onednn_is_faster() and rows.dtype == torch.float32):
        return torch.mm(rows, weights.t(), out=result)
    found: Tensor = torch.ops.mkldnn._linear_pointwise(rows, weights.contiguous(), None, "none", [], "")
    return found if result is None else result.copy_(found)


def product_over_rows(left: Tensor, right: Tensor) -> Tensor:
    """left.T @ right of two high matrices (R, M) and (R, N)."""
    if onednn_is_faster() and left.dtype == torch.float32 and len(left) % _IMAGES == 0:
        weight = left.new_empty(left.shape[1], right.shape[1], 1, 1)  # only its shape is read
        _, found, _ = torch.ops.aten.convolution_backward(
            _as_batch(left), _as_batch(right), weight, None, (1, 1), (0, 0), (1, 1), False, (0, 0), 1,
            (False, True, False),
        )  # fmt: skip
        result: Tensor = found.reshape(weight.shape[:2])
        return result
    if left.shape[1] <= right.shape[1]:  # the side with fewer columns goes first, which is up to twice as fast
        return left.t() @ right
    return (right.t() @ left).t()


def _as_batch(rows: Tensor) -> Tensor:
    """Rows (R, C) as images (_IMAGES, C, 1, R / _IMAGES) in channels_last layout in the same memory."""
    return rows.reshape(_IMAGES, 1, len(rows) // _IMAGES, rows.shape[1]).permute(0, 3, 1, 2)
