"""baseline.json: the network that a run found or was given."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from experiments.records.record import Record
from experiments.records.values import ABSENT, Amount, Classes, Count, Share
from experiments.wording import FOUND
from nas.evaluation import Fidelity
from search_spaces import ArchSpec, format_blocks

_OF_TRAININGS = ("accuracy_std", "split", "fidelity", "cost", "cost_of", "target_macs", "int8", "int8_std")


@dataclass(frozen=True, kw_only=True)
class BaselineRecord(Record):
    """A network with its counts, and what it reached over `n` seeds: nothing, n = 0, where it was given.

    accuracy: the mean, in 0..1, on `split` after trainings of `fidelity`; accuracy_std: over seeds, None for one.
    int8, int8_std: the same after quantisation to int8, where that was measured.
    score: of that accuracy and `cost`, the figure that the search charged for (cost_of: which), at target_macs.
    blocks: the stages as a block string.
    """

    FILE = "baseline.json"
    WHAT = "a run's baseline"

    id: str
    accuracy: Share | None
    accuracy_std: Amount | None = None
    n: Count
    split: str = "val"
    fidelity: Fidelity | None = field(default=None, metadata=ABSENT)
    macs: Count
    params: Count
    score: float | None
    cost: float | None = field(default=None, metadata=ABSENT)
    cost_of: str | None = field(default=None, metadata=ABSENT)
    target_macs: float | None = field(default=None, metadata=ABSENT)
    num_classes: Classes | None = field(default=None, metadata=ABSENT)
    blocks: str = ""
    int8: Share | None = field(default=None, metadata=ABSENT)
    int8_std: Amount | None = field(default=None, metadata=ABSENT)
    arch: ArchSpec

    @classmethod
    def given(cls, arch: ArchSpec, macs: int, params: int, num_classes: int) -> BaselineRecord:
        """A network of the user's, of which nothing is measured yet."""
        return cls(
            id=arch.id, accuracy=None, n=0, macs=macs, params=params, score=None, num_classes=num_classes,
            blocks=format_blocks(arch), arch=arch,
        )  # fmt: skip

    @property
    def called(self) -> str:
        """How sentences call it."""
        return "the network given" if self.accuracy is None else FOUND

    def to_json(self) -> dict[str, Any]:
        """As `Record.to_json`; nothing of trainings where there were none."""
        whole: dict[str, Any] = super().to_json()
        return whole if self.n else {key: value for key, value in whole.items() if key not in _OF_TRAININGS}
