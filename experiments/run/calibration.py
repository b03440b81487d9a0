"""What was measured of a run's devices, as records of its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from experiments.records import Record
from experiments.records.values import Amount, Within, plain, read_value
from nas.training.speed import Speed

_MEND = "remove it, and it is measured anew"


@dataclass(frozen=True)
class SpeedRecord(Record):
    """How fast the slots train. of: what that depends on beside the networks, the cards of the slots among it; macs: of
    the two that were timed.
    """

    FILE = "speed.json"
    WHAT = "the calibration of a run"
    MEND = _MEND

    of: Mapping[str, Any]
    macs: tuple[Amount, Amount]
    speed: Speed


@dataclass(frozen=True)
class PackedDevice:
    """How many slots each device of a kind has, and what was measured for it to be so many."""

    slots: Annotated[int, Within(1)]
    measured: Any


@dataclass(frozen=True)
class PackingRecord(Record):
    """The slots of each card, by name and memory, that was left to measuring. The file is an object of them.

    Older files name devices, such as "cuda:0", by which no card is found.
    """

    FILE = "packing.json"
    WHAT = "the packing of a run"
    MEND = _MEND

    devices: Mapping[str, PackedDevice]

    @classmethod
    def from_json(cls, value: Any) -> PackingRecord:
        return cls(read_value(Mapping[str, PackedDevice], value))

    def to_json(self) -> Any:
        return plain(self.devices)
