"""The default space: plans of whole networks at one cost."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import SearchSpace, count_macs, macro_space, reference_arch, stage_costs
from search_spaces.fit import halvings
from search_spaces.plans import fitting_plans
from search_spaces.spaces.macro_plans import NARROWEST, PLACEMENTS, MacroPlan, menus, place_strides

TARGET = 1.8e6
SIZES = (32, 24, 16)
HEAVY = {"op": "mbconv6", "layers": 3, "kernel": 5}


@cache
def space() -> SearchSpace:
    return macro_space(TARGET, SIZES, num_classes=10)


def filled(params: Mapping[str, Any]) -> dict[str, Any]:
    """With the first value for every choice that has none."""
    return {choice.name: choice.values[0] for choice in space().choices} | dict(params)


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


@pytest.mark.parametrize(
    ("sizes", "offered"),
    [
        ((96, 72, 48), [(48, 72, 96), (48, 72), (48,)]),
        ((48, 36, 24), [(36, 48), (36,), (24,)]),
        ((32, 24, 16), [(32,), (16, 24), (16,)]),
        ((28, 20, 16), [(28,), (16, 20), (16,)]),
        ((8,), [(8,)]),
    ],
)
def test_small_images_are_not_made_smaller_unless_nothing_else_is_left(
    sizes: tuple[int, ...], offered: list[tuple[int, ...]]
) -> None:
    assert list(dict.fromkeys(menu.resolutions for menu in menus(sizes))) == offered


def test_menus_become_poorer_to_the_last_resolution() -> None:
    found = list(menus((96, 72, 48)))
    plans = [len(list(menu.plans())) for menu in found]
    assert found[0].resolutions == (48, 72, 96)
    assert found[-1].resolutions == (48,)
    assert plans[0] == 3 * 3 * 3
    assert all(later < earlier for earlier, later in pairwise(plans[:4]))
    assert all(halvings(plan.resolution) <= len(plan.strides) - 1 for menu in found for plan in menu.plans())


# --- The space -------------------------------------------------------------------------------------------------------


def test_the_plan_is_chosen_before_the_blocks() -> None:
    names = [choice.name for choice in space().choices]
    assert names[:5] == ["resolution", "stages", "strides", "stem", "s1.op"]
    assert "head" not in names  # more features than classes
    assert "head" in {choice.name for choice in macro_space(TARGET, SIZES, num_classes=100).choices}
    assert {name.partition(".")[2] for name in names if name.startswith("s3.")} == {
        "op", "layers", "kernel", "filters", "se",
    }  # fmt: skip
    assert {choice.name: choice.values for choice in space().choices}["s1.filters"] == (50, 75, 100, 150, 200)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_members_are_sound(seed: int) -> None:
    params = space().params(space().sample(np.random.default_rng(seed), 1)[0])
    arch = space().decode(params)
    assert arch.resolution == params["resolution"]
    assert len(arch.stages) == params["stages"]
    assert 4 <= stage_costs(arch)[-2].output.size <= 7


@pytest.mark.parametrize(
    ("target", "sizes", "classes"),
    [(3e5, (8,), 10), (1e6, (32, 24, 16), 10), (20e6, (96, 72, 48), 17), (386e6, (224,), 1000)],
)
def test_all_members_cost_the_target(target: float, sizes: tuple[int, ...], classes: int) -> None:
    made = macro_space(target, sizes, num_classes=classes)
    members = (made.decode(made.params(row)) for row in made.sample(np.random.default_rng(1), 100))
    costs = np.array([count_macs(arch, None, classes) for arch in members]) / target
    assert costs.max() <= 1.1
    assert np.quantile(costs, 0.1) >= 0.9
    assert made.equal_macs == target


def test_a_space_of_several_sizes_costs_what_size_says() -> None:
    made = macro_space(TARGET, SIZES, num_classes=10, sizes=(50, 100, 200))
    assert made.equal_macs is None
    assert made.choices[0].name == "size"
    for row in made.sample(np.random.default_rng(1), 30):
        params = made.params(row)
        cost = count_macs(made.decode(params), None, 10)
        assert cost / TARGET == pytest.approx(params["size"] / 100, rel=0.15)
    assert {start["size"] for start in made.starts} == {100}


def test_earlier_journals_fit_the_space() -> None:
    """The ids of 200 members drawn with seed 1: what a trial's parameters stand for must not change."""
    ids = [space().decode(space().params(row)).id for row in space().sample(np.random.default_rng(1), 200)]
    assert hashlib.sha256(" ".join(ids).encode()).hexdigest()[:16] == "9dd71cb95f943f24"


def test_more_layers_are_narrower_ones() -> None:
    start = dict(space().starts[0])
    widths = [space().decode(filled(start | {"s1.layers": layers})).stages[0].channels for layers in (1, 3)]
    assert widths[0] > widths[1]


def test_filters_are_relative_to_those_of_the_other_stages() -> None:
    start = dict(space().starts[0])
    plain, wide = (space().decode(filled(start | {"s3.filters": percent})) for percent in (100, 200))
    assert wide.stages[2].channels > plain.stages[2].channels
    assert wide.stages[1].channels < plain.stages[1].channels


def test_blocks_that_leave_narrow_stages_are_not_offered() -> None:
    """At 32 pixels three MBConv 6 a stage would have a stem of 4 channels: what stands for them has fewer layers."""
    made = macro_space(1e6, SIZES, num_classes=10)
    heavy = {f"s{i}.{what}": value for i in (1, 2, 3) for what, value in HEAVY.items()}
    arch = made.decode(filled(dict(made.starts[0]) | heavy))
    assert {stage.layers for stage in arch.stages} == {2}
    assert min(stage.channels for stage in arch.stages) >= NARROWEST


def test_a_small_target_takes_away_pixels_before_it_narrows_stages() -> None:
    made = macro_space(3e5, SIZES, num_classes=10)
    assert made.choices[0].values == (16, 24)
    with pytest.raises(ValueError, match="at 16 pixels: a plain network would have stages of 4 channels; raise"):
        macro_space(6e4, SIZES, num_classes=10)
    with pytest.raises(ValueError, match=r"at 16 pixels: with 4 channels a stage the network costs 0.03 M MACs, more"):
        macro_space(2e4, SIZES, num_classes=10)
    with pytest.raises(ValueError, match=r"reached at 32 pixels: a plain network would have a stem of \d+ channels"):
        macro_space(9e11, SIZES, num_classes=10)


def test_starts_are_plain_members() -> None:
    starts = space().starts
    assert [(start["resolution"], start["s1.op"]) for start in starts] == [(32, op) for op in ("mbconv3", "sepconv")]
    for start in starts:
        assert start.keys() >= space().active(filled(start))
        arch = space().decode(filled(start))
        assert min(stage.channels for stage in arch.stages) >= NARROWEST
        assert {stage.skip for stage in arch.stages if stage.stride > 1} == {"pool"}


def test_at_32_pixels_the_first_start_is_a_plain_opponent() -> None:
    """So that what a search adds to it can be seen on the frontier. At other sizes their plans differ."""
    opponent = fitting_plans(reference_arch("pooled_mbconv"), SIZES, TARGET, num_classes=10)[0]
    assert opponent.arch == space().decode(filled(space().starts[0]))


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
    known = {name: first[name] for name in active}
    assert space().member(known) == space().decode(first)
    with pytest.raises(KeyError, match="strides"):
        space().indices({name: value for name, value in known.items() if name != "strides"})
