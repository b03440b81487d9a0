"""The coefficient search: points trained at common seeds, their results, and the coefficients these support."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nas.evaluation import Fidelity, Outcome, Request
from scaling_search.analysis import Analysis, Trainings, analyse
from scaling_search.coefficients import Coefficients
from scaling_search.design import FIRST, block_sizes, most_telling, spread_order
from scaling_search.grid import ScalingPoint, scaling_points
from scaling_search.surface.triangle import to_plane
from search_spaces import ArchSpec

TIMED = 4
"""Trainings that are made to learn what one takes, before a budget of seconds is spent."""
LEAST_SECONDS = 0.05
"""What a training takes at least of a budget of seconds: evaluators that only look something up take no time, but to
ask them and to store their answers does."""

Evaluate = Callable[[Sequence[Request]], Mapping[str, Outcome]]
"""evaluate(requests) -> the outcome of each under its request's key; those it could not get to are left out."""

FEWEST_FOR_ANALYSIS = 10
"""Points with an accuracy below which no surface is fitted."""


@dataclass(frozen=True)
class PointResult:
    """What one point reached: accuracies in 0..1 by seed, and how many of its trainings failed."""

    point: ScalingPoint
    accuracies: Mapping[int, float]
    failures: int = 0

    @property
    def n(self) -> int:
        return len(self.accuracies)

    @property
    def mean(self) -> float | None:
        """Mean accuracy over seeds; None without any."""
        return statistics.fmean(self.accuracies.values()) if self.accuracies else None

    @property
    def spread(self) -> float | None:
        """Standard deviation over seeds; None below two."""
        return statistics.stdev(self.accuracies.values()) if self.n > 1 else None


@dataclass(frozen=True)
class CoefficientSearch:
    """The results of all points, the one that is best by mean over seeds, and the analysis of the surface over all of
    them (None where too few points were trained)."""

    results: tuple[PointResult, ...]
    best: PointResult
    fidelity: Fidelity
    analysis: Analysis | None

    @property
    def coefficients(self) -> Coefficients:
        """The analysis' optimum; without one the best point's."""
        return self.analysis.coefficients if self.analysis else self.best.point.coefficients


class NothingTrainedError(ValueError):
    """No training of a coefficient search succeeded; the message is one line."""


def search_coefficients(  # noqa: PLR0913  public: options, each by its name
    arch: ArchSpec,
    evaluate: Evaluate,
    *,
    fidelity: Fidelity | None = None,
    points: Sequence[ScalingPoint] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    budget: int | None = None,
    seconds: float | None = None,
    precision: float | None = None,
    num_classes: int = 1000,
    method: str = "",
) -> CoefficientSearch:
    """Train the points (default: those of `scaling_points` for the baseline `arch`) and choose coefficients.

    The same seeds are used at all points (common random numbers), so that differences between points are less noisy
    than their levels. Without a `budget` every point is trained at every seed. With one, that many trainings are made:
    ten points spread over the triangle at the first seed, then blocks of seven at further seeds, also beyond those
    given, of the points that tell most about the optimum; it stops early when the 90 % interval of every share is
    narrower than `precision`. Every choice follows from the outcomes so far, so that with outcomes kept an interrupted
    search repeats none of its trainings, and a larger budget uses all of a smaller one's. `seconds` of training, summed
    over the trainings, are a budget of as many trainings as the first `TIMED` say that they suffice for; all points
    cost about the same. method: how the values are got (see Request).

    Raises NothingTrainedError when no training succeeded.
    """
    points = scaling_points(arch, num_classes=num_classes) if points is None else points
    fidelity = fidelity or Fidelity()
    run = _Run(points, partial(Request, fidelity=fidelity, method=method), evaluate)
    order = spread_order(to_plane([point.shares for point in points]))
    if seconds is not None:
        run.train([(point, seeds[0]) for point in order[:TIMED]])
        affordable = run.affordable(seconds)
        budget = affordable if budget is None else min(budget, affordable)
    if budget is None:
        run.train([(point, seed) for seed in seeds for point in order])
        return run.found(fidelity)
    first = order[: min(FIRST, budget)]
    run.train([(point, seeds[0]) for point in first])
    left = budget - len(first)
    further = [*list(seeds)[1:], *range(max(seeds) + 1, max(seeds) + 1 + left)]
    for seed, size in zip(further, block_sizes(left, len(points)), strict=False):
        analysis = run.analysis()
        if precision is not None and analysis is not None and analysis.noise and widest(analysis) <= precision:
            break
        run.train([(point, seed) for point in run.next_points(analysis, order, size)])
    return run.found(fidelity)


