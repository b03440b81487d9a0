"""What an exception of a training means, by its type and text: the one table of what libraries say of memory that ran
out and of devices that are lost."""

from __future__ import annotations

import re
from typing import Literal

Cause = Literal["memory", "device", "program"]

_MEMORY = (
    "memoryerror",  # by name: torch's OutOfMemoryError, of which an evaluator without torch need not know
    "out of memory",  # CUDA, HIP, MPS and XPU, from torch's allocator as from the runtime and the driver
    "can't allocate memory",  # torch on the CPU
    "cannot allocate memory",  # the system's ENOMEM
    "not enough memory",  # torch on the CPU of Windows
    "alloc_failed",  # CUBLAS_STATUS_ALLOC_FAILED, and as cuDNN, cuSPARSE, cuSOLVER, cuFFT and hipBLAS say it
    "allocation_failed",  # cuDNN 9 and cuRAND
    "statusallocfailed",  # MIOpen
    "unable to find an engine",  # torch, after every algorithm of cuDNN has failed: mostly for want of memory
    "unable to find a valid cudnn algorithm",  # the same of older versions
    "nvml_success == r internal assert failed",  # torch, where it cannot ask how much memory is free for its message
)
_DEVICE = (
    "cuda error",
    "cuda driver error",
    "cuda unknown error",
    "no cuda gpus are available",
    "cudagetdevicecount",
    "hip error",
    "no hip gpus are available",
    "hipgetdevicecount",
    "cudnn_status_execution_failed",
    "device-side assert",
    "illegal memory access",
    "unspecified launch failure",
    "uncorrectable ecc",
    "driver error: device lost",
    "gpu is lost",
    "fallen off the bus",
)
_DEVICE_LOST = re.compile(rf"\b(?:{'|'.join(map(re.escape, _DEVICE))})\b")  # as words: a chip error is no HIP error


def cause_of(error: BaseException | str) -> Cause:
    """Whether memory ran out, the device answers nothing more in this process, or the program is at fault.

    error: an exception, or the text of one. Memory is looked for first: the runtime calls that an error of CUDA too,
    but it leaves the device as it was.
    """
    if isinstance(error, MemoryError):
        return "memory"
    text = (error if isinstance(error, str) else f"{type(error).__name__}: {error}").lower()
    if any(sign in text for sign in _MEMORY):
        return "memory"
    return "device" if _DEVICE_LOST.search(text) else "program"


def out_of_memory(error: Exception) -> str | None:
    """One line about the memory that ran out, or None for any other error."""
    if cause_of(error) != "memory":
        return None
    return str(error).splitlines()[0] if str(error) else "out of memory"
