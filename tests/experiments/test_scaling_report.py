"""Drift over training lengths, cautions and pictures: what is made of finished searches."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from io import BytesIO

import numpy as np
import pytest
from matplotlib.text import Text

from experiments.options.groups import Budget, parse_budget
from experiments.pictures.scaling import drift_plot, scaling_plot, triangle_plot
from experiments.plans.curves import plot_phis
from experiments.tables.curves import Measured
from nas.evaluation import Fidelity, Outcome, Request
from scaling_search import (
    Analysis,
    CoefficientSearch,
    ScalingPoint,
    cautions,
    drift,
    scaling_lines,
    scaling_points,
    search_coefficients,
)
from scaling_search.analysis import Trainings, analyse
from scaling_search.cautions import images_needed
from scaling_search.coefficients import Coefficients
from scaling_search.search import trainings_of
from scaling_search.surface.hills import Hills
from scaling_search.surface.posterior import Surfaces
from search_spaces import count_macs, fit_arch, reference_arch

BASE = fit_arch(reference_arch("efficientnet_b0"), 22, 6.3e6, num_classes=10)
Optimum = tuple[float, float, float]


@cache
def grid(layout: str) -> tuple[ScalingPoint, ...]:
    return scaling_points(BASE, layout, step=0.1, num_classes=10)


@cache
def searched(epochs: int, optimum: Optimum, layout: str = "matched", seeds: int = 2) -> CoefficientSearch:
    points = grid(layout)
    shares = {point.arch_id: point.shares for point in points}

    def evaluate(requests: Sequence[Request]) -> dict[str, Outcome]:
        return {request.key: Outcome(accuracy=accuracy(request)) for request in requests}

    def accuracy(request: Request) -> float:
        off = sum((got - want) ** 2 for got, want in zip(shares[request.arch.id], optimum, strict=True))
        return 0.6 - 0.05 * off + random.Random(request.key).gauss(0, 0.001)

    return search_coefficients(BASE, evaluate, fidelity=Fidelity(epochs), points=points, seeds=range(seeds))


def analyses_of(optima: dict[int, Optimum]) -> dict[int, Analysis]:
    found = {epochs: searched(epochs, optimum).analysis for epochs, optimum in optima.items()}
    assert all(found.values())
    return {epochs: analysis for epochs, analysis in found.items() if analysis is not None}


def test_an_optimum_that_moves_in_line_is_drawn_on() -> None:
    moved = drift(analyses_of({2: (0.2, 0.3, 0.5), 4: (0.3, 0.3, 0.4), 8: (0.4, 0.3, 0.3)}), target=16)
    assert moved.moves
    assert moved.per_doubling == pytest.approx((0.1, 0.0, -0.1), abs=0.03)
    assert sum(moved.per_doubling) == pytest.approx(0)
    assert moved.extrapolated == pytest.approx((0.5, 0.3, 0.2), abs=0.06)
    assert "extrapolated to 16 epochs: depth 0." in moved.sentence


def test_an_optimum_that_stays_is_said_to_stay() -> None:
    moved = drift(analyses_of({3: (0.3, 0.3, 0.4), 5: (0.3, 0.3, 0.4)}), target=40)
    assert not moved.moves
    assert moved.extrapolated is None
    assert "does not move measurably between trainings of 3, 5 epochs" in moved.sentence


def test_a_zigzag_is_not_drawn_on() -> None:
    moved = drift(analyses_of({2: (0.2, 0.3, 0.5), 4: (0.2, 0.7, 0.1), 8: (0.4, 0.3, 0.3)}), target=16)
    assert moved.misfit is not None
    assert moved.misfit < 0.01
    assert moved.extrapolated is None


def test_drift_needs_two_lengths() -> None:
    with pytest.raises(ValueError, match="two or more"):
        drift(analyses_of({2: (0.2, 0.3, 0.5)}), target=16)


def test_draws_of_few_hills_are_told() -> None:
    found = searched(3, (0.3, 0.3, 0.4))
    assert found.analysis is not None
    draws = found.analysis.draws
    assert isinstance(draws, Surfaces)
    five = np.unique(draws.hills.values, axis=0)[:5]
    few = replace(draws, hills=Hills(np.repeat(five, 400, axis=0)))
    (line,) = cautions(replace(found, analysis=replace(found.analysis, draws=few)), native_size=32, val_images=50_000)
    assert "only 5 different surfaces were found to agree with the trainings" in line


def test_a_sound_search_has_no_cautions() -> None:
    assert cautions(searched(3, (0.3, 0.3, 0.4)), native_size=32, val_images=50_000) == []


def test_small_images_and_few_of_them_are_cautioned() -> None:
    found = searched(3, (0.3, 0.3, 0.4))
    resolution, validation = cautions(found, native_size=22, val_images=1000)
    asked = [result.point.arch.resolution for result in found.results]
    beyond = sum(pixels > 22 for pixels in asked)
    assert resolution.startswith(
        f"images have 22 pixels, and {beyond} of {len(asked)} points enlarge them, to {max(asked)}"
    )
    assert validation.startswith("with 1000 validation images a difference below 3.1 points may be chance")
    assert images_needed(0.6) == 38_400


def test_tiny_images_are_cautioned() -> None:
    lines = cautions(searched(3, (0.3, 0.3, 0.4)), native_size=8, val_images=50_000)
    assert lines[0].startswith("images have 8 pixels: ")
    assert lines[1].startswith("images have 8 pixels, and ")


def test_one_seed_an_edge_and_unequal_costs_are_cautioned() -> None:
    costs, seeds, edge = cautions(searched(3, (0.0, 0.5, 0.5), "nominal", 1))
    assert "times the baseline, not twice" in costs
    assert costs.endswith("`layout` matched compares at nearly equal cost")
    assert "no point was trained at two seeds" in seeds
    assert "no growth of depth" in edge


def test_scaling_lines_cost_the_same_at_every_phi() -> None:
    lines = scaling_lines(BASE, Coefficients(1.2, 1.1, 1.15), (0, 1, 2), num_classes=10)
    assert list(lines) == ["depth only", "width only", "resolution only", "dWr", "compound"]
    for members in lines.values():
        for member in members:
            assert count_macs(member.arch, num_classes=10) == pytest.approx(
                2**member.phi * count_macs(BASE, num_classes=10), rel=0.05
            )
    assert lines["depth only"][2].resolution == BASE.resolution
    assert lines["resolution only"][2].layers == lines["compound"][0].layers


def test_places_that_no_network_comes_near_are_cautioned() -> None:
    found = searched(3, (0.3, 0.3, 0.4))
    narrow = replace(found, results=tuple(r for r in found.results if r.point.shares.width < 0.5))
    lines = cautions(narrow, native_size=32, val_images=50_000)
    assert len(lines) == 1
    assert "gives 0.0 of it to depth, 1.0 to width and 0.0 to resolution" in lines[0]


@pytest.mark.parametrize("slope", [(0, 0, 0.2), (0, 0.2, 0.2)])
def test_optima_at_a_corner_or_along_an_edge_do_not_move(slope: tuple[float, float, float]) -> None:
    shares = np.array([point.shares for point in grid("matched")])
    generator = np.random.default_rng(0)
    analyses = {
        epochs: analyse(Trainings(shares, (shares @ slope)[:, None] + generator.normal(0, 0.003, (len(shares), 2)),
                                  np.full(len(shares), 2.0)))
        for epochs in (1, 2, 4)
    }  # fmt: skip
    found = drift(analyses, 20)
    assert found.p_value > 0.1
    assert found.extrapolated is None


def test_pictures_show_what_was_found() -> None:
    found = searched(3, (0.3, 0.3, 0.4))
    assert found.analysis is not None
    triangle = triangle_plot(trainings_of(found.results), found.analysis, "cifar10, epochs: 3")
    labels = [text.get_text() for text in triangle.legends[0].get_texts()]
    assert labels == [
        "as measured: 21 networks, 42 trainings",
        "90 % region of the optimum",
        "expected optimum",
        "EfficientNet's (1.2, 1.1, 1.15)",
    ]
    assert triangle.get_suptitle().startswith("cifar10, epochs: 3: how to spend a doubling")
    assert f"depth x{found.analysis.coefficients.depth:.2f}" in triangle.get_suptitle()
    lines = {"compound": [Measured(1e6, 0.5, 0.01, 3), Measured(2e6, 0.6, None, 1)], "depth only": []}
    plot = scaling_plot(lines, "cifar10").axes[0]
    assert plot.get_title() == "cifar10: one network scaled in several ways\n(bars: one standard error, n = 1 to 3)"
    assert [tick.get_text() for tick in plot.get_xticklabels()] == ["1 M", "2 M"]
    analyses = analyses_of({3: (0.3, 0.3, 0.4), 5: (0.3, 0.3, 0.4)})
    for figure in (triangle, scaling_plot(lines, "cifar10"), drift_plot(drift(analyses, 20), analyses, "cifar10")):
        image = BytesIO()
        figure.savefig(image, format="png")
        assert image.getvalue().startswith(b"\x89PNG")
        for text in figure.findobj(lambda artist: isinstance(artist, Text) and "\n" in artist.get_text()):
            (left, low), (right, high) = text.get_window_extent().get_points()
            (_, _), (width, height) = figure.bbox.get_points()
            assert min(left, low) >= 0, text
            assert right <= width, text
            assert high <= height, text


def test_pictures_say_what_was_measured_in_one_line_that_shows() -> None:
    found = searched(3, (0.3, 0.3, 0.4))
    assert found.analysis is not None
    triangle = triangle_plot(trainings_of(found.results), found.analysis, "$odd$", metric="macro f1")
    assert triangle.axes[1].get_ylabel() == "val macro f1 minus the best of the fitted surface, points"
    plot = scaling_plot({"odd\x1b\n$way$": [Measured(1e6, 0.5, None, 1)]}, "$odd$", metric="macro f1").axes[0]
    assert plot.get_ylabel() == "val macro f1, %"
    assert plot.get_title().endswith("(one training each)")
    assert not plot.title.get_parse_math()
    assert [text.get_parse_math() for text in triangle.texts if text.get_text() == triangle.get_suptitle()] == [False]
    legend = plot.get_legend()
    assert legend is not None
    assert [(text.get_text(), text.get_parse_math()) for text in legend.get_texts()] == [("odd\\x1b $way$", False)]


def test_too_few_points_make_no_surface() -> None:
    points = grid("matched")[:3]
    few = search_coefficients(
        BASE, lambda requests: {r.key: Outcome(accuracy=0.5) for r in requests}, points=points, seeds=(0,)
    )
    assert few.analysis is None
    assert cautions(few)[-1].startswith("too few points")


@pytest.mark.parametrize(
    ("largest", "phis"),
    [(0.3, (0, 0.3)), (0.5, (0, 0.5)), (1, (0, 0.5, 1)), (2, (0, 0.5, 1, 2)), (2.5, (0, 0.5, 1, 2, 2.5))],
)
def test_the_scaling_plot_ends_at_its_largest_phi(largest: float, phis: tuple[float, ...]) -> None:
    assert plot_phis(largest) == phis
    assert plot_phis(largest, -2) == (-2, -1, *phis)


@pytest.mark.parametrize(
    ("text", "budget"), [("90", Budget(trainings=90)), ("1.5h", Budget(hours=1.5)), (" 2H ", Budget(hours=2))]
)
def test_a_budget_is_trainings_or_hours(text: str, budget: Budget) -> None:
    assert parse_budget(text) == budget


@pytest.mark.parametrize("text", ["", "many", "1.5", "0", "-3", "0h", "infh", "nanh"])
def test_a_budget_that_is_neither_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(ValueError, match=r"^`budget` "):
        parse_budget(text)
