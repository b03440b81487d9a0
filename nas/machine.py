"""What this process may use of its machine, and when a device of it is done."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def usable_cores() -> int:
    """CPU cores this process may use: its affinity where the system tells, else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def free_cores() -> int:
    """Those of the usable cores that the last minute's load leaves, one at least; all where the system tells no load.

    Threads beyond these would be waited for at every operation, which is slower than to do without them.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return max(1, usable_cores() - round(load))


def wait_for(device: torch.device) -> None:
    """Return when the device has done all that it was given; a CPU has. It need not be torch's current device."""
    if device.type == "cuda":
        import torch  # noqa: PLC0415  seconds to load, and workers of evaluators without it use this module

        torch.cuda.synchronize(device)
