from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from scaling_search import Coefficients, coefficient_grid, family, scale_arch, scaling_points
from scaling_search.coefficients import DWR, Shares
from scaling_search.compound import RULES
from scaling_search.grid import share_lattice
from scaling_search.matching import WASTEFUL, Baseline, CannotShrinkError, nearest_network
from search_spaces import (
    ArchSpec,
    HeadSpec,
    SearchSpace,
    StemSpec,
    count_macs,
    count_params,
    fit_arch,
    mnasnet_space,
    parse_blocks,
    reference_arch,
)
from search_spaces.arch import canonical
from search_spaces.network import Residual, build_network
from search_spaces.ops.base.stage import bare
from search_spaces.rounding import apportion
from search_spaces.spaces.macro import macro_space

B0 = reference_arch("efficientnet_b0")
PAPER = Coefficients(depth=1.2, width=1.1, resolution=1.15)
NARROW = fit_arch(B0, 22, 6.3e6, num_classes=10)


@pytest.mark.parametrize("values", [(0.9, 1, 1), (1, 0.99, 1), (1, 1, float("nan")), (1, float("inf"), 1)])
def test_coefficients_below_one_are_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Coefficients(*values)


def test_nominal_cost_and_shares_of_the_paper() -> None:
    assert pytest.approx(1.2 * 1.1**2 * 1.15**2) == PAPER.nominal_cost
    assert sum(PAPER.shares) == pytest.approx(1)
    assert PAPER.shares == pytest.approx((0.2795, 0.2922, 0.4285), abs=2e-4)
    with pytest.raises(ValueError, match="grow nothing"):
        _ = Coefficients(1, 1, 1).shares


@given(st.floats(0, 1), st.floats(0, 1))
def test_coefficients_of_shares_meet_the_constraint(first: float, second: float) -> None:
    shares = (first, (1 - first) * second, (1 - first) * (1 - second))
    coefficients = Coefficients.from_shares(shares)
    assert coefficients.nominal_cost == pytest.approx(2)
    assert coefficients.shares == pytest.approx(shares, abs=1e-9)


@pytest.mark.parametrize(
    ("depth", "width", "resolution", "pixels", "macs"),
    [
        (1.2, 1.1, 1.15, 258, 992_629_472),
        (2.0, 1, 1, 224, 782_254_048),
        (1, 2**0.5, 1, 224, 745_527_488),
        (1, 1, 2**0.5, 317, 784_371_200),
    ],
)
def test_nominal_scaling_of_b0_costs_what_was_counted(
    depth: float, width: float, resolution: float, pixels: int, macs: int
) -> None:
    grown = scale_arch(B0, Coefficients(depth, width, resolution), phi=1)
    assert grown.resolution == pixels
    assert count_macs(grown) == macs


@pytest.mark.parametrize(
    ("name", "width", "depth"),
    [("efficientnet_b1", 1.0, 1.1), ("efficientnet_b4", 1.4, 1.8), ("efficientnet_b7", 2.0, 3.1)],
)
def test_nominal_rounding_builds_the_published_networks(name: str, width: float, depth: float) -> None:
    published = reference_arch(name)
    grown = scale_arch(B0, Coefficients(depth, width, published.resolution / 224))
    assert grown.id == published.id
    assert count_params(grown) == count_params(published)


@pytest.mark.parametrize("alpha", [1.01, 1.1, 1.2, 1.25])
def test_every_depth_up_to_a_quarter_more_is_the_same_network(alpha: float) -> None:
    assert sum(stage.layers for stage in scale_arch(B0, Coefficients(alpha, 1, 1)).stages) == 23


@pytest.mark.parametrize("rule", RULES)
def test_phi_zero_is_the_baseline_and_growing_twice_is_refused(rule: str) -> None:
    assert scale_arch(B0, PAPER, 0, rule) == B0
    half = scale_arch(B0, PAPER, 0.5, rule)
    with pytest.raises(ValueError, match="already grown by phi"):
        scale_arch(half, PAPER, 0.5, rule)
    with pytest.raises(ValueError, match="already grown"):
        scale_arch(ArchSpec.from_json(half.to_json()), PAPER, 0.5, rule)


def test_bad_arguments_of_scaling() -> None:
    with pytest.raises(ValueError, match="phi must be a number of at least -100"):
        scale_arch(B0, PAPER, -101)
    with pytest.raises(ValueError, match="rule must be one of thrifty, matched, nominal"):
        scale_arch(B0, PAPER, 1, "other")


