"""The main job: all three steps of a run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from typing import Any

from experiments.options.groups import parse_budget
from experiments.plans.networks import baseline_arch
from experiments.plans.search import typical_arch
from experiments.plans.timetable import FRONTIER, GROWTH, SEARCH, Timetable
from experiments.records import BaselineRecord
from experiments.run.context import RunContext
from experiments.run.teacher import check_teacher
from experiments.steps.compare import (
    forecast_compare,
    forecast_run_entries,
    no_further_seed,
    run_compare,
    run_entries,
)
from experiments.steps.discover import forecast_discover, run_discover
from experiments.steps.forecast import run_forecast
from experiments.steps.scale import forecast_scale, run_scale
from experiments.wording import duration


def adopt_baseline(run: RunContext) -> BaselineRecord:
    """Write the network that the user gives as this run's baseline; nothing is measured of it yet."""
    arch = baseline_arch(run)
    macs, params = run.macs.of(arch), run.params.of(arch)
    record = BaselineRecord.given(arch, macs, params, run.num_classes)
    run.folder.write(record)
    return record


def forecast_all(run: RunContext, given: Collection[str] = ()) -> dict[str, Any]:
    """Say, and return, what a whole run would cost, a step after another; nothing is trained but a few steps to time
    them. What the search would find is not known: a network of its space stands for it.

    given: as in run_all.
    """
    _timetable(run, given)
    own, found = run.settings.general.arch, run.folder.find(BaselineRecord)
    search = None if own else forecast_discover(run)
    arch = baseline_arch(run) if own or found else typical_arch(run)
    forecasts = {
        **({} if search is None else {"discover": search}),
        "scale": forecast_scale(run, arch),
        "compare": forecast_compare(run, forecast_run_entries(run, arch)),
    }
    seconds = [each["seconds"] for each in forecasts.values()]
    total = None if None in seconds else sum(seconds)
    if total is not None:
        run.narrator.say(f"in all: about {duration(total)}")
    return {"seconds": total, **forecasts}


def _timetable(run: RunContext, given: Collection[str]) -> Timetable | None:
    """Of the time that --budget gives; None where it gives none."""
    budget = run.settings.growth.budget
    hours = None if budget is None else parse_budget(budget).hours
    return None if hours is None else Timetable.begin(run, round(3600 * hours, 3), set(given) - {"budget"})


def run_all(run: RunContext, given: Collection[str] = ()) -> dict[str, Any]:
    """Discover (unless a baseline is given by --arch), scale, compare; returns what came out of each.

    given: the names of the options that the user has decided, which a budget in time leaves as they are.
    """
    table = _timetable(run, given)
    check_teacher(run)
    if table is None:  # else it is decided later, or has been
        run.folder.check({"final epochs": run.final.epochs})
    enter: Callable[[str], None] = (lambda _: None) if table is None else table.enter
    enter(SEARCH)
    baseline = adopt_baseline(run) if run.settings.general.arch else run_discover(run)
    enter(GROWTH)
    found = run_scale(run, baseline.arch).finding
    enter(FRONTIER)
    run_forecast(run)
    points = run_compare(run, run_entries(run), no_further_seed if table is None else table.another_seed)
    run.narrator.say(f"done: see {run.folder.path / 'report.html'}, {run.folder.path / 'family.json'}")
    return {
        "baseline": baseline.to_json(),
        "coefficients": {"alpha": found.alpha, "beta": found.beta, "gamma": found.gamma},
        "frontier": [dataclasses.asdict(point) for point in points],
    }
