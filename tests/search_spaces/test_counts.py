"""Counted costs against published figures, against fvcore and against the built network."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.views.verification import built_counts as built_costs
from search_spaces import (
    ArchSpec,
    SearchSpace,
    StagedSpace,
    StageSpec,
    build_network,
    cost_table,
    count_macs,
    count_params,
    mbconv_space,
    mnasnet_space,
    network_cost,
    reference_arch,
    stage_costs,
)
from search_spaces.assembly import network_layers
from search_spaces.cost import input_shape, layer_cost
from search_spaces.network import Gate, Residual
from search_spaces.reference import mobilenet_v2
from search_spaces.spaces.space import size_in_words
from tests.helpers.shared_data import shared_file
from tests.search_spaces.test_arch import archs

# Counted with forward hooks on the public implementations (torchvision, timm), 1000 classes.
NAMED = {
    "efficientnet_b0": (224, 5_288_548, 385_814_752),
    "efficientnet_b1": (240, 7_794_184, 686_802_832),
    "efficientnet_b2": (260, 9_109_994, 993_561_872),
    "efficientnet_b3": (300, 12_233_232, 1_827_141_392),
    "efficientnet_b4": (380, 19_341_616, 4_393_771_024),
    "efficientnet_b5": (456, 30_389_784, 10_266_384_752),
    "efficientnet_b6": (528, 43_040_704, 19_067_593_536),
    "efficientnet_b7": (600, 66_347_960, 37_745_884_192),
    "mnasnet_a1": (224, 3_887_038, 311_579_072),
    "mnasnet_b1": (224, 4_383_312, 314_415_872),
    "mobilenet_v2": (224, 3_504_872, 300_774_272),
}
MOBILENET_V2_WIDTHS = {
    0.35: (1_677_128, 59_285_808),
    0.5: (1_968_680, 97_131_840),
    0.75: (2_636_424, 209_069_792),
    1.4: (6_108_776, 582_195_824),
}
MOBILENET_V2_RESOLUTIONS = {192: 221_316_608, 160: 154_083_200, 128: 99_074_048, 96: 56_289_152}


@pytest.mark.parametrize("name", NAMED)
def test_named_networks_have_their_published_costs(name: str) -> None:
    resolution, params, macs = NAMED[name]
    arch = reference_arch(name)
    assert (arch.resolution, count_params(arch), count_macs(arch)) == (resolution, params, macs)


@pytest.mark.parametrize("width", MOBILENET_V2_WIDTHS)
def test_mobilenet_v2_width_multipliers(width: float) -> None:
    arch = mobilenet_v2(width)
    assert (count_params(arch), count_macs(arch)) == MOBILENET_V2_WIDTHS[width]


@pytest.mark.parametrize("resolution", MOBILENET_V2_RESOLUTIONS)
def test_mobilenet_v2_resolutions(resolution: int) -> None:
    macs = MOBILENET_V2_RESOLUTIONS[resolution]
    assert count_macs(mobilenet_v2(resolution=resolution)) == macs
    assert count_macs(mobilenet_v2(), resolution) == macs


@pytest.mark.parametrize("name", ["efficientnet_b0", "mnasnet_a1", "mobilenet_v2"])
def test_fvcore_and_the_built_network_agree_on_named_networks(name: str) -> None:
    arch = reference_arch(name)
    assert built_costs(arch, 1000) == (count_macs(arch), count_params(arch))


@settings(max_examples=100, deadline=None)
@given(archs, st.sampled_from([2, 1000]))
def test_remembered_stages_cost_what_one_fold_over_all_layers_counts(arch: ArchSpec, num_classes: int) -> None:
    try:
        whole = layer_cost(network_layers(arch, num_classes), input_shape(arch))[0]
    except ValueError as error:  # a pooling is too large for what is left of the map
        with pytest.raises(ValueError, match=str(error)):
            network_cost(arch, None, num_classes)
        return
    assert network_cost(arch, None, num_classes) == whole


# --- 200 random members of each space ------------------------------------------------------------------------------

FULL = {"mnasnet": mnasnet_space(), "mbconv": mbconv_space()}
SMALL = {
    "mnasnet": mnasnet_space(1e6, 16, num_classes=10, input_channels=1),
    "mbconv": mbconv_space(1e6, 16, num_classes=10),
}


def members(space: SearchSpace, n: int, seed: int = 0) -> list[ArchSpec]:
    return [space.decode(space.params(row)) for row in space.sample(np.random.default_rng(seed), n)]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("block", [0, *(pytest.param(i, marks=pytest.mark.slow) for i in range(1, 20))])
def test_members_cost_what_fvcore_and_the_built_network_say(name: str, block: int) -> None:
    for arch in members(SMALL[name], 200)[10 * block : 10 * (block + 1)]:
        assert built_costs(arch, 10) == (count_macs(arch, num_classes=10), count_params(arch, 10))


@pytest.mark.parametrize("name", FULL)
def test_full_size_members_too(name: str) -> None:
    for arch in members(FULL[name], 3):
        assert built_costs(arch, 1000) == (count_macs(arch), count_params(arch))


def test_a_measured_benchmark_has_the_same_parameters_to_the_last_digit() -> None:
    rows = pd.read_csv(shared_file("data", "accel_nasbench.csv.gz"), dtype={"params_m": str}).to_dict("records")
    base = reference_arch("efficientnet_b0")
    assert len(rows) == 4138
    for row in rows:
        stages = tuple(
            StageSpec(
                kernel=row[f"stage{i}_kernel"],
                stride=stage.stride,
                expand=row[f"stage{i}_expand"],
                se=0.25 if row[f"stage{i}_se"] else 0.0,
                channels=stage.channels,
                layers=row[f"stage{i}_layers"],
            )
            for i, stage in enumerate(base.stages, 1)
        )
        arch = ArchSpec(stages=stages)
        assert count_params(arch) == Decimal(row["params_m"]) * 1_000_000, row["id"]


# --- Tables and rows -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["mnasnet", "mbconv"])
def space(request: pytest.FixtureRequest) -> StagedSpace:
    return SMALL[request.param]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), num_classes=st.sampled_from([2, 10, 1000]))
def test_the_table_holds_what_the_fold_counts(seed: int, num_classes: int) -> None:
    for space in SMALL.values():
        rows = space.sample(np.random.default_rng(seed), 8)
        costs = TABLES[space.name, num_classes].count(rows)
        archs = [space.decode(space.params(row)) for row in rows]
        assert costs.tolist() == [[count_macs(a, None, num_classes), count_params(a, num_classes)] for a in archs]


TABLES = {(space.name, n): cost_table(space, n) for space in SMALL.values() for n in (2, 10, 1000)}


def test_the_table_at_full_size() -> None:
    space = FULL["mnasnet"]
    rows = space.sample(np.random.default_rng(3), 50)
    expected = [(count_macs(a), count_params(a)) for a in members(space, 50, seed=3)]
    assert [tuple(row) for row in cost_table(space).count(rows).tolist()] == expected


def test_stage_costs_sum_to_the_network(space: StagedSpace) -> None:
    for arch in members(space, 20):
        rows = stage_costs(arch, None, 10)
        assert len(rows) == len(arch.stages) + 2
        assert tuple(map(sum, zip(*(row.cost for row in rows), strict=True))) == network_cost(arch, None, 10)


def test_activations_are_the_values_that_leaf_layers_and_sums_write() -> None:
    arch = SMALL["mbconv"].base
    rows = {row.name: row for row in stage_costs(arch, None, 10)}
    shape = rows["stem"].output
    # Convolution, norm and activation each write the stem's map.
    assert rows["stem"].cost.activations == 3 * shape.channels * shape.size**2


def written_by(network: nn.Module, images: torch.Tensor) -> int:
    """The values that the layers of a built network write for an image, with sums and the products of gates."""
    counts: list[int] = []
    free = nn.Flatten | nn.Dropout | nn.Identity

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        if not isinstance(module, free):
            counts.append(output[0].numel())

    for module in network.modules():
        if isinstance(module, Residual | Gate) or not list(module.children()):
            module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(images)
    return sum(counts)


@pytest.mark.parametrize("name", ["efficientnet_b0", "mobilenet_v3_small", "resnet18", "squeezenet1_1"])
def test_the_activations_are_those_that_the_built_network_writes(name: str) -> None:
    arch = replace(reference_arch(name), resolution=64)
    images = torch.zeros(1, arch.input_channels, 64, 64)
    assert network_cost(arch, None, 10).activations == written_by(build_network(arch, 10), images)


def test_costs_at_another_resolution_are_those_of_the_network_there() -> None:
    arch = reference_arch("efficientnet_b0")
    # Published figure: resolution alone at 317 pixels costs 2.03 times B0.
    assert count_macs(arch, 317) == 784_371_200


def test_sizes_of_the_spaces() -> None:
    assert FULL["mnasnet"].size == 432**7
    assert size_in_words(FULL["mnasnet"]) == "432^7 = 2.8e+18 encodings"
    assert FULL["mbconv"].size == 36**7