@pytest.mark.parametrize("baseline", [B0, NARROW, reference_arch("mobilenet_v2")], ids=["b0", "narrow", "mobilenet_v2"])
def test_matched_family_doubles_its_cost_with_every_phi(baseline: ArchSpec) -> None:
    members = family(baseline, PAPER)
    assert [member.phi for member in members] == list(range(-2, 8))
    assert members[2].arch.id == baseline.id
    for member in members:
        assert member.cost == pytest.approx(2**member.phi, rel=0.05)
        assert member.macs == count_macs(member.arch)
        little, large = (member.arch, baseline) if member.phi < 0 else (baseline, member.arch)
        assert little.resolution <= large.resolution
        for less, more in zip(little.stages, large.stages, strict=True):
            assert less.layers <= more.layers
            assert less.channels <= more.channels
    for smaller, larger in pairwise(members):
        assert smaller.params < larger.params


def test_dropout_rises_from_two_to_five_tenths() -> None:
    rates = [member.dropout for member in family(B0, PAPER, rule="nominal")]
    assert rates[:3] == [0.2] * 3
    assert rates[-1] == 0.5
    assert rates == sorted(rates)


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(share_lattice(4)), st.floats(0.25, 0.7), st.booleans())
def test_a_large_network_shrinks_in_any_shares_to_any_cost_down_to_a_quarter(
    shares: Shares, cost: float, thrifty: bool
) -> None:
    # With one layer in each of its seven stages B0 costs 0.449; down to about 0.34 a little width is taken besides.
    assume(shares.depth < 1 or not 0.33 < cost < 0.35)
    if shares.depth == 1 and cost < 0.34:
        with pytest.raises(CannotShrinkError, match="too few steps"):
            nearest_network(Baseline(B0), shares, cost, thrifty=thrifty)
        return
    shrunk = nearest_network(Baseline(B0), shares, cost, thrifty=thrifty)
    assert count_macs(shrunk) / count_macs(B0) == pytest.approx(cost, rel=0.04)
    realised = Baseline(shrunk).shares_of(B0)
    assert math.dist(realised, shares) < 0.3


def test_what_cannot_shrink_is_left_out_and_said() -> None:
    shallow = replace(NARROW, stages=tuple(replace(stage, layers=1) for stage in NARROW.stages))
    told: list[str] = []
    deep = Coefficients(2, 1, 1)
    assert [member.phi for member in family(shallow, deep, (-1, 0, 1), num_classes=10, tell=told.append)] == [0, 1]
    assert told == ["phi = -1: the network cannot be shrunk to 0.5 of its cost in this way: it has no depth to spare"]
    with pytest.raises(CannotShrinkError, match="phi = -1: the network does not shrink"):
        scale_arch(shallow, deep, -1)
    with pytest.raises(ValueError, match="already grown by phi = -1"):
        family(scale_arch(B0, PAPER, -1), PAPER, (-2,))


def test_nominal_shrinking_is_the_formula_and_widens_nothing() -> None:
    half = scale_arch(B0, Coefficients(1, 1, 2), -1)
    assert half == replace(B0, resolution=112, phi=-1.0)
    thin = scale_arch(NARROW, PAPER, -2)
    assert all(s.channels <= b.channels for s, b in zip(thin.stages, NARROW.stages, strict=True))


def test_dwr_is_the_rule_of_its_paper() -> None:
    way = Coefficients.from_shares(DWR)
    assert (way.depth, way.width, way.resolution) == pytest.approx((2**0.1, 2**0.4, 2**0.05))


def test_fractional_phi_lies_between_its_neighbours() -> None:
    costs = [member.cost for member in family(B0, PAPER, (1, 1.5, 2))]
    assert costs[1] == pytest.approx(2**1.5, rel=0.05)
    assert costs == sorted(costs)


def test_the_paper_grid_has_109_points_and_builds_65_networks() -> None:
    assert len(coefficient_grid(0.05, 0.1, 1, 2)) == 109
    points = scaling_points(B0, "nominal")
    assert len(points) == 65
    assert sum(len(point.merged) for point in points) == 109
    assert len({replace(point.arch, resolution=224).id for point in points}) == 38
    assert min(point.cost for point in points) == pytest.approx(1.93, abs=0.005)
    assert max(point.cost for point in points) == pytest.approx(3.33, abs=0.005)


