"""The known networks: published costs, built networks, small images, and scaling."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from experiments.views.verification import built_counts as built_costs
from scaling_search import Coefficients, scale_arch
from search_spaces import (
    ArchSpec,
    build_network,
    count_macs,
    count_params,
    fit_arch,
    format_blocks,
    parse_blocks,
    reference_arch,
    resize,
    stage_costs,
    stride_plan,
)
from search_spaces.network import Residual
from search_spaces.reference import REFERENCE_NAMES, mobilenet_v1, resnet

# Counted with forward hooks on the public implementations (torchvision, timm), 1000 classes.
PUBLISHED = {
    "mobilenet_v1": (4_231_976, 568_740_352),
    "resnet18": (11_689_512, 1_814_073_344),
    "resnet34": (21_797_672, 3_663_761_408),
    "resnet50": (25_557_032, 4_089_184_256),
    "resnet101": (44_549_160, 7_801_405_440),
    "resnet152": (60_192_808, 11_513_626_624),
    "resnet200": (64_673_832, 15_007_481_856),
    "wide_resnet50_2": (68_883_240, 11_398_021_120),
    "squeezenet1_0": (1_248_424, 818_924_576),
    "squeezenet1_1": (1_235_496, 349_151_936),
    "xception": (22_855_952, 8_357_403_496),
}
OTHERS = [name for name in REFERENCE_NAMES if name in PUBLISHED or name == "shufflenet_v1"]
# Their published costs are in test_weights_parity.py and test_reference_cifar.py.
OTHERS += ["mobilenet_v3_large", "mobilenet_v3_small", "mobilenet_v4_conv_small", "efficientnet_lite0"]
OTHERS += ["efficientnet_v2_s", "resnet20", "plain_resnet", "plain_mbconv", "pooled_mbconv"]
LARGE = ("resnet101", "resnet152", "resnet200", "wide_resnet50_2", "efficientnet_v2_s")
EACH = [pytest.param(name, marks=pytest.mark.slow) if name in LARGE else name for name in OTHERS]


def test_the_documentation_names_them_all() -> None:
    section = Path(__file__).parents[2].joinpath("docs", "faq.md").read_text().split("known by name?")[1].split("##")[0]
    assert set(REFERENCE_NAMES) <= set(re.findall(r"`(\w+)`", section))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_costs_to_the_integer(name: str) -> None:
    arch = reference_arch(name)
    assert (count_params(arch), count_macs(arch)) == PUBLISHED[name]


def test_shufflenet() -> None:
    arch = reference_arch("shufflenet_v1")
    assert count_params(arch) == 1_865_728
    assert count_macs(arch) == pytest.approx(137.5e6, rel=0.005)


def test_mobilenet_v1_multipliers() -> None:
    macs = {192: 418_121_728, 160: 290_675_200, 128: 186_400_768, 96: 105_298_432}
    assert {size: count_macs(mobilenet_v1(resolution=size)) for size in macs} == macs
    widths = {0.75: (2_585_560, 325.4e6), 0.5: (1_331_592, 149.5e6), 0.25: (470_072, 41.0e6)}
    for width, (params, cost) in widths.items():
        assert count_params(mobilenet_v1(width)) == params
        assert count_macs(mobilenet_v1(width)) == pytest.approx(cost, rel=0.005)


@pytest.mark.parametrize("name", EACH)
def test_fvcore_and_the_built_network_agree(name: str) -> None:
    arch = replace(reference_arch(name), resolution=71)
    assert built_costs(arch, 1000) == (count_macs(arch), count_params(arch))


def test_residual_networks_of_any_depth() -> None:
    arch = reference_arch("resnet1000")
    assert sum(stage.layers for stage in arch.stages) == 333  # 3 * 333 + 2 layers, the nearest to 1000
    with torch.device("meta"):
        network = build_network(arch)
    assert sum(p.numel() for p in network.parameters()) == count_params(arch)
    assert sum(isinstance(module, Residual) for module in network.modules()) == 333
    for depth in (*range(10, 50), *range(50, 205, 7)):
        arch = resnet(depth)
        convs = 3 if depth >= 50 else 2
        assert abs(2 + convs * sum(stage.layers for stage in arch.stages) - depth) <= convs / 2
        assert min(stage.layers for stage in arch.stages) >= 1


@pytest.mark.parametrize("name", ["resnet9", "resnet", "resnet1e3", "vgg16", ""])
def test_unknown_names_get_one_line(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown network|10 layers or more") as raised:
        reference_arch(name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", OTHERS)
def test_block_strings_round_trip(name: str) -> None:
    arch = reference_arch(name)
    assert parse_blocks(format_blocks(arch)) == arch.stages


# --- Small images --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [5, 22, 32, 224])
@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_any_of_them_fits_an_image_size_and_a_target(name: str, resolution: int) -> None:
    target = count_macs(fit_arch(reference_arch(name), resolution, width=0.6), None, 10)
    arch = fit_arch(reference_arch(name), resolution, 0.9 * target, num_classes=10)
    assert count_macs(arch, None, 10) == pytest.approx(0.9 * target, rel=0.055)
    assert stage_costs(arch)[-2].output.size >= 4


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in LARGE])
def test_a_fitted_network_is_the_one_counted_and_learns(name: str) -> None:
    arch = replace(fit_arch(reference_arch(name), 22, 3e6, num_classes=10), input_channels=1, dropout=0.0)
    assert built_costs(arch, 10) == (count_macs(arch, None, 10), count_params(arch, 10))
    torch.manual_seed(0)
    network = build_network(arch, 10).train()
    images, labels = torch.randn(16, 1, 22, 22), torch.arange(16) % 10
    optimiser = torch.optim.SGD(network.parameters(), 0.01)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[0] < 10
    assert min(losses[4:]) < losses[0]


def test_the_plan_of_a_pooled_stem_names_both_strides_and_shrinks_the_kernel() -> None:
    arch = fit_arch(reference_arch("resnet18"), 32)
    assert stride_plan(arch) == "32 > 16 > 8 > 4 pixels (strides 1 1 2 2 2)"
    assert (arch.stem.kernel, arch.stem.stride, arch.stem.pool) == (3, 1, 1)
    full = reference_arch("resnet18")
    assert fit_arch(full, 224) == full
    assert stride_plan(full) == "224 > 56 > 28 > 14 > 7 pixels (strides 2 2 1 2 2 2)"


# --- Scaling -------------------------------------------------------------------------------------------------------


def test_the_papers_scaling_of_residual_networks() -> None:
    """Table 3 of EfficientNet lists 16.2 and 14.7 B for depth and width: counted, the two are the other way round."""
    arch = reference_arch("resnet50")
    assert count_macs(resize(arch, depth=4, divisor=8)) == pytest.approx(14.57e9, rel=0.001)
    assert count_macs(resize(arch, width=2, divisor=8)) == pytest.approx(16.12e9, rel=0.001)
    assert count_macs(arch, 448) == 4 * (count_macs(arch) - 2048 * 1000) + 2048 * 1000


def ratio(arch: ArchSpec, grown: ArchSpec) -> float:
    return count_macs(grown, None, 10) / count_macs(arch, None, 10)


@pytest.mark.parametrize("name", EACH)
def test_depth_width_resolution_and_all_three_grow_each(name: str) -> None:
    arch = replace(reference_arch(name), resolution=128)
    assert 1.2 < ratio(arch, resize(arch, depth=2, divisor=8)) < 2.6
    assert 1.4 < ratio(arch, resize(arch, width=2**0.5, divisor=8)) < 2.4
    assert 1.6 < ratio(arch, replace(arch, resolution=181)) < 2.4
    grown = scale_arch(arch, Coefficients(depth=1.2, width=1.1, resolution=1.15), 1)
    # Every stage of one block gets a second one, whatever the depth.
    assert 1.5 < ratio(arch, grown) < (3.5 if name == "plain_resnet" else 3.4)
    with torch.device("meta"):
        network = build_network(grown, 10)
        assert network(torch.zeros(2, 3, grown.resolution, grown.resolution)).shape == (2, 10)


@pytest.mark.parametrize("name", EACH)
def test_each_can_be_grown_to_a_cost_in_equal_shares(name: str) -> None:
    arch = replace(reference_arch(name), resolution=64)
    grown = scale_arch(arch, Coefficients(depth=1.26, width=1.12, resolution=1.12), 1, "matched", num_classes=10)
    assert ratio(arch, grown) == pytest.approx(2, rel=0.05)
