"""fidelity.json: whether short trainings rank networks as a long one does."""

from __future__ import annotations

from dataclasses import dataclass, field

from experiments.records.record import Record
from experiments.records.values import FLAT, Amount, Count
from nas.evaluation import Fidelity
from nas.rank_fidelity import Ceiling, Estimate, StandIn


@dataclass(frozen=True)
class LongTraining:
    """The long training, and its seeds."""

    fidelity: Fidelity
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class JudgedStandIn:
    """A cheap figure in place of the long training, and the images that it sees, in units of the training set."""

    stand_in: StandIn = field(metadata=FLAT)
    images: Amount


@dataclass(frozen=True, kw_only=True)
class FidelityRecord(Record):
    """A check of so many candidates, without those `left_out` (by name) of which a training failed.

    bar: the least tau of a fidelity to recommend; recommended: its name, None where none reaches the bar. verdict: the
    finding, a line each.
    """

    FILE = "fidelity.json"
    WHAT = "the result of a fidelity check"

    data: str
    recipe: str
    split: str
    candidates: Count
    left_out: tuple[str, ...]
    long: LongTraining
    short_seeds: tuple[int, ...]
    stand_ins: tuple[JudgedStandIn, ...]
    ceilings: tuple[Ceiling, ...]
    long_repeats: Estimate | None
    bar: float
    recommended: str | None
    verdict: tuple[str, ...]
