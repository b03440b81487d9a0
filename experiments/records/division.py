"""division.json: how a run divides the time that it was given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from experiments.records.record import Record
from experiments.records.values import Amount, Count


@dataclass(frozen=True)
class Amounts:
    """What a run trains. epochs: of a short training; grid: trainings of the coefficient search, at `lengths` lengths,
    the second twice the first; plot: is the scaling plot drawn; references: so many of the opponents, in their order;
    the other fields are the options of that name.
    """

    epochs: Count
    trials: Count
    confirm: Count
    confirm_seeds: Count
    grid: Count
    lengths: Count
    plot: bool
    references: Count
    final_epochs: Count
    final_seeds: Count
    family_phi: Count
    top: Count


@dataclass(frozen=True, kw_only=True)
class DivisionRecord(Record):
    """The wall seconds of a whole run, and what it trains in them. forecast: the seconds of each step when it was
    decided; begun: the steps that have begun, whose amounts are final; spent: seconds up to the last of these.
    """

    FILE = "division.json"
    WHAT = "the division of a run's time"

    seconds: Amount
    target_macs: Count
    amounts: Amounts
    forecast: Mapping[str, float]
    begun: tuple[str, ...] = ()
    spent: Amount = 0.0
