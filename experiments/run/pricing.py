"""What `--cost` names, as a figure: multiply-adds, parameters, measured latency, or a column of a published table."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from experiments.errors import UserError, from_user
from experiments.run.context import RunContext
from experiments.run.latency_book import FILE
from nas.benchmark_table import Column, TableEvaluator
from nas.figures import Activations, Figure, MultiplyAdds, Parameters
from nas.figures.figure import members
from nas.figures.latency import Latency, LatencyBook, LatencySetup, Setup
from nas.figures.latency_command import LatencyCommand
from search_spaces import SearchSpace, StagedSpace

_COUNTED: Mapping[str, Callable[[int], Figure]] = {
    "macs": MultiplyAdds,
    "params": Parameters,
    "activations": Activations,
}
"""Figures that follow from a network and its number of classes alone."""
DRAWN_FOR_EACH = 6
"""Networks of the space among which each that is measured for latency is chosen."""
LEAST_RANK = 0.5
"""Rank correlation of predicted latencies below which the user is warned."""


def resolve_figure(run: RunContext, space: SearchSpace) -> Figure:
    """The figure that the score charges for. For latency some networks of the space are measured first, before anything
    trains, and all others predicted from them. Raises UserError."""
    name, evaluator = run.settings.figures.cost, run.problem.evaluator
    if name in _COUNTED:
        return _COUNTED[name](run.num_classes)
    if isinstance(evaluator, TableEvaluator):
        try:
            return Column(evaluator.table, name)
        except ValueError as error:
            raise UserError(f"--cost {error}") from error
    if name == "latency":
        return _latency(run, space)
    known = ", ".join(_COUNTED)
    raise UserError(f"--cost must be {known} or latency (or with --benchmark one of its columns), not {name!r}")


def target_cost(run: RunContext, figure: Figure, space: SearchSpace) -> float:
    """What the score measures the figure against: --target-cost, or that of the network that the space is built around,
    else of the first plain member, else the median of 31 random members."""
    given = run.settings.figures.target_cost
    if given is not None:
        return given
    if isinstance(space, StagedSpace):
        return figure.of(space.base)
    if space.starts:
        return figure.of(space.member(space.starts[0]))
    rows = space.sample(np.random.default_rng(run.settings.general.seed), 31)
    return float(np.nanmedian(figure.of_rows(space, rows)))


def _latency(run: RunContext, space: SearchSpace) -> Latency:
    asked = run.settings.figures
    setup: Setup
    with from_user():
        if asked.latency_command is None:
            setup = LatencySetup(device=asked.latency_device, backend=asked.latency_backend, batch=asked.latency_batch)
        else:
            setup = LatencyCommand(asked.latency_command, asked.latency_batch)
    book, count = LatencyBook(run.folder.path / FILE, setup, run.num_classes), asked.latency_samples
    rows = space.sample(np.random.default_rng(run.settings.general.seed), DRAWN_FOR_EACH * count)
    archs = list({arch.id: arch for arch in members(space, rows).values()}.values())
    with run.narrator.task("measure latency", min(count, len(archs))) as task, from_user("--cost latency"):
        figure = Latency.fit(book, archs, count, task.reach)
    run.narrator.say(
        f"latency: {figure.model.n} networks measured, the others are predicted from them; each of these predicted "
        f"from the others is off by {100 * figure.model.error:.1f} % (median), rank correlation {figure.model.rank:.3f}"
    )
    if not figure.model.rank >= LEAST_RANK:  # nan where the predictions are all the same
        run.narrator.say(
            "warning: that hardly tells which network is faster: the latencies are mostly noise (does anything else "
            "run on the device, and does it time the network?) or too few, and more --latency-samples help"
        )
    return figure
