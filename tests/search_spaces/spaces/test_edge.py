"""The space for devices in int8: what its networks are made of, and that its journals stay readable."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from search_spaces import ArchSpec, SearchSpace, count_macs, edge_space
from search_spaces.assembly import network_layers
from search_spaces.layers import Act, Gate, Layer


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return edge_space(1e6, 16, num_classes=10)


def parts(layer: Layer) -> list[Layer]:
    """All layers of a network."""
    inside = [getattr(layer, name, None) for name in ("body", "shortcut", "part")]
    inner = [each for each in (*inside, *getattr(layer, "parts", ())) if each is not None]
    return [layer, *(part for each in inner for part in parts(each))]


def test_members_have_no_gates_one_activation_and_one_cost(space: SearchSpace) -> None:
    ops = set()
    for row in space.sample(np.random.default_rng(0), 60):
        arch = space.decode(space.params(row))
        found = parts(network_layers(arch, 10))
        assert not any(isinstance(each, Gate) for each in found)
        assert {each.name for each in found if isinstance(each, Act)} == {"relu6"}
        assert 0.75 <= count_macs(arch, None, 10) / 1e6 <= 1.1
        ops |= {stage.term for stage in arch.stages}
    assert ops == {"sepconv", "mbconv e3", "mbconv e6", "uib e3 a3", "fused_mbconv e3"}
    starts = [space.member(params) for params in space.starts]
    assert [(start.stages[0].op, start.resolution) for start in starts] == [("sepconv", 16), ("mbconv", 16)]


def test_it_does_not_make_images_smaller_than_32_pixels() -> None:
    made = edge_space(4e6, (48, 36, 24), num_classes=10)
    assert made.choices[0].values == (36, 48)


def test_journals_stay_readable(space: SearchSpace) -> None:
    """The parameters in order, and the ids of 100 members drawn with seed 1, as earlier journals have them."""
    plan = ["resolution", "stages", "strides", "stem"]
    own = [f"s{i}.{name}" for i in range(1, 5) for name in ("op", "layers", "kernel", "filters")]
    assert [choice.name for choice in space.choices] == plan + own
    archs: list[ArchSpec] = [space.decode(space.params(row)) for row in space.sample(np.random.default_rng(1), 100)]
    digest = hashlib.sha256(" ".join(arch.id for arch in archs).encode()).hexdigest()
    assert digest[:16] == "41ee9c6965edd5a9"
