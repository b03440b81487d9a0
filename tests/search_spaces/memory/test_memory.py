"""Peak RAM against an execution of the built network, flash against its tensors, and both by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from torch import nn

from search_spaces import (
    REFERENCE_NAMES,
    SPACES,
    ArchError,
    ArchSpec,
    SearchSpace,
    StageSpec,
    StemSpec,
    build_network,
    count_flash,
    count_ram,
    reference_arch,
)
from search_spaces.memory import BYTES, part_flash, part_peaks
from tests.helpers.executed import executed_ram
from tests.search_spaces.test_arch import archs


def assert_as_executed(arch: ArchSpec, num_classes: int, device: str = "cpu") -> None:
    executed = executed_ram(arch, num_classes, device)
    assert count_ram(arch, None, num_classes, "float32") == executed
    assert count_ram(arch, None, num_classes) == executed // 4


@settings(max_examples=30, deadline=None)
@given(archs)
def test_peaks_of_any_network_are_those_of_an_execution(arch: ArchSpec) -> None:
    arch = replace(arch, resolution=24)
    try:
        count_ram(arch)
    except ValueError:
        assume(False)
    assert_as_executed(arch, 10)


def spaces() -> list[SearchSpace]:
    return [make(3e6, 32, num_classes=10) for make in SPACES.values()]


@pytest.mark.parametrize("space", spaces(), ids=lambda space: space.name)
def test_peaks_of_members_of_the_spaces_are_those_of_an_execution(space: SearchSpace) -> None:
    for row in space.sample(np.random.default_rng(0), 10):
        assert_as_executed(space.decode(space.params(row)), 10)


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_peaks_of_known_networks_are_those_of_an_execution(name: str) -> None:
    assert_as_executed(reference_arch(name), 1000, "meta")


def merged_bytes(network: nn.Module) -> dict[str, int]:
    """Bytes by precision as convolutions and linear layers keep them: with a bias where they have one, or a norm."""
    modules = list(network.modules())
    norms = sum(each.num_features for each in modules if isinstance(each, nn.BatchNorm2d))
    kept = [each for each in modules if isinstance(each, nn.Conv2d | nn.Linear)]
    weights = sum(each.weight.numel() for each in kept)
    biases = norms + sum(0 if each.bias is None else each.bias.numel() for each in kept)
    return {"float32": 4 * (weights + biases), "int8": weights + 4 * (biases + sum(len(each.weight) for each in kept))}


@settings(max_examples=30, deadline=None)
@given(archs)
def test_flash_is_what_the_built_network_has(arch: ArchSpec) -> None:
    with torch.device("meta"):
        expected = merged_bytes(build_network(arch, 7))
    assert {precision: count_flash(arch, 7, precision) for precision in BYTES} == expected


FAMILIES = ("efficientnet_b0", "efficientnet_v2_s", "mobilenet_v1_025", "mobilenet_v3_small", "mobilenet_v4_conv_small",
            "shufflenet_v1", "squeezenet1_1", "xception", "resnet18", "plain_resnet")  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_every_norm_follows_a_convolution_without_a_bias(name: str) -> None:
    """Else it could not be merged into it, and would give it no new bias."""
    with torch.device("meta"):
        network = build_network(reference_arch(name))
    modules = [each for each in network.modules() if not list(each.children())]
    for before, after in itertools.pairwise(modules):
        if isinstance(after, nn.BatchNorm2d):
            assert isinstance(before, nn.Conv2d)
            assert before.bias is None
            assert before.out_channels == after.num_features


SMALL = ArchSpec(
    (StageSpec(expand=6, kernel=3, stride=2, channels=16, layers=3),), StemSpec(8), resolution=32, activation="relu6"
)


def test_a_peak_by_hand() -> None:
    """The stem gives 8 x 16 x 16. Block 1 expands that to 48 channels and halves it to 8 x 8; blocks 2 and 3 expand 16
    channels to 96, beside the 16 that wait for the sum."""
    stem, stage, head = part_peaks(SMALL, num_classes=10)
    assert stem.peak.values == 3 * 32**2 + 8 * 16**2
    assert stage.peak.values == 48 * 16**2 + 48 * 8**2
    assert (stage.peak.place, [live.by for live in stage.peak.live]) == (
        "block 1, depthwise 3x3 convolution", ["1x1 convolution", "depthwise 3x3 convolution"],
    )  # fmt: skip
    assert head.peak.values == 1280 * 8**2 + 1280  # the mean is written beside what it is of
    wide = replace(SMALL, stages=(replace(SMALL.stages[0], stride=1),))
    assert part_peaks(wide)[1].peak.values == (16 + 2 * 96) * 16**2
    assert part_peaks(wide)[1].peak.block == 2


def test_flash_by_hand() -> None:
    stem = 8 * 3 * 9
    first = 8 * 48 + 48 * 9 + 48 * 16
    other = 16 * 96 + 96 * 9 + 96 * 16
    head = 16 * 1280 + 1280 * 10
    channels = 8 + (48 + 48 + 16) + 2 * (96 + 96 + 16) + 1280 + 10
    assert count_flash(SMALL, 10, "float32") == 4 * (stem + first + 2 * other + head + channels)
    assert count_flash(SMALL, 10) == stem + first + 2 * other + head + 8 * channels
    assert sum(size for _, size in part_flash(SMALL, 10)) == count_flash(SMALL, 10)


def test_bounds_of_arguments() -> None:
    for count in (count_ram, count_flash):
        with pytest.raises(ArchError, match="precision"):
            count(SMALL, precision="int4")
        with pytest.raises(ArchError, match="num_classes"):
            count(SMALL, num_classes=0)
