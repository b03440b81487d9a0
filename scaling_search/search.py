"""The coefficient search: every point trained at the same seeds, the results per point, and the coefficients chosen."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from nas.evaluation import Fidelity, Outcome, Request
from scaling_search.coefficients import Coefficients
from scaling_search.grid import ScalingPoint, scaling_points
from search_spaces import ArchSpec

Evaluate = Callable[[Sequence[Request]], Mapping[str, Outcome]]
"""evaluate(requests) -> the outcome of each under its request's key; those it could not get to are left out."""


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
    """The results of all points, and the one that is best by mean over seeds."""

    results: tuple[PointResult, ...]
    best: PointResult

    @property
    def coefficients(self) -> Coefficients:
        return self.best.point.coefficients


def plan_requests(
    points: Sequence[ScalingPoint], seeds: Sequence[int], fidelity: Fidelity, budget: int | None = None
) -> list[Request]:
    """Every point at every seed, seed by seed, so that stopping early leaves the points even; at most `budget`."""
    requests = [Request(point.arch, fidelity, seed) for seed in seeds for point in points]
    return requests[:budget]


def search_coefficients(
    arch: ArchSpec,
    evaluate: Evaluate,
    *,
    fidelity: Fidelity | None = None,
    points: Sequence[ScalingPoint] | None = None,
    seeds: Sequence[int] = (0, 1, 2),
    budget: int | None = None,
    num_classes: int = 1000,
) -> CoefficientSearch:
    """Train every point (default: the matched lattice grown from the baseline `arch`) and choose coefficients.

    The same seeds are used at all points (common random numbers), so that differences between points are less noisy
    than their levels. `budget` is the largest number of trainings. Raises ValueError when nothing could be trained.
    """
    points = scaling_points(arch, num_classes=num_classes) if points is None else points
    fidelity = fidelity or Fidelity()
    outcomes = evaluate(plan_requests(points, seeds, fidelity, budget))
    results = tuple(point_result(point, seeds, fidelity, outcomes) for point in points)
    return CoefficientSearch(results, best_by_mean(results))


def point_result(
    point: ScalingPoint, seeds: Sequence[int], fidelity: Fidelity, outcomes: Mapping[str, Outcome]
) -> PointResult:
    """The outcomes of one point at one fidelity."""
    found = {seed: outcomes.get(Request(point.arch, fidelity, seed).key) for seed in seeds}
    accuracies = {seed: out.accuracy for seed, out in found.items() if out is not None and out.accuracy is not None}
    failures = sum(out is not None and out.failure is not None for out in found.values())
    return PointResult(point, accuracies, failures)


def best_by_mean(results: Sequence[PointResult]) -> PointResult:
    """The highest mean accuracy among the points with the fewest failures; the cheaper network wins a tie.

    Raises ValueError when no training succeeded.
    """
    trained = [result for result in results if result.mean is not None]
    if not trained:
        raise ValueError("no point of the coefficient search could be trained: see the failures of its trials")
    fewest = min(result.failures for result in trained)
    sound = [result for result in trained if result.failures == fewest]
    return max(sound, key=lambda result: (result.mean or 0.0, -result.point.macs))