def widest(analysis: Analysis) -> float:
    """The width of the widest 90 % interval of a share."""
    logs = [np.log2(interval.high / interval.low) for interval in analysis.intervals.values()]
    return float(max(log * power for log, power in zip(logs, (1, 2, 2), strict=True)))


def best_by_mean(results: Sequence[PointResult]) -> PointResult:
    """The highest mean accuracy among the points with the fewest failures; the cheaper network wins a tie.

    Raises NothingTrainedError when no training succeeded.
    """
    trained = [result for result in results if result.mean is not None]
    if not trained:
        raise NothingTrainedError("no point of the coefficient search could be trained")
    fewest = min(result.failures for result in trained)
    sound = [result for result in trained if result.failures == fewest]
    return max(sound, key=lambda result: (result.mean or 0.0, -result.point.macs))


def trainings_of(results: Sequence[PointResult]) -> Trainings:
    """The results as arrays for the analysis."""
    seeds = sorted({seed for result in results for seed in result.accuracies})
    accuracy = [[result.accuracies.get(seed, np.nan) for seed in seeds] for result in results]
    return Trainings(
        shares=np.array([result.point.shares for result in results]),
        accuracy=np.array(accuracy, dtype=float).reshape(len(results), len(seeds)),
        costs=np.array([result.point.cost for result in results]),
    )


def supported_analysis(trainings: Trainings) -> Analysis | None:
    """The analysis of a search's trainings; None below FEWEST_FOR_ANALYSIS points with an accuracy."""
    trained = trainings.trained()
    return analyse(trained) if len(trained.shares) >= FEWEST_FOR_ANALYSIS else None


class _Run:
    """One search under way: what was asked and what came back."""

    def __init__(self, points: Sequence[ScalingPoint], request: Callable[..., Request], evaluate: Evaluate) -> None:
        self._points, self._request, self._evaluate = points, request, evaluate
        self._outcomes: dict[tuple[int, int], Outcome] = {}

    def train(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Train (point, seed) pairs, in this order."""
        requests = {pair: self._request(self._points[pair[0]].arch, seed=pair[1]) for pair in wanted}
        outcomes = self._evaluate(list(requests.values()))
        for pair, request in requests.items():
            if request.key in outcomes:
                self._outcomes[pair] = outcomes[request.key]

    def affordable(self, seconds: float) -> int:
        """How many trainings like those so far fit into `seconds`, those so far included and always granted.

        Raises NothingTrainedError when none of them succeeded."""
        lengths = [outcome.seconds for outcome in self._outcomes.values() if outcome.value is not None]
        if not lengths:
            raise NothingTrainedError("none of the first trainings of the coefficient search succeeded")
        return max(len(self._outcomes), int(seconds / max(LEAST_SECONDS, statistics.median(lengths))))

    def results(self) -> tuple[PointResult, ...]:
        return tuple(self._result(index) for index in range(len(self._points)))

    def analysis(self) -> Analysis | None:
        return supported_analysis(trainings_of(self.results()))

    def found(self, fidelity: Fidelity) -> CoefficientSearch:
        """What was found so far. Raises NothingTrainedError when no training succeeded."""
        results = self.results()
        return CoefficientSearch(results, best_by_mean(results), fidelity, self.analysis())

    def next_points(self, analysis: Analysis | None, order: Sequence[int], count: int) -> list[int]:
        """The points to train at a new seed: those trained least where too few have an accuracy for an analysis, the
        first ones again where the noise is not known yet, and then what tells most. Of points that always failed only
        as many as there are no others for."""
        results = self.results()
        sound = [point for point in order if results[point].n or not results[point].failures]
        broken = [point for point in order if point not in sound]
        if analysis is None:
            return [*sorted(sound, key=lambda point: results[point].n), *broken][:count]
        if analysis.noise is None:
            return [*sorted(sound, key=lambda point: not results[point].n), *broken][:count]
        points = to_plane([self._points[point].shares for point in sound])
        telling = most_telling(points, analysis.draws, analysis.noise.own, analysis.noise.shared, count)
        return [*(sound[i] for i in telling), *broken][:count]

    def _result(self, index: int) -> PointResult:
        mine = {seed: outcome for (point, seed), outcome in sorted(self._outcomes.items()) if point == index}
        accuracies = {seed: outcome.value for seed, outcome in mine.items() if outcome.value is not None}
        return PointResult(self._points[index], accuracies, len(mine) - len(accuracies))
