"""Feature taps: which stages, and that the module gives the maps of the network itself."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings

from search_spaces import REFERENCE_NAMES, ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, reference_arch
from search_spaces.cost import Shape
from search_spaces.detection import feature_taps
from search_spaces.detection.feature_maps import FeatureMaps, build_feature_maps
from tests.search_spaces.test_arch import archs


@pytest.mark.parametrize(
    ("name", "stages", "channels"),
    [
        ("efficientnet_b0", (1, 2, 4, 6), (24, 40, 112, 320)),  # Tan et al. 2020, figure 3: P3 to P5 of the backbone
        ("resnet50", (0, 1, 2, 3), (256, 512, 1024, 2048)),  # Lin et al. 2017, section 3: C2 to C5
        ("mobilenet_v2", (1, 2, 4, 6), (24, 32, 96, 320)),
    ],
)
def test_taps_of_known_backbones(name: str, stages: tuple[int, ...], channels: tuple[int, ...]) -> None:
    taps = feature_taps(reference_arch(name))
    assert [tap.level for tap in taps] == ["P2", "P3", "P4", "P5"]
    assert tuple(tap.stage for tap in taps) == stages
    assert [tap.shape for tap in taps] == [Shape(n, 224 // 2**k) for k, n in enumerate(channels, 2)]
    assert [tap.shape.size for tap in feature_taps(reference_arch(name), 512)] == [128, 64, 32, 16]


def test_fewer_sizes_are_the_later_levels() -> None:
    arch = ArchSpec((StageSpec(), StageSpec(), StageSpec(stride=2)), resolution=32)
    assert [(tap.level, tap.stage) for tap in feature_taps(arch)] == [("P4", 1), ("P5", 2)]


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_every_network_has_taps(name: str) -> None:
    taps = feature_taps(reference_arch(name))
    assert taps[-1].level == "P5"
    assert taps[-1].stage == len(reference_arch(name).stages) - 1


@settings(max_examples=40, deadline=None)
@given(archs)
def test_maps_have_the_taps_shapes_and_are_the_networks_own(arch: ArchSpec) -> None:
    arch = replace(arch, head=HeadSpec(0))
    network = build_network(arch, 3).eval()
    x = torch.randn(1, 3, arch.resolution, arch.resolution)
    with torch.no_grad():
        maps = FeatureMaps(network)(x)
        logits = network.get_submodule("head")(maps[-1])
        assert torch.equal(logits, network(x))
    assert [Shape(m.shape[1], m.shape[2]) for m in maps] == [tap.shape for tap in feature_taps(arch)]


def test_weights_are_shared_with_the_network() -> None:
    network = build_network(ArchSpec((StageSpec(channels=8),), StemSpec(8), resolution=16), 3)
    features = FeatureMaps(network)
    assert {id(p) for p in features.parameters()} < {id(p) for p in network.parameters()}
    fresh = build_feature_maps(network.arch)
    fresh.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith("head.")})
    x = torch.randn(1, 3, 16, 16)
    assert all(torch.equal(a, b) for a, b in zip(fresh.eval()(x), features.eval()(x), strict=True))