def test_grid_ends_count_in() -> None:
    grid = coefficient_grid(step=0.5, tolerance=0, low=1, high=2)
    assert grid == (Coefficients(2, 1, 1),)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"step": 0.3, "tolerance": 0.001, "high": 1.3}, "larger tolerance"),
        ({"step": 0}, "step must be above 0"),
        ({"low": 0.9}, "1 <= low"),
        ({"tolerance": -1}, "tolerance must be at least 0"),
    ],
)
def test_unusable_grids_say_how_to_mend_them(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        coefficient_grid(**arguments)


@pytest.mark.parametrize("layout", ["matched", "thrifty"])
@pytest.mark.parametrize("baseline", [B0, NARROW], ids=["b0", "narrow"])
def test_matched_points_cost_twice_the_baseline(baseline: ArchSpec, layout: str) -> None:
    points = scaling_points(baseline, layout, num_classes=10)
    assert len(points) == 21
    for point, wanted in zip(points, share_lattice(), strict=True):
        assert point.cost == pytest.approx(2, rel=0.03)
        assert point.nominal_cost == pytest.approx(2)
        assert point.coefficients.shares == pytest.approx(point.shares)
        assert max(abs(got - want) for got, want in zip(point.shares, wanted, strict=True)) < 0.1
        assert point.arch.resolution % 2 == 0


def test_an_unknown_layout_is_refused() -> None:
    with pytest.raises(ValueError, match="`layout` must be one of thrifty, matched, nominal"):
        scaling_points(B0, "other")


def test_realised_shares_are_the_log_costs_of_each_dimension_alone() -> None:
    grown = scale_arch(B0, Coefficients(1.0, 1.0, 1.4))
    assert Baseline(B0).shares_of(grown) == (0, 0, 1)
    with pytest.raises(ValueError, match="not grown"):
        Baseline(B0).shares_of(B0)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(0, 40))
def test_apportioned_layers_sum_up_and_never_shrink(layers: list[int], more: int) -> None:
    total = sum(layers) + more
    apportioned = apportion(layers, total)
    assert sum(apportioned) == total
    assert all(got >= base for got, base in zip(apportioned, layers, strict=True))
    assert all(abs(got - total * base / sum(layers)) < 1 for got, base in zip(apportioned, layers, strict=True))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=8), st.integers(1, 80))
def test_each_gets_a_layer_and_the_first_of_equals_one_more(layers: list[int], total: int) -> None:
    apportioned = apportion(layers, total)
    assert min(apportioned) >= 1
    assert sum(apportioned) >= total
    assert apportion([1] * 3, 5) == [2, 2, 1]


@settings(max_examples=10, deadline=None)
@given(st.sampled_from(share_lattice(4)), st.floats(1.5, 6), st.booleans())
def test_nearest_network_meets_any_cost(shares: Shares, cost: float, thrifty: bool) -> None:
    grown = nearest_network(Baseline(B0), shares, cost, thrifty=thrifty)
    assert count_macs(grown) / count_macs(B0) == pytest.approx(cost, rel=0.03)


def test_a_width_that_cannot_grow_in_small_steps_is_not_replaced_by_other_dimensions() -> None:
    narrow = fit_arch(B0, 32, 1e6, num_classes=6)
    assert min(stage.channels for stage in narrow.stages) == 2
    baseline = Baseline(narrow, 6)
    wider = nearest_network(baseline, Shares(0, 1, 0), 2, thrifty=True)
    assert baseline.shares_of(wider).width > 0.9
    assert count_macs(wider, num_classes=6) == pytest.approx(2 * count_macs(narrow, num_classes=6), rel=0.15)


