from __future__ import annotations

from collections.abc import Sequence

import pytest

from nas.evaluation import Failure, Fidelity, Outcome, Request
from scaling_search import ScalingPoint, scaling_points, search_coefficients
from scaling_search.search import plan_requests
from search_spaces import fit_arch, reference_arch

BASE = fit_arch(reference_arch("efficientnet_b0"), 22, 6.3e6, num_classes=10)
POINTS = scaling_points(BASE, num_classes=10)
FIDELITY = Fidelity(epochs=2)


def planted(point: ScalingPoint, optimum: tuple[float, float, float] = (0.4, 0.2, 0.4)) -> float:
    return 0.8 - 0.1 * sum((got - want) ** 2 for got, want in zip(point.shares, optimum, strict=True))


class PlantedSurface:
    """Answers with the planted accuracy of a point, and keeps what it was asked."""

    def __init__(self, failing: frozenset[tuple[str, int]] = frozenset()) -> None:
        self.accuracy = {point.arch_id: planted(point) for point in POINTS}
        self.failing = failing
        self.asked: list[Request] = []

    def __call__(self, requests: Sequence[Request]) -> dict[str, Outcome]:
        self.asked.extend(requests)
        return {request.key: self.outcome(request) for request in requests}

    def outcome(self, request: Request) -> Outcome:
        if (request.arch.id, request.seed) in self.failing:
            return Outcome(failure=Failure("diverged", "loss is NaN"))
        return Outcome(accuracy=self.accuracy[request.arch.id] + 0.001 * request.seed)


def test_the_best_point_by_mean_is_chosen() -> None:
    evaluate = PlantedSurface()
    found = search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(0, 1, 2))
    best = max(POINTS, key=planted)
    assert found.best.point == best
    assert found.coefficients == best.coefficients
    assert found.best.mean == pytest.approx(planted(best) + 0.001)
    assert found.best.spread == pytest.approx(0.001)
    assert found.best.n == 3
    assert len({request.key for request in evaluate.asked}) == len(POINTS) * 3
    assert {request.fidelity for request in evaluate.asked} == {FIDELITY}


def test_seeds_are_common_and_a_budget_leaves_the_points_even() -> None:
    requests = plan_requests(POINTS, (0, 1, 2), FIDELITY, budget=50)
    assert len(requests) == 50
    counts = [sum(request.arch.id == point.arch_id for request in requests) for point in POINTS]
    assert max(counts) - min(counts) <= 1
    for seed in (0, 1):
        assert {request.arch.id for request in requests if request.seed == seed} == {p.arch_id for p in POINTS}


def test_failures_are_counted_and_a_failing_point_is_not_chosen() -> None:
    best = max(POINTS, key=planted)
    found = search_coefficients(
        BASE, PlantedSurface(frozenset({(best.arch_id, 1)})), fidelity=FIDELITY, points=POINTS, seeds=(0, 1)
    )
    result = next(result for result in found.results if result.point == best)
    assert (result.n, result.failures) == (1, 1)
    assert result.spread is None
    assert found.best.point != best


def test_nothing_trained_is_an_error() -> None:
    everything = frozenset((point.arch_id, 0) for point in POINTS)
    with pytest.raises(ValueError, match="could be trained"):
        search_coefficients(BASE, PlantedSurface(everything), fidelity=FIDELITY, points=POINTS, seeds=(0,))
