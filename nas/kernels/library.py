"""The compiled loops of the CPU (`_depthwise.c`, `_gate.c`, `_norm.c`), built when the package is installed."""

from __future__ import annotations

import ctypes
import importlib.util
from functools import lru_cache

import torch
from torch import Tensor

_SUFFIXES = {torch.float32: "f32", torch.float64: "f64"}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | None:
    """The loops, or None where the package was installed without a compiler."""
    found = importlib.util.find_spec("nas.kernels._kernels")
    if found is None or found.origin is None:
        return None
    try:
        return ctypes.CDLL(found.origin)
    except OSError:
        return None


def suits(images: Tensor) -> bool:
    """Whether the loops can read these images (N, C, H, W): on the CPU, of a known type, in channels_last layout.

    Not inside autocast, which is to choose the type of each operation.
    """
    return (
        not torch.is_autocast_enabled("cpu")
        and images.device.type == "cpu"
        and images.dtype in _SUFFIXES
        and images.is_contiguous(memory_format=torch.channels_last)
        and images.numel() > 0
    )


def one_thread() -> bool:
    """Whether torch computes on one thread here, for which alone most loops are made."""
    return torch.get_num_threads() == 1


def call(name: str, shape: ctypes.Structure, *tensors: Tensor) -> None:
    """Run the loop `name` on tensors of one type. Raises MemoryError."""
    function = getattr(library(), f"{name}_{_SUFFIXES[tensors[0].dtype]}")
    if function(ctypes.byref(shape), *(ctypes.c_void_p(tensor.data_ptr()) for tensor in tensors)):
        raise MemoryError(f"no memory for {name.replace('_', ' ')}")
