"""Multiply-adds, parameters and activations: the figures that are counted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from nas.figures.figure import Figure, Floats, Rows
from search_spaces import ArchSpec, CostTable, SearchSpace, StagedSpace, cost_table, network_cost


@dataclass(frozen=True)
class MultiplyAdds(Figure):
    """Multiply-adds for one image at the network's own resolution."""

    num_classes: int = 1000
    name = "macs"
    words = "FLOPs (multiply-adds)"
    how = "multiply-adds"
    noun = "MACs"

    def of(self, arch: ArchSpec) -> int:
        return _counted(arch, self.num_classes)[0]

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        tabled = _tabled(space, rows, self.num_classes)
        return super().of_rows(space, rows) if tabled is None else tabled[:, 0]


@dataclass(frozen=True)
class Parameters(Figure):
    """Trainable parameters."""

    num_classes: int = 1000
    name = "params"
    words = "parameters"
    noun = "parameters"

    def of(self, arch: ArchSpec) -> int:
        return _counted(arch, self.num_classes)[1]

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        tabled = _tabled(space, rows, self.num_classes)
        return super().of_rows(space, rows) if tabled is None else tabled[:, 1]


@dataclass(frozen=True)
class Activations(Figure):
    """Values that the layers write for one image at the network's own resolution: what moves through memory."""

    num_classes: int = 1000
    name = "activations"
    words = "activations"
    noun = "activations"

    def of(self, arch: ArchSpec) -> int:
        return _counted(arch, self.num_classes)[2]


def counts(num_classes: int) -> tuple[MultiplyAdds, Parameters]:
    """The first two, which every trial tells."""
    return MultiplyAdds(num_classes), Parameters(num_classes)


@lru_cache(maxsize=64)
def _counted(arch: ArchSpec, num_classes: int) -> tuple[int, int, int]:
    """All in one fold: who asks for one of a network soon asks for another."""
    cost = network_cost(arch, None, num_classes)
    return cost.macs, cost.params, cost.activations


def _tabled(space: SearchSpace, rows: Rows, num_classes: int) -> Floats | None:
    """Multiply-adds and parameters by tables, shape (n, 2); None where the space has none, or a row makes no network.
    Tables make thousands of rows cost what a few networks do.
    """
    if not isinstance(space, StagedSpace):
        return None
    try:
        return _table(space, num_classes).count(rows).astype(float)
    except ValueError:
        return None


@lru_cache(maxsize=16)
def _table(space: StagedSpace, num_classes: int) -> CostTable:
    return cost_table(space, num_classes)
