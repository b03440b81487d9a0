"""What accuracy the members of a family are expected to reach, and which of them reach a given one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.errors import UserError, from_user
from experiments.records import CoefficientsRecord, ForecastRecord, MemberForecast, RuleForecast
from experiments.run.folder import RunFolder
from experiments.tables.frontier import read_points
from experiments.tables.grid import read_grid
from experiments.tables.growth import GRID, of_frontier, read_trained
from scaling_search import FamilyMember
from scaling_search.law import Law, fit_law
from scaling_search.search import FEWEST_FOR_ANALYSIS, supported_analysis
from scaling_search.size_drift import SizeDrift, coefficients_by_size, size_drift
from scaling_search.verdict import ALTERNATIVES

RULES_AT = 2.0
"""phi at which other rules are judged; at phi 1 the coefficient analysis does it."""
CONSTANT, ADAPTIVE = "constant coefficients", "adaptive"
LARGEST = 4
"""phi beyond which nothing is forecast: usually the trainings that a forecast rests on end at 1 or 2."""


def read_law(folder: RunFolder, split: str, frontier: int | None = None) -> Law:
    """The model of accuracy on a split, from the trainings of a run's coefficient search; frontier: with those of its
    frontier, too, where they are of so many epochs.

    Raises UserError where there are too few, or they saw a part of the images, or a table is damaged or not there.
    """
    record, path = folder.read(), folder.path
    if not folder.has(CoefficientsRecord):
        raise UserError(f"{path}: has no coefficients yet; `scalenas run` or `scalenas scale` finds them")
    if record.train_fraction < 1:
        raise UserError(f"{path}: its short trainings saw a part of the images, which tells nothing about all of them")
    grid = read_grid(path / GRID)
    if any(epochs < 1 or (trainings.costs <= 0).any() for epochs, trainings in grid.items()):
        raise UserError(f"{path / GRID}: costs and epochs must be above 0")
    found = {epochs: supported_analysis(trainings) for epochs, trainings in grid.items()}
    analyses = {epochs: analysis for epochs, analysis in found.items() if analysis is not None}
    if not analyses:
        most = max((len(trainings.trained().shares) for trainings in grid.values()), default=0)
        raise UserError(
            f"{path}: the coefficient search has trained {most} networks of one length, and it takes "
            f"{FEWEST_FOR_ANALYSIS}; a larger --budget trains more, if the baseline has the channels and pixels for so "
            "many (--target-macs, --resolution)"
        )
    other = split != "val"
    sets = read_trained(path, grid, elsewhere=other)
    table = path / "frontier.csv"
    if frontier is not None and table.exists():
        sets += of_frontier(path, read_points(table), frontier, split)
    counts = record.data.images or {}
    images = [count for name in ("val", split) if (count := counts.get(name))] if other else []
    with from_user(str(path)):
        return fit_law(sets, analyses, images)


def forecast_family(
    law: Law,
    members: Sequence[FamilyMember],
    growth: CoefficientsRecord,
    *,
    epochs: int,
    n: int,
    split: str,
    recipe: str,
    metric: str,
) -> ForecastRecord:
    """The accuracies of the members up to LARGEST, means of n trainings. growth: what they grew by."""
    told = [member for member in members if member.phi <= LARGEST]
    found = law.forecast(*_grown(told, growth, epochs), n=n)
    by_size = size_drift(law, epochs, growth.finding.coefficients.shares)
    return ForecastRecord(
        epochs=epochs,
        split=split,
        n=n,
        recipe=recipe,
        metric=metric,
        lack_of_fit=law.lack_of_fit,
        rules=forecast_rules(law, growth, epochs, by_size),
        size_drift=by_size,
        members=tuple(
            MemberForecast(member.phi, member.macs, member.arch.id, each.expected, each.low, each.high)
            for member, each in zip(told, found, strict=True)
        ),
    )


def forecast_rules(
    law: Law, growth: CoefficientsRecord, epochs: int, by_size: SizeDrift | None = None, phi: float = RULES_AT
) -> tuple[RuleForecast, ...]:
    """What other rules give up at phi against the family's own: fixed ones; the adaptive one, where the best shares by
    size are known; or beside an adaptive family the constant one."""
    others = dict(ALTERNATIVES)
    if growth.by_size:
        others[CONSTANT] = growth.finding.coefficients.shares
    elif by_size is not None:
        others[ADAPTIVE] = coefficients_by_size(by_size.best, phi).shares
    ways = np.array([growth.at(phi).shares, *others.values()], dtype=float)
    reached = law.accuracy(np.full(len(ways), phi), ways, np.full(len(ways), float(epochs)))
    ends = np.quantile(reached[:, :1] - reached[:, 1:], [0.5, 0.05, 0.95], axis=0)
    return tuple(RuleForecast(rule, phi, *map(float, each)) for rule, each in zip(others, ends.T, strict=True))


def probabilities(
    law: Law, members: Sequence[FamilyMember], growth: CoefficientsRecord, *, epochs: int, n: int, accuracy: float
) -> list[float]:
    """For each member, how probable it is that the mean of n trainings reaches the accuracy (0..1)."""
    drawn = law.trained(*_grown(members, growth, epochs), n=n)
    return [float(share) for share in (drawn >= accuracy).mean(axis=0)]


def _grown(
    members: Sequence[FamilyMember], growth: CoefficientsRecord, epochs: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Doublings, shares and epochs of a family's members."""
    doublings = np.log2([member.cost for member in members])
    shares = np.array([growth.at(member.phi).shares for member in members], dtype=float)
    return doublings, shares, np.full(len(members), float(epochs))
