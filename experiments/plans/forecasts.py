"""What accuracy the members of a family are expected to reach, and how large one must be to reach a given one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from experiments.records import ForecastRecord, MemberForecast
from experiments.records.forecast import MISFIT
from experiments.run.context import RunContext
from scaling_search import Coefficients, FamilyMember
from scaling_search.law import Law

LARGEST = 4
"""phi beyond which nothing is forecast: the trainings that a forecast rests on end at 2, or at 1."""


@dataclass(frozen=True)
class Measuring:
    """How the accuracies that are forecast will be measured: the epochs and number of the trainings, the split, and the
    numbers of images where that is not the split of the short trainings (see `Law.trained`)."""

    epochs: int
    n: int
    split: str
    images: tuple[int, ...] = ()


def measuring(run: RunContext) -> Measuring:
    """How the frontier of a run is measured."""
    problem, images = run.problem, run.problem.facts.images or {}
    split, counts = problem.final_split, (images.get(problem.final_split, 0), problem.val_images or 0)
    other = split != "val" and all(counts)
    return Measuring(run.final.epochs, run.settings.final.final_seeds, split, counts if other else ())


def forecast_family(
    law: Law, members: Sequence[FamilyMember], coefficients: Coefficients, how: Measuring
) -> ForecastRecord:
    """The accuracies of the members up to LARGEST."""
    told = [member for member in members if member.phi <= LARGEST]
    costs = np.log2([member.cost for member in told])
    found = law.forecast(costs, *_alike(coefficients, how.epochs, len(told)), n=how.n, images=how.images)
    return ForecastRecord(
        epochs=how.epochs,
        split=how.split,
        n=how.n,
        lack_of_fit=law.lack_of_fit,
        members=tuple(
            MemberForecast(member.phi, member.macs, member.arch.id, each.expected, each.low, each.high)
            for member, each in zip(told, found, strict=True)
        ),
    )


def forecast_lines(record: ForecastRecord) -> list[str]:
    """A forecast for people."""
    told = ", ".join(
        f"phi {each.phi:g} {100 * each.expected:.1f} % ({100 * each.low:.1f} to {100 * each.high:.1f})"
        for each in record.members
        if each.phi >= 0
    )
    trainings = "one training" if record.n == 1 else f"the mean of {record.n} trainings"
    lines = [
        f"forecast for the family on {record.split}, {trainings} of {record.epochs} epochs (90 % intervals): {told}"
    ]
    if record.lack_of_fit < MISFIT:
        lines.append(
            f"warning: the model of this forecast does not fit the trainings (p = {record.lack_of_fit:.3f}): "
            "do not rely on it"
        )
    return lines


def probability(
    law: Law, phis: Sequence[float], coefficients: Coefficients, how: Measuring, accuracy: float
) -> list[float]:
    """For each phi, how probable it is that the family's network there reaches the accuracy (0..1)."""
    drawn = law.trained(
        np.array(phis, dtype=float), *_alike(coefficients, how.epochs, len(phis)), n=how.n, images=how.images
    )
    return [float(share) for share in (drawn >= accuracy).mean(axis=0)]


def _alike(coefficients: Coefficients, epochs: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Shares and epochs of networks that all grow by the same coefficients."""
    return np.tile(coefficients.shares, (count, 1)), np.full(count, float(epochs))
