"""Spaces cut out of one network."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces import count_macs, reference_arch
from search_spaces.spaces.around import around_space


@pytest.mark.parametrize(("name", "pixels"), [("mobilenet_v1_025", 96), ("efficientnet_lite0", 64), ("mnasnet_a1", 64)])
def test_the_first_start_is_the_whole_parent_where_a_resolution_brings_it_to_the_target(name: str, pixels: int) -> None:
    parent = reference_arch(name)
    whole = replace(parent, resolution=pixels)
    space = around_space(parent, count_macs(whole, None, 10), (128, 96, 80, 64, 48), num_classes=10)
    found = space.decode(space.starts[0])
    assert found.resolution == pixels
    assert [stage.layers for stage in found.stages] == [stage.layers for stage in parent.stages]
    wide, own = ([stage.channels for stage in arch.stages] for arch in (found, whole))
    assert all(abs(mine / theirs - 1) <= 0.1 or abs(mine - theirs) <= 4 for mine, theirs in zip(wide, own, strict=True))
    assert abs(count_macs(found, None, 10) / count_macs(whole, None, 10) - 1) < 0.05
