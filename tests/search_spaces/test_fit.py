"""Spaces and networks fitted to a task: final map, median cost, choices, neighbours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import CategoricalDistribution, IntDistribution

from search_spaces import (
    ArchSpec,
    Choice,
    HeadSpec,
    SearchSpace,
    StageSpec,
    auto_resolution,
    count_macs,
    fit_strides,
    mbconv_space,
    mnasnet_space,
    reference_arch,
    resize,
    stage_costs,
    stride_plan,
)
from search_spaces.rounding import round_channels, round_layers, suitable_divisor


def final_side(arch: ArchSpec) -> int:
    return stage_costs(arch)[-2].output.size


# --- Strides and resolution ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [4, 5, 8, 12, 16, 22, 28, 32, 48, 64, 96, 128, 224, 300])
@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v2"])
def test_small_images_keep_a_useful_final_map(name: str, resolution: int) -> None:
    arch = reference_arch(name)
    fitted = fit_strides(arch, resolution)
    assert final_side(fitted) >= 4
    assert fitted.resolution == resolution
    if resolution >= 128:
        assert [s.stride for s in fitted.stages] == [s.stride for s in arch.stages]


def test_strides_are_dropped_from_the_front_and_no_more_than_needed() -> None:
    fitted = fit_strides(reference_arch("efficientnet_b0"), 32)
    assert [fitted.stem.stride, *(stage.stride for stage in fitted.stages)] == [1, 1, 1, 2, 2, 1, 2, 1]
    assert final_side(fitted) == 4
    assert stride_plan(fitted) == "32 > 16 > 8 > 4 pixels (strides 1 1 1 2 2 1 2 1)"


@pytest.mark.parametrize(
    ("native", "resolution"), [(8, 5), (28, 18), (32, 22), (64, 44), (96, 66), (256, 180), (316, 222), (400, 224)]
)
def test_auto_resolution_leaves_headroom_for_one_scaling_step(native: int, resolution: int) -> None:
    assert auto_resolution(native) == resolution
    assert resolution * np.sqrt(2) <= native


# --- The median candidate and the target ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "resolution"), [(0.5e6, 8), (1e6, 22), (4e6, 22), (2e6, 32), (20e6, 32), (20e6, 64), (400e6, 224)]
)
def test_the_median_member_costs_about_the_target(target: float, resolution: int) -> None:
    space = mnasnet_space(target, resolution, num_classes=10)
    rows = space.sample(np.random.default_rng(77), 200)
    costs = [count_macs(space.decode(space.params(row)), None, 10) for row in rows]
    assert abs(np.median(costs) / target - 1) <= 0.25
    assert final_side(space.base) >= 4
    assert space.size == 432**7


@pytest.mark.parametrize(("target", "resolution"), [(1e6, 22), (10e6, 32), (400e6, 224)])
def test_the_fixed_width_space_meets_it_too_and_holds_b0s_choices(target: float, resolution: int) -> None:
    space = mbconv_space(target, resolution, num_classes=10)
    rows = space.sample(np.random.default_rng(77), 200)
    costs = [count_macs(space.decode(space.params(row)), None, 10) for row in rows]
    assert abs(np.median(costs) / target - 1) <= 0.25
    params: dict[str, Any] = {}
    for i, stage in enumerate(reference_arch("efficientnet_b0").stages, 1):
        params |= {f"s{i}.{name}": getattr(stage, name) for name in ("expand", "kernel", "layers", "se")}
    assert space.decode(params).id == space.base.id


def test_b0_itself_is_a_member_at_full_size() -> None:
    assert mbconv_space().base == reference_arch("efficientnet_b0")


@pytest.mark.parametrize("make", [mnasnet_space, mbconv_space])
def test_a_target_out_of_reach_is_refused_in_one_line(make: object) -> None:
    with pytest.raises(ValueError, match="cannot be reached at 224 pixels") as raised:
        make(1e4, 224)  # type: ignore[operator]
    assert "\n" not in str(raised.value)


def test_members_honour_the_images_channels_and_every_choice() -> None:
    space = mnasnet_space(1e6, 22, num_classes=10, input_channels=1)
    first = {choice.name: choice.values[0] for choice in space.choices}
    wanted = {"s3.op": "mbconv6", "s3.kernel": 5, "s3.se": 0.25, "s3.skip": "none", "s3.filters": 125, "s3.layers": 4}
    arch = space.decode({**first, **wanted})
    stage = arch.stages[2]
    assert arch.input_channels == 1
    assert (stage.op, stage.expand, stage.kernel, stage.se, stage.skip) == ("mbconv", 6, 5, 0.25, "none")
    assert stage.layers == 4
    widths = [space.decode({**first, "s7.filters": share}).stages[6].channels for share in (75, 100, 125)]
    assert widths == sorted(set(widths))
    assert space.decode({**first, "s3.op": "sepconv"}).stages[2].op == "sepconv"


# --- Resizing and rounding -----------------------------------------------------------------------------------------


@given(st.floats(1, 4000), st.sampled_from([2, 4, 8]))
def test_rounded_channels_are_multiples_near_the_value(value: float, divisor: int) -> None:
    rounded = round_channels(value, divisor)
    assert rounded % divisor == 0
    assert rounded >= max(divisor, 0.9 * value)
    assert rounded <= max(divisor, 0.9 * value + divisor, value + divisor / 2)


@pytest.mark.parametrize(("value", "layers"), [(1.1 * 10, 11), (1.2, 2), (2.0, 2), (3.1 * 1, 4), (1e-3, 1)])
def test_layers_round_up(value: float, layers: int) -> None:
    assert round_layers(value) == layers


@pytest.mark.parametrize(("channels", "divisor"), [([16, 24], 8), ([15.9], 4), ([8], 4), ([7], 2), ([1], 2)])
def test_divisor_suits_the_narrowest(channels: list[float], divisor: int) -> None:
    assert suitable_divisor(channels) == divisor


def test_resizing_scales_stem_and_head_and_leaves_a_missing_head_out() -> None:
    arch = ArchSpec((StageSpec(channels=16, layers=2),))
    grown = resize(arch, 1.5, 1.2, divisor=8)
    assert (grown.stem.channels, grown.stages[0].channels, grown.head.channels) == (48, 24, 1920)
    assert grown.stages[0].layers == 3
    assert resize(arch) == arch
    pooled = replace(arch, head=HeadSpec(960, "mobilenet_v3", pooled=1280))
    assert resize(pooled, 1.5, divisor=8).head == HeadSpec(1440, "mobilenet_v3", pooled=1920)


# --- Spaces as such ------------------------------------------------------------------------------------------------

SPACE = mbconv_space()


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_neighbours_differ_in_one_choice_and_are_all_there(seed: int) -> None:
    row = SPACE.sample(np.random.default_rng(seed), 1)[0]
    params = SPACE.params(row)
    assert SPACE.indices(params).tolist() == row.tolist()
    neighbours = list(SPACE.neighbours(params))
    assert len(neighbours) == sum(len(choice.values) - 1 for choice in SPACE.choices)
    assert all(sum(other[name] != params[name] for name in params) == 1 for other in neighbours)
    assert len({tuple(sorted(other.items())) for other in neighbours}) == len(neighbours)


def test_sampling_is_uniform_over_each_choice_and_repeats_from_a_seed() -> None:
    rows = SPACE.sample(np.random.default_rng(5), 6000)
    assert (rows == SPACE.sample(np.random.default_rng(5), 6000)).all()
    for column, choice in zip(rows.T, SPACE.choices, strict=True):
        shares = np.bincount(column, minlength=len(choice.values)) / len(rows)
        assert np.abs(shares - 1 / len(choice.values)).max() < 0.03


def test_choices_as_optuna_says_them() -> None:
    assert Choice("layers", (1, 2, 3)).distribution == IntDistribution(1, 3)
    assert Choice("kernel", (3, 5, 7)).distribution == IntDistribution(3, 7, step=2)
    assert Choice("expand", (1, 3, 6)).distribution == CategoricalDistribution((1, 3, 6))
    assert Choice("se", (0.0, 0.25)).distribution == CategoricalDistribution((0.0, 0.25))
    assert Choice("flag", (True, False)).distribution == CategoricalDistribution((True, False))


@pytest.mark.parametrize("values", [(), (1, 1)])
def test_a_choice_needs_distinct_values(values: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="choice 'x'"):
        Choice("x", values)


def test_wrong_parameters_name_the_choice() -> None:
    space = SearchSpace(
        "mine", (Choice("depth", (1, 2)),), lambda params: ArchSpec((StageSpec(layers=params["depth"]),))
    )
    assert space.size == 2
    assert space.decode({"depth": 2}).stages[0].layers == 2
    with pytest.raises(ValueError, match="no value for choice 'depth'"):
        space.decode({})
    with pytest.raises(ValueError, match=r"choice 'depth' is one of \(1, 2\), not 3"):
        space.decode({"depth": 3})
