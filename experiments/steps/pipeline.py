"""The main job: all three steps of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.run.context import Bench
from experiments.run.folder import write_json
from experiments.steps.compare import run_compare, run_entries
from experiments.steps.discover import run_discover
from experiments.steps.scale import baseline_arch, run_scale
from search_spaces import format_blocks


def adopt_baseline(bench: Bench) -> dict[str, Any]:
    """Write the network that the user gives as this run's baseline; nothing is measured of it yet."""
    arch = baseline_arch(bench)
    macs, params = bench.cost(arch)
    record = {
        "id": arch.id, "accuracy": None, "n": 0, "macs": macs, "params": params, "score": None,
        "num_classes": bench.num_classes, "blocks": format_blocks(arch), "arch": dataclasses.asdict(arch),
    }  # fmt: skip
    write_json(bench.folder.baseline, record)
    return record


def run_all(bench: Bench) -> dict[str, Any]:
    """Discover (unless a baseline is given by --arch), scale, compare; returns what came out of each."""
    baseline = adopt_baseline(bench) if bench.settings.arch else run_discover(bench)
    coefficients = run_scale(bench)
    points = run_compare(bench, run_entries(bench))
    bench.narrator.say(f"done: see {bench.folder.path / 'report.html'}, {bench.folder.path / 'family.json'}")
    return {
        "baseline": baseline,
        "coefficients": {name: coefficients[name] for name in ("alpha", "beta", "gamma")},
        "frontier": [dataclasses.asdict(point) for point in points],
    }
