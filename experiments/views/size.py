"""How large a network of a run's family must be to reach an accuracy, by the trainings of the run so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from experiments.errors import UserError, from_user
from experiments.plans.forecasts import LARGEST, Measuring, probability
from experiments.records import CoefficientsRecord, FamilyRecord, RunRecord
from experiments.records.forecast import MISFIT
from experiments.run.context import usual_final_epochs
from experiments.run.folder import RunFolder
from experiments.tables.growth import read_law
from experiments.wording import in_units, size
from scaling_search import FamilyMember, family
from scaling_search.law import Law
from search_spaces import ArchSpec, count_flash, count_ram

PROBABILITIES = (0.5, 0.9)
STEP = 0.25
SMALLEST = -2
_SEEDS = 3


@dataclass(frozen=True)
class Sized:
    """The smallest network of the family that reaches the accuracy with a probability; None where none up to phi
    LARGEST does."""

    probability: float
    member: FamilyMember | None


@dataclass(frozen=True)
class Answer:
    """accuracy: what was asked for, 0..1; sizes: by probability, the lowest first; law: what it rests on."""

    accuracy: float
    how: Measuring
    sizes: tuple[Sized, ...]
    law: Law
    classes: int

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "accuracy": self.accuracy,
            "split": self.how.split,
            "epochs": self.how.epochs,
            "trainings": self.how.n,
            "lack_of_fit": self.law.lack_of_fit,
            "sizes": [
                {"probability": each.probability, "phi": None, "macs": None, "params": None, "resolution": None}
                if each.member is None
                else {
                    "probability": each.probability,
                    "phi": each.member.phi,
                    "macs": each.member.macs,
                    "params": each.member.params,
                    "resolution": each.member.resolution,
                    "ram": count_ram(each.member.arch, None, self.classes),
                    "flash": count_flash(each.member.arch, self.classes),
                }
                for each in self.sizes
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        seeds = "one training" if self.how.n == 1 else f"mean of {self.how.n} trainings"
        asked = f"{100 * self.accuracy:g} % on {self.how.split} after {self.how.epochs} epochs ({seeds})"
        told = [f"The smallest network of the family that reaches {asked}:"]
        told += [f"  with {each.probability:.0%} probability: {self._in_words(each.member)}" for each in self.sizes]
        if self.law.lack_of_fit < MISFIT:
            told.append(
                f"warning: the model does not fit the run's trainings (p = {self.law.lack_of_fit:.3f}): "
                "do not rely on this"
            )
        if any(each.member is None for each in self.sizes):
            told.append(
                f"Beyond {2**LARGEST} times the baseline's cost nothing is forecast. Where the interval is wide, train "
                "larger networks of the family first: scalenas scale ... --plot-phi 3"
            )
        return told

    def _in_words(self, member: FamilyMember | None) -> str:
        if member is None:
            return f"none up to {2**LARGEST} times the baseline's cost, as far as these trainings tell"
        at_most = "at most " if member.phi == SMALLEST else ""
        ram, flash = count_ram(member.arch, None, self.classes), count_flash(member.arch, self.classes)
        return (
            f"{at_most}{in_units(member.macs)} multiply-adds (phi {member.phi:g}), "
            f"{in_units(member.params)} parameters, {member.resolution} pixels; "
            f"in int8 {size(ram)} of RAM, {size(flash)} of flash"
        )


def size_for(folder: RunFolder, accuracy: float, epochs: int | None = None) -> Answer:
    """accuracy: 0..1; epochs: of the trainings that are to reach it (None: those of the run's frontier).

    Raises UserError where the run has no coefficients yet, or too few trainings to analyse.
    """
    record = folder.read()
    if not folder.has(CoefficientsRecord) or not folder.has(FamilyRecord):
        raise UserError(f"{folder.path}: has no coefficients yet; `scalenas run` or `scalenas scale` finds them")
    growth, members = folder.get(CoefficientsRecord), folder.get(FamilyRecord).members
    baseline = next((member.arch for member in members if member.phi == 0), None)
    if baseline is None:
        raise UserError(f"{folder.path / FamilyRecord.FILE}: it has no member with phi 0")
    with from_user(str(folder.path)):
        law = read_law(folder.path)
    if law is None:
        raise UserError(
            f"{folder.path}: the coefficient search has too few trainings to say; run `scalenas scale` with a larger "
            "--budget, or without one"
        )
    coefficients = growth.finding.coefficients
    how = _measured(record, epochs)
    classes = record.data.num_classes or 1000
    phis = [SMALLEST + STEP * i for i in range(round((LARGEST - SMALLEST) / STEP) + 1)]
    reach = probability(law, phis, coefficients, how, accuracy)

    def smallest(probable: float) -> Sized:
        found = _first(phis, reach, probable)
        grown = None if found is None else _member(baseline, coefficients, found, growth.points or "matched", classes)
        return Sized(probable, grown)

    return Answer(accuracy, how, tuple(map(smallest, PROBABILITIES)), law, classes)


def _first(phis: Sequence[float], reach: Sequence[float], probable: float) -> float | None:
    """The smallest phi from which on the accuracy is reached with the probability, whatever is larger."""
    found = None
    for phi, each in zip(reversed(phis), reversed(reach), strict=True):
        if each < probable:
            break
        found = phi
    return found


def _member(arch: ArchSpec, coefficients: Any, phi: float, rule: str, classes: int) -> FamilyMember | None:
    """The network at phi, or the next larger one that the baseline can be scaled to."""
    while phi <= LARGEST:
        members = family(arch, coefficients, [phi], rule, num_classes=classes)
        if members:
            return members[0]
        phi += STEP
    return None


def _measured(record: RunRecord, epochs: int | None) -> Measuring:
    """As the run's frontier is."""
    images = record.data.images or {}
    split = "test" if images.get("test") else "val"
    counts = (images.get("test", 0), images.get("val", 0))
    asked = epochs or record.final_epochs or usual_final_epochs(record.epochs)
    return Measuring(asked, _SEEDS, split, counts if split == "test" and all(counts) else ())
