"""What this process may use of its machine."""

from __future__ import annotations

import os


def usable_cores() -> int:
    """CPU cores this process may use: its affinity where the system tells, else all of them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
