"""Latencies of a run's networks, kept in its folder."""

from __future__ import annotations

from pathlib import Path

from experiments.errors import from_user
from experiments.run.folder import RunFolder
from nas.figures.latency import LatencyBook, LatencySetup
from search_spaces import ArchSpec

FILE = "latency.json"


def measured_in(run: Path, arch: ArchSpec) -> float:
    """Milliseconds of a network for one image on one thread of this CPU, with the classes of the run's data; measured
    once and kept in the run folder."""
    record = RunFolder(run).read()
    classes = len(record.get("data", {}).get("classes", ())) or 1000
    with from_user():
        return LatencyBook(run / FILE, LatencySetup(), classes)(arch)
