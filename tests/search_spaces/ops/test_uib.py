"""Universal inverted bottlenecks: the four blocks that they stand for, words, names, what cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from search_spaces import (
    ArchError,
    ArchSpec,
    HeadSpec,
    Stage,
    StageSpec,
    StemSpec,
    build_network,
    count_params,
    format_blocks,
    parse_blocks,
)
from search_spaces.public_names import conventions

V4 = ArchSpec(
    parse_blocks(
        "r1_k3_s22_e1_i32_o32_noskip_conv r1_k1_s11_e1_i32_o32_noskip_conv r1_k3_s22_e1_i32_o96_noskip_conv "
        "r1_k1_s11_e1_i96_o64_noskip_conv r1_k5_s22_e3_i64_o96_a5_uib r4_k3_s11_e2_i96_o96_uib "
        "r1_k0_s11_e4_i96_o96_a3_uib r1_k3_s22_e6_i96_o128_a3_uib r1_k5_s11_e4_i128_o128_a5_uib "
        "r1_k5_s11_e4_i128_o128_uib r1_k5_s11_e3_i128_o128_uib r2_k3_s11_e4_i128_o128_uib"
    ),
    StemSpec(32),
    HeadSpec(960),
    activation="relu",
    norm_eps=1e-5,
)
"""MobileNetV4-Conv-S (Qin et al. 2024, table 11) up to its pooling."""


def test_mobilenet_v4_conv_s_has_its_published_size() -> None:
    """3,774,024 parameters in timm, of which those of the head after pooling are counted apart."""
    head = 960 * 1280 + 2 * 1280 + 1280 * 1000 + 1000
    assert count_params(V4, 1000) - (960 * 1000 + 1000) + head == 3_774_024


def convolutions(stage: Stage) -> list[tuple[int, int, int, int, bool]]:
    """(in, out, kernel, stride, depthwise) of the convolutions of the first block, after 8 channels."""
    network = build_network(ArchSpec((stage,), StemSpec(8), resolution=16), 3)
    return [
        (m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0], m.groups == m.in_channels)
        for m in network.get_submodule("stages.0.0").modules()
        if isinstance(m, nn.Conv2d)
    ]


@pytest.mark.parametrize(
    ("start", "kernel", "stride", "expected"),
    [
        (0, 3, 2, [(8, 24, 1, 1, False), (24, 24, 3, 2, True), (24, 16, 1, 1, False)]),
        (5, 0, 2, [(8, 8, 5, 2, True), (8, 24, 1, 1, False), (24, 16, 1, 1, False)]),
        (5, 3, 2, [(8, 8, 5, 1, True), (8, 24, 1, 1, False), (24, 24, 3, 2, True), (24, 16, 1, 1, False)]),
        (0, 0, 1, [(8, 24, 1, 1, False), (24, 16, 1, 1, False)]),
    ],
)
def test_the_four_blocks(start: int, kernel: int, stride: int, expected: list[tuple[int, ...]]) -> None:
    stage = StageSpec("uib", start=start, kernel=kernel, stride=stride, expand=3, channels=16)
    assert convolutions(stage) == expected


def test_the_first_depthwise_convolution_has_no_activation() -> None:
    network = build_network(ArchSpec((StageSpec("uib", start=3, channels=8),), StemSpec(8), resolution=16), 3)
    kinds = [type(m).__name__ for m in network.get_submodule("stages.0.0.body").children()]
    assert kinds == [*("Conv2d", "BatchNorm2d"), *("Conv2d", "BatchNorm2d", "SiLU") * 2, *("Conv2d", "BatchNorm2d")]
    x = torch.randn(2, 3, 16, 16)
    assert network.eval()(x).shape == (2, 3)


def test_words_and_names() -> None:
    assert parse_blocks(format_blocks(V4)) == V4.stages
    assert ArchSpec.from_json(V4.to_json()) == V4
    texts = [stage.timm_text(inputs) for stage, inputs in V4.fed_stages()]
    assert texts[:2] == ["cn_r1_k3_s2_e1_c32", "cn_r1_k1_s1_e1_c32_noskip"]
    assert texts[4:7] == ["uir_a5_r1_k5_s2_e3_c96", "uir_a0_r4_k3_s1_e2_c96", "uir_a3_r1_k0_s1_e4_c96"]
    stage = V4.stages[4]
    assert (stage.label, stage.term) == ("UIB3", "uib e3 a5")
    names = {convention.scheme: convention.names(V4) for convention in conventions(V4)}["timm"]
    assert names[2:4] == ["blocks.0.0.conv", "blocks.0.0.bn1"]
    assert names[10:18] == [
        f"blocks.4.0.{part}.{kind}" for part in ("dw_start", "pw_exp", "dw_mid", "pw_proj") for kind in ("conv", "bn")
    ]
    modules = dict.fromkeys(key.rpartition(".")[0] for key in build_network(V4).state_dict())
    assert len(names) == len(modules)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"start": 2}, r"stages\[0\].start: must be odd, not 2"),
        ({"kernel": 4}, r"stages\[0\].kernel: must be odd, not 4"),
        ({"start": False}, r"stages\[0\].start: must be an integer"),
        ({"kernel": 0, "stride": 2}, r"stages\[0\].stride: must be 1 without a depthwise convolution, not 2"),
        ({"expand": 0}, r"stages\[0\].expand: must be a number"),
    ],
)
def test_what_cannot_be(fields: dict[str, object], message: str) -> None:
    with pytest.raises(ArchError, match=message):
        ArchSpec((StageSpec("uib", **fields),))
