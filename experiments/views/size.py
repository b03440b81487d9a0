"""How large a network of a run's family must be to reach an accuracy, by the trainings of the run so far."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from experiments.errors import UserError
from experiments.plans.forecasts import LARGEST, forecast_family, probabilities, read_law
from experiments.records import CoefficientsRecord, ForecastRecord
from experiments.records.forecast import MISFIT
from experiments.run.context import usual_final_epochs
from experiments.run.folder import RunFolder
from experiments.tables.growth import family_baseline
from experiments.wording import in_units, size
from scaling_search import FamilyMember, family
from search_spaces import ArchSpec, count_flash, count_ram

PROBABILITIES = (0.5, 0.9)
SMALLEST, STEP = -2, 0.25
"""phi of the smallest network that is looked at, and from one to the next."""
SEEDS = 3
"""Trainings whose mean is to reach the accuracy."""
_UNKNOWN_CLASSES = 1000


@dataclass(frozen=True)
class Sized:
    """The smallest network of the family that reaches the accuracy with a probability, its bytes of RAM and flash in
    int8, and the ends of the 90 % interval of its accuracy; None where there is no such network."""

    probability: float
    member: FamilyMember | None
    ram: int | None = None
    flash: int | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Answer:
    """accuracy: what was asked for, 0..1; sizes: by probability, the lowest first; smallest: phi of the smallest
    network looked at; forecast: of all of them; native: pixels of the images' shorter side, None where unknown."""

    accuracy: float
    sizes: tuple[Sized, ...]
    smallest: float
    forecast: ForecastRecord
    native: int | None = None

    @property
    def surest(self) -> ArchSpec:
        """The network of the highest probability. Raises UserError where there is none."""
        member = self.sizes[-1].member
        if member is None:
            raise UserError(
                f"no network to write: none reaches {100 * self.accuracy:g} % with a probability of "
                f"{100 * self.sizes[-1].probability:.0f} %"
            )
        return member.arch

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        how = self.forecast
        return {
            "metric": how.metric,
            "value": self.accuracy,
            "split": how.split,
            "epochs": how.epochs,
            "trainings": how.n,
            "lack_of_fit": how.lack_of_fit,
            "sizes": [
                {
                    "probability": each.probability,
                    **{
                        name: None if each.member is None else getattr(each.member, name)
                        for name in ("phi", "macs", "params", "resolution")
                    },
                    "ram": each.ram,
                    "flash": each.flash,
                    "interval": None if each.low is None else [each.low, each.high],
                }
                for each in self.sizes
            ],
        }

    def lines(self) -> list[str]:
        """For people."""
        told = [f"To reach {100 * self.accuracy:g} % ({self.forecast.how}), the smallest network of the family is"]
        told += [
            f"  with a probability of {100 * each.probability:.0f} %: {self._in_words(each)}" for each in self.sizes
        ]
        if self.forecast.lack_of_fit < MISFIT:
            told.append(
                f"warning: the model does not fit the run's trainings (p = {self.forecast.lack_of_fit:.3f}): "
                "do not rely on this"
            )
        largest = max((each.member.resolution for each in self.sizes if each.member is not None), default=0)
        if self.native is not None and largest > self.native:
            told.append(
                f"warning: the images have {self.native} pixels and are enlarged to {largest}, which shows no more of "
                "them: from there on more pixels may bring less than the forecast expects"
            )
        if self.sizes[-1].member is None:
            told.append(
                "A longer scaling plot makes forecasts of large networks surer (scale --plot-phi 3), as do trainings "
                "as long as those asked for (scale --lengths)."
            )
        return told

    def _in_words(self, sized: Sized) -> str:
        member = sized.member
        if member is None or sized.ram is None or sized.flash is None or sized.low is None or sized.high is None:
            return f"none up to {2**LARGEST} times the baseline's cost, as far as these trainings tell"
        at_most = "at most " if member.phi == self.smallest else ""
        return (
            f"{at_most}{in_units(member.macs)} multiply-adds (phi {member.phi:g}), "
            f"{in_units(member.params)} parameters, {member.resolution} pixels; "
            f"in int8 {size(sized.ram)} of RAM, {size(sized.flash)} of flash; "
            f"forecast {100 * sized.low:.1f} to {100 * sized.high:.1f} % (90 %)"
        )


def size_for(folder: RunFolder, accuracy: float, epochs: int | None = None) -> Answer:
    """accuracy: 0..1; epochs: of the trainings that are to reach it (None: those of the run's frontier).

    Raises UserError where the run has no coefficients yet, or trainings that tell nothing (see `read_law`).
    """
    if not 0 < accuracy <= 1:
        raise UserError(f"--accuracy must be above 0 and at most 100, not {100 * accuracy:g}")
    record = folder.read()
    split = "test" if (record.data.images or {}).get("test") else "val"
    asked = epochs or _frontier_epochs(folder)
    law = read_law(folder, split, frontier=asked)
    growth = folder.get(CoefficientsRecord)
    classes = record.data.num_classes or _UNKNOWN_CLASSES
    phis = [SMALLEST + STEP * i for i in range(round((LARGEST - SMALLEST) / STEP) + 1)]
    members = family(
        family_baseline(folder.path).arch, growth.at, phis, growth.points or "matched", num_classes=classes
    )
    if not members:
        raise UserError(f"{folder.path}: its baseline cannot be scaled")
    forecast = forecast_family(
        law, members, growth,
        epochs=asked, n=SEEDS, split=split, recipe=growth.recipe or "", metric=record.measured,
    )  # fmt: skip
    reach = probabilities(law, members, growth, epochs=asked, n=SEEDS, accuracy=accuracy)

    def smallest(probable: float) -> Sized:
        place = _first(reach, probable)
        if place is None:
            return Sized(probable, None)
        member, told = members[place], forecast.members[place]
        ram, flash = count_ram(member.arch, None, classes), count_flash(member.arch, classes)
        return Sized(probable, member, ram, flash, told.low, told.high)

    return Answer(accuracy, tuple(map(smallest, PROBABILITIES)), members[0].phi, forecast, record.data.native_size)


def _frontier_epochs(folder: RunFolder) -> int:
    """Of the frontier's trainings, as the run forecast or began them, or would."""
    record = folder.read()
    with suppress(UserError):  # a damaged forecast is no reason to say nothing
        if (told := folder.find(ForecastRecord)) is not None:
            return told.epochs
    return record.final_epochs or record.asked("scale").final_epochs or usual_final_epochs(record.epochs)


def _first(reach: Sequence[float], probable: float) -> int | None:
    """The first that is as probable. (Much larger networks may be less probable again: less is known of them.)"""
    return next((place for place, each in enumerate(reach) if each >= probable), None)