@pytest.mark.parametrize(
    "space", [macro_space(2e6, (32,), num_classes=10), mnasnet_space(2e6, 32)], ids=["macro", "mnasnet"]
)
def test_blocks_that_growth_adds_have_shortcuts(space: SearchSpace) -> None:
    """Also in a stage whose only block has none, for it changes the shape: without, deep networks hardly train.

    Where a stage of several blocks has no shortcuts, or one that keeps the shape, that was a choice.
    """
    found = 0
    for row in space.sample(np.random.default_rng(0), 15):
        arch = space.decode(space.params(row))
        deeper = scale_arch(arch, Coefficients(3, 1, 1))
        added = [after.layers - before.layers for before, after in zip(arch.stages, deeper.stages, strict=True)]
        chosen = [
            stage.skip == "none" and (stage.layers > 1 or (stage.stride == 1 and stage.channels == inputs))
            for stage, inputs in arch.fed_stages()
        ]
        assert _shortcuts(deeper) - _shortcuts(arch) == sum(
            n for n, plain in zip(added, chosen, strict=True) if not plain
        )
        found += any(bare(stage, inputs) for stage, inputs in arch.fed_stages())
    assert found > 3


def test_waste_is_the_cost_of_what_is_rounded_up() -> None:
    """By hand: two strides, so that maps of 9 pixels and more cost as those of 12 do, in their last stage alone."""
    arch = ArchSpec(parse_blocks("r1_k3_s22_e1_i4_o4_conv"), StemSpec(4), HeadSpec(0), resolution=12)
    stem, stage = 3 * 4 * 9, 4 * 4 * 9  # a position of each

    def by_hand(pixels: int) -> float:
        halves, quarters = -(-pixels // 2), -(-pixels // 4)
        return stem * halves**2 + stage * quarters**2 + 4 * 10

    baseline = Baseline(arch, 10)
    assert baseline.count(replace(arch, resolution=9)) == by_hand(9)
    assert baseline.wasted(12) == pytest.approx(0)
    fixed = 4 * 10  # the classifier
    assert baseline.wasted(9) == pytest.approx(math.log2((by_hand(9) - fixed) / (by_hand(12) - fixed) * (12 / 9) ** 2))
    assert baseline.wasted(16) == pytest.approx(0)
    pooled = Baseline(replace(arch, stem=replace(arch.stem, pool=2)), 10)  # strides of 8 together
    assert pooled.wasted(8) == pytest.approx(0)
    assert pooled.wasted(12) > 0.05


@pytest.mark.parametrize("rule", ["thrifty", "matched"])
@pytest.mark.parametrize("pixels", [32, 64])
def test_growth_in_pixels_alone_grows_the_pixels(rule: str, pixels: int) -> None:
    """Also where no resolution near is without waste, for these divide by 32."""
    for name in ("resnet18", "mobilenet_v1"):
        arch = replace(reference_arch(name), resolution=pixels)
        grown = scale_arch(arch, Coefficients(1, 1, 2**0.5), 1, rule, num_classes=10)
        assert Baseline(arch, 10).shares_of(grown).resolution > 0.7


@pytest.mark.parametrize("name", ["mobilenet_v1", "xception", "mnasnet_a1"])
def test_networks_of_one_id_grow_alike(name: str) -> None:
    """Their files may say "none" of a shortcut where there can be none."""
    arch = replace(reference_arch(name), resolution=96)
    said_otherwise = canonical(arch)
    assert said_otherwise != arch
    assert said_otherwise.id == arch.id
    deeper = [scale_arch(each, Coefficients(2, 1, 1), 1, "thrifty") for each in (arch, said_otherwise)]
    assert deeper[0].id == deeper[1].id


def test_matched_grows_as_in_earlier_versions() -> None:
    """Run folders that were begun so go on with these networks."""
    points = scaling_points(NARROW, "matched", num_classes=10)
    assert hashlib.sha256(" ".join(point.arch_id for point in points).encode()).hexdigest()[:16] == "42de49ae69dae6c1"


@given(st.sampled_from([20, 24, 30, 32]), st.sampled_from([0.5, 2, 4]), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_thrifty_growth_leaves_wasteful_resolutions_out(pixels: int, cost: float, first: float, second: float) -> None:
    arch = replace(fit_arch(B0, 32, 6.3e6, num_classes=10), resolution=pixels)
    baseline = Baseline(arch, 10)
    shares = Shares(first, (1 - first) * second, (1 - first) * (1 - second))
    try:
        grown = nearest_network(baseline, shares, cost, thrifty=True)
    except CannotShrinkError:
        return
    assert grown.resolution == pixels or baseline.wasted(grown.resolution) <= WASTEFUL


def _shortcuts(arch: ArchSpec) -> int:
    with torch.device("meta"):
        network = build_network(arch, 10)
    return sum(isinstance(module, Residual) for module in network.modules())
