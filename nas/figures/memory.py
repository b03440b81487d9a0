"""Peak RAM and flash: what a network takes of a device's memory, counted."""

from __future__ import annotations

from dataclasses import dataclass

from nas.figures.figure import Figure
from search_spaces import ArchSpec, count_flash, count_ram
from search_spaces.memory import INT8


@dataclass(frozen=True)
class PeakRam(Figure):
    """Bytes of the peak of live activations for one image at the network's own resolution (`count_ram`)."""

    num_classes: int = 1000
    precision: str = INT8
    name = "ram"
    unit = "bytes"

    @property
    def words(self) -> str:
        return f"peak RAM ({self.precision}), bytes"

    @property
    def noun(self) -> str:
        return f"bytes of RAM ({self.precision})"

    def of(self, arch: ArchSpec) -> int:
        return count_ram(arch, None, self.num_classes, self.precision)


@dataclass(frozen=True)
class Flash(Figure):
    """Bytes of the weights (`count_flash`)."""

    num_classes: int = 1000
    precision: str = INT8
    name = "flash"
    unit = "bytes"

    @property
    def words(self) -> str:
        return f"flash ({self.precision}), bytes"

    @property
    def noun(self) -> str:
        return f"bytes of flash ({self.precision})"

    def of(self, arch: ArchSpec) -> int:
        return count_flash(arch, self.num_classes, self.precision)
