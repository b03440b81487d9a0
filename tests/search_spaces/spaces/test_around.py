"""Spaces cut out of one network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from search_spaces import REFERENCE_NAMES, ArchError, build_network, count_macs, count_params, reference_arch
from search_spaces.spaces.around import around_space
from search_spaces.weights.inherit import inherit


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


SMALL = [name for name in REFERENCE_NAMES if count_params(reference_arch(name), 4) < 9e6 or name == "xception"]
"""Of every kind of blocks that there is."""


@pytest.mark.parametrize("name", SMALL)
def test_all_members_can_begin_with_the_weights_of_their_parent(name: str) -> None:
    arch = reference_arch(name)
    parent = build_network(arch, 4)
    try:
        inherit(build_network(arch, 4), parent)
    except ArchError as error:
        assert "several branches" in str(error)  # noqa: PT017  others can be parents
        return
    if name == "xception":
        with pytest.raises(ValueError, match="xception blocks have other layers at other widths"):
            around_space(arch, 2e7, (64, 32), num_classes=4)
        return
    space = around_space(arch, 2e7, (64, 32), num_classes=4)
    rng, met = np.random.default_rng(0), 0
    for params in (*space.starts, *map(space.params, space.sample(rng, 12))):
        try:
            member = space.decode(params)
        except ValueError:  # no network at this cost
            continue
        inherit(build_network(member, 4), parent)
        met += 1
    assert met > 4
