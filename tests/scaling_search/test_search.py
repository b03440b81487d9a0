from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest

from nas.evaluation import Failure, Fidelity, Outcome, Request
from scaling_search import ScalingPoint, scaling_points, search_coefficients
from scaling_search.design import spread_order
from scaling_search.search import LEAST_SECONDS
from scaling_search.surface.triangle import to_plane
from search_spaces import fit_arch, reference_arch

BASE = fit_arch(reference_arch("efficientnet_b0"), 22, 6.3e6, num_classes=10)
POINTS = scaling_points(BASE, num_classes=10)
FIDELITY = Fidelity(epochs=2)


def planted(point: ScalingPoint, optimum: tuple[float, float, float] = (0.4, 0.2, 0.4)) -> float:
    return 0.8 - 0.1 * sum((got - want) ** 2 for got, want in zip(point.shares, optimum, strict=True))


class PlantedSurface:
    """Answers with the planted accuracy of a point, and keeps what it was asked."""

    def __init__(self, failing: frozenset[tuple[str, int]] = frozenset(), noise: float = 0.0, salt: str = "") -> None:
        self.accuracy = {point.arch_id: planted(point) for point in POINTS}
        self.failing = failing
        self.noise, self.salt = noise, salt
        self.asked: list[Request] = []

    def __call__(self, requests: Sequence[Request]) -> dict[str, Outcome]:
        self.asked.extend(requests)
        return {request.key: self.outcome(request) for request in requests}

    def outcome(self, request: Request) -> Outcome:
        if (request.arch.id, request.seed) in self.failing:
            return Outcome(failure=Failure("diverged", "loss is NaN"))
        own = random.Random(request.key + self.salt).gauss(0, self.noise)
        return Outcome(accuracy=self.accuracy[request.arch.id] + 0.001 * request.seed + own)


def test_every_point_is_trained_at_every_seed_and_the_best_mean_is_named() -> None:
    evaluate = PlantedSurface()
    found = search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(0, 1, 2))
    best = max(POINTS, key=planted)
    assert found.best.point == best
    assert found.best.mean == pytest.approx(planted(best) + 0.001)
    assert found.best.spread == pytest.approx(0.001)
    assert found.best.n == 3
    assert len({request.key for request in evaluate.asked}) == len(POINTS) * 3
    assert {request.fidelity for request in evaluate.asked} == {FIDELITY}


def test_the_surface_finds_the_planted_optimum_between_the_points() -> None:
    found = search_coefficients(BASE, PlantedSurface(noise=1e-4), fidelity=FIDELITY, points=POINTS, seeds=(0, 1))
    assert found.analysis is not None
    assert found.analysis.shares == pytest.approx((0.4, 0.2, 0.4), abs=0.01)
    assert found.coefficients == found.analysis.coefficients
    assert found.coefficients.nominal_cost == pytest.approx(2)


@pytest.mark.parametrize("budget", [5, 17, 50, 80])
def test_a_budget_is_kept_and_begins_with_points_of_the_whole_triangle(budget: int) -> None:
    evaluate = PlantedSurface(noise=1e-3)
    search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(3, 4), budget=budget)
    assert len(evaluate.asked) == len({request.key for request in evaluate.asked}) == budget
    shares = {point.arch_id: point.shares for point in POINTS}
    corners = [max(POINTS, key=lambda point, i=i: point.shares[i]).shares for i in range(3)]  # type: ignore[misc]
    assert set(corners) <= {shares[request.arch.id] for request in evaluate.asked[:4]}
    seeds = [request.seed for request in evaluate.asked]
    assert seeds == ([3] * 10 + [seed for seed in range(4, 20) for _ in range(7)])[:budget]


def test_the_points_that_a_budget_prefers_tell_more_than_others_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Against any points drawn at random in their place."""

    def error(seed: int) -> float:
        evaluate = PlantedSurface(noise=0.01, salt=str(seed))
        found = search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, budget=45)
        assert found.analysis is not None
        return sum((got - want) ** 2 for got, want in zip(found.analysis.shares, (0.4, 0.2, 0.4), strict=True))

    preferred = sum(error(seed) for seed in range(5))
    draws = random.Random(0)

    def at_random(points: Sequence[object], *others: object) -> list[int]:
        return draws.sample(range(len(points)), int(str(others[-1])))

    monkeypatch.setattr("scaling_search.search.most_telling", at_random)
    assert preferred < 0.9 * sum(error(seed) for seed in range(5))


@pytest.mark.parametrize("broken", [1, 6])
def test_points_that_always_fail_cost_one_training_each(broken: int) -> None:
    order = [POINTS[i] for i in spread_order(to_plane([point.shares for point in POINTS]))]
    failing = frozenset((point.arch_id, seed) for point in order[1 : 1 + broken] for seed in range(20))
    evaluate = PlantedSurface(failing, noise=1e-3)
    found = search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, budget=59)
    assert len(evaluate.asked) == 59
    assert sum(result.failures for result in found.results) == broken
    assert found.analysis is not None


def test_too_few_points_for_a_surface_are_trained_evenly() -> None:
    evaluate = PlantedSurface(noise=1e-3)
    found = search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS[:8], budget=45)
    assert sorted(result.n for result in found.results) == [5, 5, 5, 6, 6, 6, 6, 6]


@pytest.mark.parametrize("budgets", [(8, 9), (30, 60), (66, 71), (77, 95)])
def test_a_larger_budget_uses_all_that_the_smaller_one_asked_for(budgets: tuple[int, int]) -> None:
    asked = []
    for budget in budgets:
        evaluate = PlantedSurface(noise=1e-3)
        search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, budget=budget)
        asked.append([request.key for request in evaluate.asked])
    assert [len(set(keys)) for keys in asked] == list(budgets)
    assert set(asked[0]) <= set(asked[1])


def test_a_precise_answer_stops_the_search_early() -> None:
    evaluate = PlantedSurface(noise=1e-5)
    search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, budget=150, precision=0.3)
    assert len(evaluate.asked) == 17  # ten points, and seven of them again to know the noise


def test_too_few_points_give_the_best_mean_without_a_surface() -> None:
    found = search_coefficients(BASE, PlantedSurface(), fidelity=FIDELITY, points=POINTS[:4], seeds=(0,))
    assert found.analysis is None
    assert found.coefficients == max(POINTS[:4], key=planted).coefficients


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


@pytest.mark.parametrize(("seconds", "trainings"), [(600.0, 60), (15.0, 4)])
def test_seconds_buy_as_many_trainings_as_the_first_ones_say(seconds: float, trainings: int) -> None:
    class Timed(PlantedSurface):
        def outcome(self, request: Request) -> Outcome:
            return replace(super().outcome(request), seconds=10.0)

    evaluate = Timed()
    search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(0, 1, 2), seconds=seconds)
    assert len({request.key for request in evaluate.asked}) == trainings


def test_trainings_that_take_no_time_are_not_without_number() -> None:
    evaluate = PlantedSurface()
    search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(0,), seconds=2.0)
    assert len({request.key for request in evaluate.asked}) == 2.0 / LEAST_SECONDS


def test_seconds_cannot_be_spent_when_the_first_trainings_all_fail() -> None:
    evaluate = PlantedSurface(failing=frozenset((point.arch_id, 0) for point in POINTS))
    with pytest.raises(ValueError, match="none of the first trainings"):
        search_coefficients(BASE, evaluate, fidelity=FIDELITY, points=POINTS, seeds=(0,), seconds=60)
