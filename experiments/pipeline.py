"""The main job: all three steps of a run."""

from __future__ import annotations

import dataclasses
from typing import Any

from experiments.plans.networks import baseline_arch
from experiments.records import BaselineRecord
from experiments.run.context import RunContext
from experiments.steps.compare import run_compare, run_entries
from experiments.steps.discover import run_discover
from experiments.steps.scale import run_scale


def adopt_baseline(run: RunContext) -> BaselineRecord:
    """Write the network that the user gives as this run's baseline; nothing is measured of it yet."""
    arch = baseline_arch(run)
    macs, params = run.macs.of(arch), run.params.of(arch)
    record = BaselineRecord.given(arch, macs, params, run.num_classes)
    run.folder.write(record)
    return record


def run_all(run: RunContext) -> dict[str, Any]:
    """Discover (unless a baseline is given by --arch), scale, compare; returns what came out of each."""
    baseline = adopt_baseline(run) if run.settings.general.arch else run_discover(run)
    found = run_scale(run, baseline.arch).finding
    points = run_compare(run, run_entries(run))
    run.narrator.say(f"done: see {run.folder.path / 'report.html'}, {run.folder.path / 'family.json'}")
    return {
        "baseline": baseline.to_json(),
        "coefficients": {"alpha": found.alpha, "beta": found.beta, "gamma": found.gamma},
        "frontier": [dataclasses.asdict(point) for point in points],
    }
