"""What the texts of CUDA, cuDNN, HIP, MPS and the system mean to a trial: as libraries write them, through the seam."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from nas.evaluation import Failure
from nas.failure_causes import cause_of, out_of_memory
from nas.pool.executor import Finished, evaluate_safely, prepare_worker
from nas.pool.messages import Lost, Run
from nas.pool.worker import serve
from tests.helpers.evaluators import Prepared, Raises, request

TAIL = "\nCUDA kernel errors might be asynchronously reported at some other API call\nFor debugging consider passing"

MEMORY = [
    MemoryError(),
    OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.1 GiB"),
    torch.OutOfMemoryError("HIP out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("CUDA error: out of memory" + TAIL),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("HIP error: out of memory" + TAIL.replace("CUDA", "HIP")),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("CUDA error: HIPBLAS_STATUS_ALLOC_FAILED when calling `hipblasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_ALLOC_FAILED, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("cuFFT error: CUFFT_ALLOC_FAILED"),
    RuntimeError("FIND was unable to find an engine to execute this computation"),
    RuntimeError("GET was unable to find an engine to execute this computation"),
    RuntimeError("Unable to find a valid cuDNN algorithm to run convolution"),
    RuntimeError('NVML_SUCCESS == r INTERNAL ASSERT FAILED at "../c10/cuda/CUDACachingAllocator.cpp":995'),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.1 GB, other allocations: 1.2 MB, max allowed: 18.1 GB)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried"),
]
DEVICE = [
    "CUDA error: device-side assert triggered" + TAIL,
    "CUDA error: an illegal memory access was encountered" + TAIL,
    "CUDA error: unspecified launch failure" + TAIL,
    "CUDA error: uncorrectable ECC error encountered" + TAIL,
    "CUDA error: misaligned address" + TAIL,
    "CUDA error: device not ready",
    "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`",
    "CUDA driver error: device lost",
    "CUDA unknown error - this may be due to an incorrectly set up environment",
    "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    "HIP error: unspecified launch failure",
    "HIP error: the operation cannot be performed in the present state",
    "No CUDA GPUs are available",
    "No HIP GPUs are available",
    "Unexpected error from cudaGetDeviceCount(). Error 804: forward compatibility was attempted",
    "Unable to determine the device handle: GPU is lost. Reboot the system",
]
PROGRAM = [
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. You may have passed in a non-contiguous input"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied (64x40 and 64x10)"),
    ValueError("8 is out of range"),
    ValueError("relationship error in row 3"),
    RuntimeError("chip error"),
    OSError("microscope: device not ready"),
    KeyError("memory"),
]


def name(error: object) -> str:
    return f"{type(error).__name__} {error}"[:60]


@pytest.mark.parametrize("error", MEMORY, ids=name)
def test_memory_that_runs_out_is_known_whoever_says_so(error: Exception) -> None:
    outcome = evaluate_safely(Raises(error), request(), "cuda:0", lambda _epoch, _value: True)
    assert outcome.failure is not None
    assert outcome.failure.kind == "oom"
    answer = serve(Run(3, request()), Raises(error), "cuda:0", lambda _epoch, _value: True)
    assert isinstance(answer, Finished)  # and the worker stays
    line = out_of_memory(error)
    assert line
    assert "\n" not in line
    assert cause_of(str(error)) == "memory" or not str(error)


@pytest.mark.parametrize("text", DEVICE, ids=name)
def test_a_device_that_is_lost_ends_the_worker_and_not_the_trial(text: str) -> None:
    answer = serve(Run(3, request()), Raises(RuntimeError(text)), "cuda:0", lambda _epoch, _value: True)
    assert isinstance(answer, Lost)
    assert prepare_worker(Prepared(os.devnull, fails=RuntimeError(text)), "cuda:0") is None  # left to the first trial
    assert cause_of(RuntimeError(text)) == "device"
    assert out_of_memory(RuntimeError(text)) is None


@pytest.mark.parametrize("error", PROGRAM, ids=name)
def test_a_defect_is_a_crash(error: Exception) -> None:
    answer = serve(Run(3, request()), Raises(error), "cuda:0", lambda _epoch, _value: True)
    assert isinstance(answer, Finished)
    assert answer.outcome.failure is not None
    assert answer.outcome.failure == Failure("crashed", answer.outcome.failure.message)
    assert cause_of(error) == "program"
    assert out_of_memory(error) is None
