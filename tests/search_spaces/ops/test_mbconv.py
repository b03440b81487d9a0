"""Inverted bottlenecks whose expansion is no integer, as MobileNetV3 has them."""

from __future__ import annotations

import pytest
from torch import nn

from search_spaces import ArchError, ArchSpec, StageSpec, StemSpec, build_network, format_blocks, parse_blocks


# Howard et al. 2019, tables 1 and 2: the channels that come in, and those of the expansion.
@pytest.mark.parametrize(("inputs", "expand", "inner"), [(80, 2.5, 200), (80, 2.3, 184), (16, 4.5, 72), (24, 3.67, 88)])
def test_inner_widths_of_mobilenet_v3(inputs: int, expand: float, inner: int) -> None:
    network = build_network(ArchSpec((StageSpec(expand=expand, channels=40),), StemSpec(inputs), resolution=8), 3)
    convolutions = [m for m in network.get_submodule("stages").modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions] == [inner, inner, 40]


def test_whole_numbers_are_one_choice_however_they_are_written() -> None:
    arch = ArchSpec((StageSpec(expand=6.0),))
    assert arch.id == ArchSpec((StageSpec(expand=6),)).id
    assert arch.id != ArchSpec((StageSpec(expand=6.5),)).id
    assert parse_blocks(format_blocks(arch)) == arch.stages
    assert StageSpec(expand=6.0).label == "MBConv6"


def test_a_fractional_expansion_in_words() -> None:
    arch = ArchSpec((StageSpec(expand=2.5, channels=24),))
    assert format_blocks(arch) == "r1_k3_s11_e2.5_i32_o24"
    assert parse_blocks("r1_k3_s11_e2.5_i32_o24") == arch.stages
    assert ArchSpec.from_json(arch.to_json()) == arch
    assert arch.stages[0].timm_text(32) == "ir_r1_k3_s1_e2.5_c24"
    assert (arch.stages[0].label, arch.stages[0].term) == ("MBConv2.5", "mbconv e2.5")


@pytest.mark.parametrize("expand", [0, 0.5, True, "6", float("nan")])
def test_an_expansion_is_a_number_from_one_up(expand: object) -> None:
    with pytest.raises(ArchError, match=r"stages\[0\].expand: must be a number from 1 to below 1024"):
        ArchSpec((StageSpec(expand=expand),))
