"""family.json: the baseline at every phi."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from experiments.records.record import Record
from experiments.records.values import RecordError, plain, read_value
from scaling_search import FamilyMember


@dataclass(frozen=True)
class FamilyRecord(Record):
    """The members by phi, the smallest first; that of phi 0 is the baseline. The file is a list of them."""

    FILE = "family.json"
    WHAT = "a run's family"

    members: tuple[FamilyMember, ...]

    @classmethod
    def from_json(cls, value: Any) -> FamilyRecord:
        members = read_value(tuple[FamilyMember, ...], value)
        if not members:
            raise RecordError("it has no member")
        return cls(members)

    def to_json(self) -> list[Any]:
        return [plain(member) for member in self.members]
