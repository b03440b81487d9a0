"""Device slots: which devices there are, how many trials run at once, and how many CPU threads each may use."""

from __future__ import annotations

import ctypes
import gc
import os
import re
import sys
from dataclasses import dataclass

from nas.machine import usable_cores

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of <malloc.h>


@dataclass(frozen=True)
class Slot:
    """Room for one trial at a time: a device's name in torch's terms, and the CPU threads a trial may use there."""

    device: str = "cpu"
    threads: int = 1


def resolve_devices(
    devices: str = "auto", workers: int | None = None, per_device: int | None = None
) -> tuple[Slot, ...]:
    """The slots for `devices`: "auto", "cpu", or a list such as "cuda:0,cuda:1".

    auto takes every GPU, and the CPU where there is none. On GPUs there is one slot for each device listed, on the CPU
    one for each usable core; `workers` sets the number instead, dealt out over the devices in turn, or `per_device` the
    number on each. A CPU slot always has one thread, so that results do not depend on the number of slots.

    Raises ValueError, naming the device, when it is unknown or not there.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be at least 1, not {workers}")
    cores = usable_cores()
    names = _device_names(devices)
    count = workers or (per_device * len(names) if per_device else cores if names == ["cpu"] else len(names))
    threads = max(1, cores // count)
    return tuple(Slot(name, 1 if name == "cpu" else threads) for name in (names[i % len(names)] for i in range(count)))


def thread_environment(threads: int) -> dict[str, str]:
    """Environment variables that hold numeric libraries to `threads` CPU threads when they are loaded."""
    return dict.fromkeys(_THREAD_VARIABLES, str(threads))


def pin_threads(threads: int) -> None:
    """Hold torch to `threads` CPU threads in this process, whether it is loaded already or will be later."""
    os.environ.update(thread_environment(threads))
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def keep_memory() -> None:
    """Let this process reuse the memory it frees instead of giving it back, where its C library is glibc.

    The tensors of each training step are large and as those of the step before: fetched anew, every page of theirs is
    cleared by the system first.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None)
    if hasattr(libc, "gnu_get_libc_version"):
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)


def give_back_memory() -> None:
    """Give the GPU and the system back what this process has freed and kept for itself (see `keep_memory`).

    Raises what torch does where the device is lost.
    """
    gc.collect()  # a network and its hooks may hold one another
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        if hasattr(libc, "malloc_trim"):
            libc.malloc_trim(0)


def _device_names(devices: str) -> list[str]:
    gpus = gpu_count()
    if devices == "auto":
        return [f"cuda:{i}" for i in range(gpus)] or ["cpu"]
    return [_device_name(name.strip(), gpus) for name in devices.split(",")]


def _device_name(name: str, gpus: int) -> str:
    if name == "cpu":
        return name
    match = re.fullmatch(r"cuda(?::(\d+))?", name)
    if match is None:
        raise ValueError(f"device {name!r}: must be auto, cpu, or a list such as cuda:0,cuda:1")
    index = int(match[1] or 0)
    if index >= gpus:
        there = f"the GPUs here are cuda:0 to cuda:{gpus - 1}" if gpus else "no GPU was found here; use auto or cpu"
        raise ValueError(f"device {name!r}: {there}")
    return f"cuda:{index}"


def card_of(device: str) -> str:
    """What a device is, whatever its number: the GPU's name and its memory in bytes; a device without a GPU's own name.

    Equal cards have equal texts; a part of one that MIG made names itself so.
    """
    if not device.startswith("cuda"):
        return device
    import torch  # noqa: PLC0415  as below

    found = torch.cuda.get_device_properties(device)
    return f"{found.name}, {found.total_memory} bytes"


def gpu_count() -> int:
    import torch  # noqa: PLC0415  heavy, and worker processes that import this module may not need it

    return torch.cuda.device_count()
