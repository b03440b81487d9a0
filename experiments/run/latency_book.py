"""Latencies of a run's networks, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from experiments.errors import from_user
from experiments.run.folder import RunFolder
from nas.figures.latency import LatencyBook, LatencySetup
from nas.figures.latency_command import LatencyCommand
from search_spaces import ArchSpec

FILE = "latency.json"
IMAGENET_CLASSES = 1000
"""Where a run does not tell its classes."""


def measured_in(run: Path, arch: ArchSpec, command: str | None = None) -> float:
    """Milliseconds of a network for one image, with the classes of the run's data: on one thread of this CPU, or by a
    command (see LatencyCommand); measured once and kept in the run folder. Raises UserError."""
    classes = RunFolder(run).read().data.num_classes or IMAGENET_CLASSES
    with from_user():
        setup = LatencySetup() if command is None else LatencyCommand(command)
        return LatencyBook(run / FILE, setup, classes)(arch)
