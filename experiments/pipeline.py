"""The main job: all three steps of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.bench import Bench
from experiments.compare import run_compare, run_entries
from experiments.discover import run_discover
from experiments.rescale import run_scale


def run_all(bench: Bench) -> dict[str, Any]:
    """Discover (unless a baseline is given by --arch), scale, compare; returns what came out of each."""
    baseline = None if bench.settings.arch else run_discover(bench)
    coefficients = run_scale(bench)
    points = run_compare(bench, run_entries(bench))
    bench.narrator.say(f"done: see {bench.folder.path / 'frontier.png'}, {bench.folder.path / 'family.json'}")
    return {
        "baseline": baseline,
        "coefficients": {name: coefficients[name] for name in ("alpha", "beta", "gamma")},
        "frontier": [dataclasses.asdict(point) for point in points],
    }
