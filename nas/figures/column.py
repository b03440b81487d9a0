"""A column of a published table: what others measured."""

from __future__ import annotations

from dataclasses import dataclass

from nas.benchmark_table import BenchmarkTable
from nas.figures.figure import Figure, Floats, Rows
from search_spaces import ArchSpec, SearchSpace


@dataclass(frozen=True, eq=False)
class Column(Figure):
    """A column of numbers above 0, in a unit that only the table's author knows; of members of the table's space.

    Raises ValueError where the table has no such column.
    """

    table: BenchmarkTable
    column: str

    def __post_init__(self) -> None:
        try:
            least = float(self.table.frame[self.column].min())
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{self.column}: no such column of numbers in the table") from None
        if not least > 0:
            raise ValueError(f"{self.column}: costs must be above 0")

    @property
    def name(self) -> str:
        return self.column

    @property
    def words(self) -> str:
        return self.column

    @property
    def how(self) -> str:
        return f"column {self.column}"

    def of(self, arch: ArchSpec) -> float:
        try:
            return self.table.cost(self.column, self.table.params_of(arch))
        except KeyError:
            raise ValueError(f"{self.column}: the table has no row of this network") from None

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        if space is self.table.space and self.table.mode == "fit":
            return self.table.predict(self.column, rows)
        return super().of_rows(space, rows)
