"""What a network takes of a device's memory: peak of live activations (RAM), bytes of weights (flash)."""

from search_spaces.memory.flash import count_flash, part_flash
from search_spaces.memory.peak import Live, PartPeak, Peak, count_ram, part_peaks
from search_spaces.memory.precision import BYTES, INT8

__all__ = ["BYTES", "INT8", "Live", "PartPeak", "Peak", "count_flash", "count_ram", "part_flash", "part_peaks"]
