"""What the score charges for: multiply-adds, parameters, measured latency, or a cost column of a published table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.errors import UserError, from_user
from experiments.run.context import RunContext
from experiments.run.latency_book import FILE
from nas.benchmark_table import BenchmarkTable, TableEvaluator
from nas.figures.latency import LatencyBook, Protocol, fit_latency
from nas.figures.latency_model import LatencyModel
from nas.samplers.costs import Macs, StagedMacs
from search_spaces import ArchSpec, SearchSpace, StagedSpace, count_macs, count_params

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Pricing:
    """A cost. name: macs, params, latency or a column; words and unit: for people; how: all that a figure depends on.

    of_params: of a space's parameters, fast enough for thousands (the sampler's). of_arch: what is stored with a trial
    and charged for. exact: of the few networks that are confirmed, measured where the others are predicted.
    """

    name: str
    words: str
    unit: str
    how: str
    of_params: Macs
    of_arch: Callable[[ArchSpec], float]
    exact: Callable[[ArchSpec], float]


@dataclass(frozen=True)
class DecodedCost:
    """A cost of architectures as one of parameters, many at once; each is counted once."""

    space: SearchSpace
    of_archs: Callable[[Sequence[ArchSpec]], NDArray[np.float64]]
    known: dict[tuple[tuple[str, Any], ...], float] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, params: Params) -> float:
        return float(self.batch([params])[0])

    def batch(self, params: Sequence[Params]) -> NDArray[np.float64]:
        """Costs, shape (n,)."""
        names = [tuple(each.items()) for each in params]
        new = {name: each for name, each in zip(names, params, strict=True) if name not in self.known}
        if new:
            costs = self.of_archs([self.space.decode(each) for each in new.values()])
            self.known.update(zip(new, map(float, costs), strict=True))
        return np.array([self.known[name] for name in names])


def resolve_pricing(run: RunContext, space: SearchSpace) -> Pricing:
    """The cost that `--cost` names. For latency some networks of the space are measured first, before anything trains,
    and all others predicted from them. Raises UserError."""
    name, classes = run.settings.figures.cost, run.num_classes
    if name == "macs":

        def multiply_adds(arch: ArchSpec) -> float:
            return float(count_macs(arch, None, classes))

        cost_of: Macs = macs_of(space, classes)
        return Pricing(name, "FLOPs (multiply-adds)", "", "multiply-adds", cost_of, multiply_adds, multiply_adds)
    if name == "params":

        def counted(arch: ArchSpec) -> float:
            return float(count_params(arch, classes))

        cost = DecodedCost(space, lambda archs: np.array([counted(arch) for arch in archs]))
        return Pricing(name, "parameters", "", "parameters", cost, counted, counted)
    evaluator = run.problem.evaluator
    if isinstance(evaluator, TableEvaluator):
        return _column(evaluator.table, space, name)
    if name == "latency":
        return _latency(run, space)
    raise UserError(f"--cost must be macs, params or latency (or with --benchmark one of its columns), not {name!r}")


def target_cost(run: RunContext, pricing: Pricing, space: SearchSpace) -> float:
    """What the score measures the cost against: --target-cost, or the cost of the network that the space is built
    around (of a space without one, the median of 31 random members)."""
    given = run.settings.figures.target_cost
    if given is not None:
        return given
    if isinstance(space, StagedSpace):
        return pricing.exact(space.base) if pricing.name != "latency" else pricing.of_arch(space.base)
    rows = space.sample(np.random.default_rng(run.settings.general.seed), 31)
    return float(np.median([pricing.of_params(space.params(row)) for row in rows]))


def macs_of(space: SearchSpace, num_classes: int) -> Macs:
    """MACs of a space's parameters, by tables where the space has them."""
    if isinstance(space, StagedSpace):
        return StagedMacs(space, num_classes)
    return lambda params: count_macs(space.decode(params), None, num_classes)


def _column(table: BenchmarkTable, space: SearchSpace, name: str) -> Pricing:
    def of_arch(arch: ArchSpec) -> float:
        return table.cost(name, table.params_of(arch))

    @dataclass(frozen=True)
    class Column:
        def __call__(self, params: Params) -> float:
            return table.cost(name, params)

        def batch(self, params: Sequence[Params]) -> NDArray[np.float64]:
            return table.predict(name, np.array([space.indices(each) for each in params]))

    try:
        if float(table.frame[name].min()) <= 0:
            raise UserError(f"--cost {name}: costs must be above 0")
    except (KeyError, TypeError):
        raise UserError(f"--cost {name}: no such column of numbers in the table") from None
    return Pricing(name, name, "", f"column {name}", Column(), of_arch, of_arch)


def _latency(run: RunContext, space: SearchSpace) -> Pricing:
    asked = run.settings.figures
    with from_user():
        protocol = Protocol(device=asked.latency_device, backend=asked.latency_backend, batch=asked.latency_batch)
    book = LatencyBook(run.folder.path / FILE, protocol, run.num_classes)
    rows = space.sample(np.random.default_rng(run.settings.general.seed), asked.latency_samples)
    archs: dict[str, ArchSpec] = {}
    for row in rows:
        try:
            arch = space.decode(space.params(row))
        except ValueError:
            continue  # parameters that make no network
        archs[arch.id] = arch
    with run.narrator.task("measure latency", len(archs)) as task, from_user("--cost latency"):
        model: LatencyModel = fit_latency(book, list(archs.values()), task.reach)
    return Pricing(
        "latency", "latency", "ms", f"latency: {protocol.words}", DecodedCost(space, model.predict), model, book
    )
