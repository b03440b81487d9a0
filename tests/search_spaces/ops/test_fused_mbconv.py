"""Fused inverted bottlenecks: EfficientNetV2-S's published size, the modules of one block, words and names."""

from __future__ import annotations

import pytest
from torch import nn

from search_spaces import (
    ArchError,
    ArchSpec,
    HeadSpec,
    Stage,
    StageSpec,
    StemSpec,
    build_network,
    count_macs,
    count_params,
    format_blocks,
    parse_blocks,
)
from search_spaces.public_names import conventions

V2_S = ArchSpec(
    parse_blocks(
        "r2_k3_s11_e1_i24_o24_fused_mbconv r4_k3_s22_e4_i24_o48_fused_mbconv r4_k3_s22_e4_i48_o64_fused_mbconv "
        "r6_k3_s22_e4_i64_o128_se0.25 r9_k3_s11_e6_i128_o160_se0.25 r15_k3_s22_e6_i160_o256_se0.25"
    ),
    StemSpec(24),
    HeadSpec(1280),
    resolution=384,
)
"""Tan and Le 2021, table 4."""


def test_efficientnet_v2_s_has_its_published_size() -> None:
    """21,458,488 parameters and 8.366 G multiply-adds are torchvision's figures of efficientnet_v2_s."""
    assert count_params(V2_S) == 21_458_488
    assert count_macs(V2_S) / 1e9 == pytest.approx(8.366, abs=5e-4)


def test_the_modules_of_a_block() -> None:
    stages = (
        StageSpec("fused_mbconv", kernel=5, stride=2, expand=4, se=0.25, channels=12, layers=2),
        StageSpec("fused_mbconv", channels=12),
    )
    network = build_network(ArchSpec(stages, StemSpec(8), resolution=16), 3)
    first, second = network.get_submodule("stages.0").children()
    convolutions = [m for m in first.modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.groups) for m in convolutions] == [
        (8, 32, 5, 2, 1), (32, 2, 1, 1, 1), (2, 32, 1, 1, 1), (32, 12, 1, 1, 1)
    ]  # fmt: skip
    assert [type(m).__name__ for m in second.children()] == ["Sequential", "Identity"]
    # Without an expansion there is no projection, and the activation is inside the shortcut.
    assert [type(m).__name__ for m in network.get_submodule("stages.1.0.body").children()] == [
        "Conv2d",
        "BatchNorm2d",
        "SiLU",
    ]


def test_words_and_names() -> None:
    assert parse_blocks(format_blocks(V2_S)) == V2_S.stages
    assert ArchSpec.from_json(V2_S.to_json()) == V2_S
    texts = [stage.timm_text(inputs) for stage, inputs in V2_S.fed_stages()]
    assert texts[:3] == ["cn_r2_k3_s1_e1_c24_skip", "er_r4_k3_s2_e4_c48", "er_r4_k3_s2_e4_c64"]
    assert (V2_S.stages[1].label, V2_S.stages[1].term) == ("FusedMBConv4", "fused_mbconv e4")
    names = {convention.scheme: convention.names(V2_S) for convention in conventions(V2_S)}
    assert names["timm"][2:6] == ["blocks.0.0.conv", "blocks.0.0.bn1", "blocks.0.1.conv", "blocks.0.1.bn1"]
    assert names["timm"][6:8] == ["blocks.1.0.conv_exp", "blocks.1.0.bn1"]
    assert names["torchvision efficientnet"][4:8] == [
        "features.1.1.block.0.0", "features.1.1.block.0.1", "features.2.0.block.0.0", "features.2.0.block.0.1"
    ]  # fmt: skip
    modules = dict.fromkeys(key.rpartition(".")[0] for key in build_network(V2_S).state_dict())
    assert len(names["timm"]) == len(names["torchvision efficientnet"]) == len(modules)


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        (StageSpec("fused_mbconv", skip="project"), "timm has no project shortcut"),
        (StageSpec("fused_mbconv", se=0.25), "no squeeze-excite"),
        (StageSpec("fused_mbconv", expand=3), "timm rounds 60 expanded channels to a multiple of 8"),
    ],
)
def test_what_timm_lacks(stage: Stage, message: str) -> None:
    with pytest.raises(ArchError, match=message):
        stage.timm_text(20)
