"""What this process may use of its machine, and when a device of it is done."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


STAT = Path("/proc/stat")


def quiet_onnxruntime() -> Any:
    """The package onnxruntime, told beforehand to collect nothing about its use: otherwise it writes files for that
    into the home folder, and by its documentation sends them to its maker. What the user's environment says stands.

    Raises ImportError where it is not installed.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return importlib.import_module("onnxruntime")


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Without what exporters and quantisers tell of their passes, by every channel there is; errors are raised."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def usable_cores() -> int:
    """CPU cores this process may use: its affinity where the system tells, else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_cores(seconds: float = 0.5) -> int:
    """How many of the usable cores are idle, as looked at for so many seconds; one at least, and all where the system
    (any but Linux) does not tell.

    Threads beyond these would be waited for at every operation, which is slower than to do without them.
    """
    before = _idle_ticks()
    if not before:
        return usable_cores()
    time.sleep(seconds)
    idle = sum(after - before[core] for core, after in _idle_ticks().items())
    return max(1, min(len(before), round(idle / (seconds * os.sysconf("SC_CLK_TCK")))))


def _idle_ticks() -> dict[int, int]:
    """Clock ticks that each usable core has been idle; none where the system does not tell."""
    try:
        lines = STAT.read_text().splitlines()
    except OSError:
        return {}
    found = {int(line.split()[0][3:]): int(line.split()[4]) for line in lines if line[:3] == "cpu" and line[3] != " "}
    return {core: idle for core, idle in found.items() if core in os.sched_getaffinity(0)}


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given; a CPU has. It need not be torch's current device."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415  seconds to load, and workers of evaluators without it use this module

        torch.cuda.synchronize(device)
