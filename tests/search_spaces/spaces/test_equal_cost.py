"""Shapes and the widths that bring them to a cost."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, count_macs
from search_spaces.fit import resize
from search_spaces.spaces.choices import OneOf, vary
from search_spaces.spaces.equal_cost import DIVISOR, MOST, equal_cost_space, fit_shape

SHAPE = ArchSpec(
    (StageSpec("mbconv", channels=64, expand=3), StageSpec("basic", channels=128, stride=2)),
    StemSpec(64, stride=2),
    HeadSpec(0),
    resolution=32,
)


@settings(max_examples=60, deadline=None)
@given(st.floats(1e5, 1e9), st.integers(1, 3), st.sampled_from([0, 256]))
def test_a_shape_meets_any_target_from_below_or_above(target: float, layers: int, head: int) -> None:
    first, *rest = SHAPE.stages
    shape = replace(SHAPE, stages=(replace(first, layers=layers), *rest), head=HeadSpec(head))
    if count_macs(resize(shape, 1e-3, divisor=DIVISOR), None, 10) > MOST * target:
        with pytest.raises(ValueError, match="with 4 channels a stage"):
            fit_shape(shape, target, 10)
        return
    fitted = fit_shape(shape, target, 10)
    assert 0.6 <= count_macs(fitted, None, 10) / target <= MOST
    assert all(stage.channels % DIVISOR == 0 for stage in fitted.stages)
    assert replace(fitted, stem=shape.stem, head=shape.head, stages=shape.stages) == shape


def test_wide_networks_meet_a_target_within_a_twentieth_and_keep_their_shape() -> None:
    fitted = fit_shape(SHAPE, 5e7, 10)
    assert count_macs(fitted, None, 10) / 5e7 == pytest.approx(1, abs=0.05)
    assert fitted.stages[1].channels / fitted.stages[0].channels == pytest.approx(2, rel=0.1)


def test_the_narrowest_network_that_costs_more_than_the_target_is_said() -> None:
    with pytest.raises(ValueError, match=r"with 4 channels a stage the network costs \S+ M MACs, more than 0.001 M"):
        fit_shape(SHAPE, 1e3, 10)


def test_members_cost_what_the_target_and_their_size_say() -> None:
    first, last = SHAPE.stages
    spec = vary(SHAPE, stages=(first, vary(last, channels=OneOf("wide", (False, True), (128, 256)))))
    alike = equal_cost_space("alike", spec, 2e6, num_classes=10)
    assert [choice.name for choice in alike.choices] == ["wide"]
    narrow, wide = (alike.decode({"wide": value}) for value in (False, True))
    assert wide.stages[1].channels > narrow.stages[1].channels
    assert wide.stages[0].channels < narrow.stages[0].channels
    sized = equal_cost_space("sized", spec, 2e6, num_classes=10, sizes=(50, 100))
    assert sized.decode({"size": 100, "wide": True}) == wide
    assert count_macs(sized.decode({"size": 50, "wide": True}), None, 10) / 1e6 == pytest.approx(1, abs=0.1)
    assert (alike.equal_macs, sized.equal_macs) == (2e6, None)
