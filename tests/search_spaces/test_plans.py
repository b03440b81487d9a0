"""Known networks fitted to sizes that they were not made for: which plans there are, and what they keep."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import count_macs, fit_arch, reference_arch, stage_costs
from search_spaces.fit import halvings, resolutions_up_to
from search_spaces.plans import SOUND_WIDTH, fitting_plans

NAMES = (
    "efficientnet_b0",
    "mobilenet_v2",
    "mnasnet_a1",
    "resnet18",
    "resnet20",
    "plain_resnet",
    "plain_mbconv",
    "pooled_mbconv",
)


@pytest.mark.parametrize(
    ("largest", "expected"),
    [(224, (224, 168, 112)), (96, (96, 72, 48)), (32, (32, 24, 16)), (28, (28, 20, 16)), (8, (8,)), (5, (5,))],
)
def test_resolutions_are_all_three_quarters_and_half_of_the_pixels(largest: int, expected: tuple[int, ...]) -> None:
    assert resolutions_up_to(largest) == expected


@pytest.mark.parametrize(
    ("resolution", "times"), [(224, 5), (128, 5), (127, 4), (96, 4), (32, 3), (31, 2), (8, 1), (4, 0), (3, 0)]
)
def test_maps_are_halved_down_to_four_to_seven_pixels(resolution: int, times: int) -> None:
    assert halvings(resolution) == times


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(NAMES), st.sampled_from([16, 32, 48, 96]), st.floats(0.5, 30))
def test_plans_meet_the_target_and_leave_a_useful_map(name: str, largest: int, millions: float) -> None:
    target = millions * 1e6
    plans = fitting_plans(reference_arch(name), resolutions_up_to(largest), target, num_classes=10)
    assert plans
    assert len({plan.arch.id for plan in plans}) == len({plan.words for plan in plans}) == len(plans)
    for plan in plans:
        assert count_macs(plan.arch, None, 10) <= 1.1 * target
        assert plan.is_sound or len(plans) == 1
        assert plan.is_sound == (min(stage.channels for stage in plan.arch.stages) >= SOUND_WIDTH)
        assert plan.words.startswith(f"{plan.arch.resolution} px")
        if plan.arch.resolution >= 16:
            assert 4 <= stage_costs(plan.arch)[-2].output.size <= 8


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2", "mnasnet_a1", "mobilenet_v3_small"])
@pytest.mark.parametrize("target", [100e6, 386e6])
def test_at_its_own_size_a_network_keeps_its_published_plan(name: str, target: float) -> None:
    plans = fitting_plans(reference_arch(name), resolutions_up_to(224), target)
    assert [plan.words for plan in plans] == ["224 px"]
    assert plans[0].arch == fit_arch(reference_arch(name), 224, target)


def test_networks_with_too_few_strides_get_more() -> None:
    plans = fitting_plans(reference_arch("plain_resnet"), (96,), 20e6, num_classes=10)
    assert plans[0].words == "96 px, strides added"
    assert [stage.stride for stage in plans[0].arch.stages] == [1, 2, 2, 2]


def test_b0_at_a_small_size_is_not_fitted_by_its_widths_alone() -> None:
    by_widths = fit_arch(reference_arch("efficientnet_b0"), 32, 1.8e6, num_classes=10)
    assert min(stage.channels for stage in by_widths.stages) == 2
    plans = fitting_plans(reference_arch("efficientnet_b0"), resolutions_up_to(32), 1.8e6, num_classes=10)
    assert all(plan.is_sound for plan in plans)
    assert {plan.arch.resolution for plan in plans} == {32, 24, 16}


def test_where_no_plan_is_sound_the_least_narrow_one_is_given() -> None:
    plans = fitting_plans(reference_arch("efficientnet_b0"), resolutions_up_to(96), 2e5, num_classes=10)
    assert len(plans) == 1
    assert not plans[0].is_sound


def test_a_target_that_no_plan_reaches_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be reached"):
        fitting_plans(reference_arch("efficientnet_b0"), (224,), 1e4)
