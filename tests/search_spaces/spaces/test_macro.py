"""The default space: plans of whole networks at one cost."""

from __future__ import annotations

import hashlib
from functools import cache
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import StagedSpace, cost_table, count_macs, macro_space, stage_costs
from search_spaces.fit import halvings
from search_spaces.spaces.macro_plans import NARROWEST, PLACEMENTS, MacroPlan, menus, place_strides, rounded, solve

TARGET = 1.8e6
SIZES = (32, 24, 16)


@cache
def space() -> StagedSpace:
    return macro_space(TARGET, SIZES, num_classes=10)


# --- Plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("placement", "strides"), [("early", (2, 2, 2, 1, 1)), ("even", (2, 1, 2, 1, 2)), ("late", (1, 1, 2, 2, 2))]
)
def test_strides_come_early_evenly_or_late(placement: str, strides: tuple[int, ...]) -> None:
    assert place_strides(3, 4, placement) == strides


@given(st.integers(0, 6), st.integers(1, 8), st.sampled_from(PLACEMENTS))
def test_as_many_strides_are_placed_as_are_wanted(count: int, stages: int, placement: str) -> None:
    if count > stages:
        with pytest.raises(ValueError, match="do not fit"):
            place_strides(count, stages, placement)
    else:
        strides = place_strides(count, stages, placement)
        assert len(strides) == stages + 1
        assert strides.count(2) == count


def test_widths_double_with_every_stride_of_a_stage() -> None:
    assert MacroPlan(32, (2, 1, 2, 2)).widths(12) == [12, 12, 24, 48]
    assert MacroPlan(32, (1, 2, 1, 2)).widths(10) == [10, 20, 20, 40]


def test_menus_become_poorer_to_the_last_resolution() -> None:
    found = list(menus((96, 72, 48)))
    plans = [len(list(menu.plans())) for menu in found]
    assert found[0].resolutions == (48, 72, 96)
    assert found[-1].resolutions == (48,)
    assert plans[0] == 3 * 3 * 3
    assert all(later < earlier for earlier, later in pairwise(plans[:4]))
    assert all(halvings(plan.resolution) <= len(plan.strides) - 1 for menu in found for plan in menu.plans())


@given(st.floats(0.1, 50), st.floats(1, 60), st.floats(1, 1e4))
def test_a_width_is_found_for_any_cost_that_grows(linear: float, start: float, target: float) -> None:
    width = solve(lambda width: width**2 + linear * width, target, start)
    assert width**2 + linear * width == pytest.approx(target, rel=0.05)


@pytest.mark.parametrize(("channels", "expected"), [(0.3, 8), (9.9, 8), (10.1, 12), (30, 32), (31, 32)])
def test_channels_are_multiples_of_four_from_eight(channels: float, expected: int) -> None:
    assert rounded(channels) == expected


# --- The space -------------------------------------------------------------------------------------------------------


def test_the_plan_is_chosen_before_the_blocks() -> None:
    names = [choice.name for choice in space().choices]
    assert names[:3] == ["resolution", "stages", "strides"]
    assert "head" in names
    assert {name.partition(".")[2] for name in names if name.startswith("s3.")} == {
        "op", "layers", "kernel", "filters", "se", "skip",
    }  # fmt: skip
    assert {choice.name: choice.values for choice in space().choices}["s1.filters"] == (50, 75, 100, 150, 200)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_members_are_sound(seed: int) -> None:
    params = space().params(space().sample(np.random.default_rng(seed), 1)[0])
    arch = space().decode(params)
    assert arch.resolution == params["resolution"]
    assert len(arch.stages) == params["stages"]
    assert min(stage.channels for stage in arch.stages) >= NARROWEST
    assert 4 <= stage_costs(arch)[-2].output.size <= 7


@pytest.mark.parametrize("resolution", SIZES)
def test_every_resolution_costs_about_the_same(resolution: int) -> None:
    rows = space().sample(np.random.default_rng(1), 600)
    column = [choice.name for choice in space().choices].index("resolution")
    rows[:, column] = space().choices[column].values.index(resolution)
    median = float(np.median(cost_table(space(), 10).count(rows)[:, 0]))
    assert median / TARGET == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize(
    ("target", "sizes", "classes"), [(1e6, (32, 24, 16), 10), (20e6, (96, 72, 48), 17), (386e6, (224,), 1000)]
)
def test_the_median_member_costs_the_target(target: float, sizes: tuple[int, ...], classes: int) -> None:
    made = macro_space(target, sizes, num_classes=classes)
    rows = made.sample(np.random.default_rng(1), 600)
    assert float(np.median(cost_table(made, classes).count(rows)[:, 0])) / target == pytest.approx(1, abs=0.15)


def test_earlier_journals_fit_the_space() -> None:
    """The ids of 200 members drawn with seed 1: what a trial's parameters stand for must not change."""
    ids = [space().decode(space().params(row)).id for row in space().sample(np.random.default_rng(1), 200)]
    assert hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16] == "52e764dd785f1a23"


def test_fewer_layers_are_wider_ones() -> None:
    params: dict[str, Any] = {choice.name: choice.values[0] for choice in space().choices}
    params |= {"s1.filters": 100, "s1.op": "basic"}
    one, two = (space().decode({**params, "s1.layers": layers}).stages[0].channels for layers in ("fewer", "more"))
    assert one > two


def test_a_small_target_takes_away_pixels_before_it_narrows_stages() -> None:
    made = macro_space(3e5, SIZES, num_classes=10)
    assert made.choices[0].values == (16, 24)
    with pytest.raises(ValueError, match="reached at 16 pixels: with 8 channels a stage the median network costs"):
        macro_space(2e4, SIZES, num_classes=10)
    with pytest.raises(ValueError, match=r"reached at 32 pixels: a plain network would have a stem of \d+ channels"):
        macro_space(9e11, SIZES, num_classes=10)


def test_starts_are_plain_members_near_the_target() -> None:
    starts = space().starts
    assert [(start["resolution"], start["s1.op"]) for start in starts] == [
        (pixels, op) for pixels, op in product(SIZES, ("basic", "mbconv3"))
    ]
    rest: dict[str, Any] = {choice.name: choice.values[0] for choice in space().choices}
    for start in starts:
        assert start.keys() >= space().active({**rest, **start})
        assert 0.85 <= count_macs(space().decode({**rest, **start}), None, 10) / TARGET <= 1


# --- Choices that make no difference ---------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_choices_that_are_not_active_make_no_difference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first, second = (space().params(row) for row in space().sample(rng, 2))
    active = space().active(first)
    mixed = {name: first[name] if name in active else second[name] for name in first}
    assert space().decode(mixed) == space().decode(first)
    assert space().active(mixed) == active
    assert ("s4.op" in active) == (first["stages"] == 4)
    assert ("s1.kernel" in active) == (first["s1.op"] != "basic")
    known = {name: first[name] for name in active}
    rows = np.array([space().indices(known), space().indices(first)])
    costs = cost_table(space(), 10).count(rows)[:, 0]
    assert costs[0] == costs[1]
    with pytest.raises(KeyError, match="strides"):
        space().indices({name: value for name, value in known.items() if name != "strides"})
