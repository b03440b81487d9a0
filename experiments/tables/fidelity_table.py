"""The trainings of a fidelity check as a table, and the ranking of networks by it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from experiments.tables.csv_rows import to_csv
from nas.evaluation import Fidelity
from nas.rank_fidelity import Agreement, Floats, Short, measure_agreement

SHORT, SCRATCH, LONG = TRAININGS = ("short", "short from scratch", "long")
"""From scratch are those without the weights that all others begin with."""


@dataclass(frozen=True)
class FidelityRow:
    """One training of a check, as fidelity.csv has it.

    training: one of TRAININGS. accuracy: in 0..1, None where it failed; failure: its kind, or nothing.
    """

    network: str
    arch_id: str
    macs: int
    params: int
    training: str
    epochs: int
    train_fraction: float
    seed: int
    accuracy: float | None
    seconds: float
    failure: str

    @property
    def short(self) -> Short:
        """Its length and how it began; of a long one, too."""
        return Short(Fidelity(self.epochs, self.train_fraction), self.training == SCRATCH)


@dataclass(frozen=True)
class Ranking:
    """What the networks of which no training failed reached.

    macs and params: (n,) counts. short: accuracies (n, seeds) of each short training; long: (n, seeds) at the long one.
    """

    names: tuple[str, ...]
    macs: Floats
    params: Floats
    short: Mapping[Short, Floats]
    long_fidelity: Fidelity
    long: Floats

    def agreement(self, seed: int) -> Agreement:
        """How well the short trainings, MACs and parameters rank as the long training does. Raises ValueError with
        fewer networks than `nas.rank_fidelity.FEWEST`."""
        return measure_agreement(self.short, {"MACs": self.macs, "parameters": self.params}, self.long, seed)


def ranking(rows: Sequence[FidelityRow]) -> Ranking:
    """The networks that have an accuracy of every training there is. Raises ValueError where the rows are not of one
    check, with short trainings and one length of long ones."""
    strange = next((row.training for row in rows if row.training not in TRAININGS), None)
    if strange is not None:
        raise ValueError(f"column 'training': {strange!r} is none of {', '.join(TRAININGS)}")
    short, longest = (_seeds(rows, kinds) for kinds in ((SHORT, SCRATCH), (LONG,)))
    if not short or len(longest) != 1:
        raise ValueError("column 'training': there must be short trainings, and long ones of one length")
    ((long, long_seeds),) = longest.items()
    reached = {(row.network, row.short, row.seed): row.accuracy for row in rows if row.accuracy is not None}
    wanted = [(training, seed) for of in (short, longest) for training, seeds in of.items() for seed in seeds]
    first = {row.network: row for row in reversed(rows)}
    names = [name for name in dict.fromkeys(row.network for row in rows) if all((name, *w) in reached for w in wanted)]

    def accuracies(training: Short, seeds: Sequence[int]) -> Floats:
        values = [[reached[name, training, seed] for seed in seeds] for name in names]
        return np.array(values, float).reshape(len(names), len(seeds))

    return Ranking(
        tuple(names),
        np.array([first[name].macs for name in names], float),
        np.array([first[name].params for name in names], float),
        {training: accuracies(training, seeds) for training, seeds in short.items()},
        long.fidelity,
        accuracies(long, long_seeds),
    )


def _seeds(rows: Sequence[FidelityRow], kinds: Sequence[str]) -> dict[Short, list[int]]:
    """The seeds of each of these trainings."""
    found: dict[Short, list[int]] = {}
    for row in rows:
        if row.training in kinds and row.seed not in found.setdefault(row.short, []):
            found[row.short].append(row.seed)
    return found


def fidelity_csv(rows: Sequence[FidelityRow]) -> str:
    """One row a training; `read_rows` reads it back."""
    return to_csv(pd.DataFrame([asdict(row) for row in rows]))
