"""Stages with an activation, norms or a gate other than the network's."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from search_spaces import (
    ArchSpec,
    GateSpec,
    StageSpec,
    StemSpec,
    build_network,
    format_blocks,
    load_weights,
    parse_blocks,
)
from search_spaces.cost import Shape
from search_spaces.layers import ACTIVATIONS, GATES, Act
from search_spaces.network import Gate, build_layer
from search_spaces.ops.mbconv import MBConv
from search_spaces.public_names import conventions

V3 = GateSpec("hardsigmoid", "relu", 8)
EARLY = StageSpec(expand=4, stride=2, channels=40, activation="relu", norm_eps=1e-5, norm_momentum=0.1)
LATE = MBConv(expand=6, kernel=5, channels=40, se=1.5 / 6, gate=V3)
ARCH = ArchSpec((EARLY, LATE), StemSpec(24), activation="hardswish", resolution=32)


def kinds(module: nn.Module) -> list[str]:
    return [
        type(m).__name__
        for m in module.modules()
        if isinstance(m, nn.ReLU | nn.Hardswish | nn.Hardsigmoid | nn.Sigmoid)
    ]


def test_each_stage_is_built_as_it_says() -> None:
    network = build_network(ARCH, 10)
    stem, head, early, late = map(network.get_submodule, ("stem", "head", "stages.0", "stages.1"))
    assert kinds(stem) == kinds(head) == ["Hardswish"]
    assert kinds(early) == ["ReLU"] * 2
    assert kinds(late) == ["Hardswish", "Hardswish", "ReLU", "Hardsigmoid"]
    eps = [{m.eps for m in part.modules() if isinstance(m, nn.BatchNorm2d)} for part in (stem, early, late)]
    assert eps == [{1e-3}, {1e-5}, {1e-3}]
    assert {m.momentum for m in early.modules() if isinstance(m, nn.BatchNorm2d)} == {0.1}


@pytest.mark.parametrize(("divisor", "squeezed"), [(1, 10), (4, 12), (8, 16)])
def test_the_squeezed_width_is_rounded_as_the_gate_says(divisor: int, squeezed: int) -> None:
    """From 40 channels a quarter is 10; to multiples of 8 it is 16, for 8 would lose more than a tenth."""
    stage = replace(LATE, gate=GateSpec(divisor=divisor))
    network = build_network(replace(ARCH, stages=(EARLY, stage)), 10)
    (gate,) = [m for m in network.modules() if isinstance(m, Gate)]
    assert [m.out_channels for m in gate.modules() if isinstance(m, nn.Conv2d)] == [squeezed, 240]


@pytest.mark.parametrize("name", ACTIVATIONS + GATES)
def test_every_activation_is_torchs_own_function(name: str) -> None:
    functions = {
        "silu": nn.functional.silu, "relu": torch.relu, "relu6": nn.functional.relu6, "gelu": nn.functional.gelu,
        "sigmoid": torch.sigmoid, "hardsigmoid": lambda x: (x / 6 + 0.5).clamp(0, 1),
        "hardswish": lambda x: x * (x / 6 + 0.5).clamp(0, 1),
    }  # fmt: skip
    x = torch.linspace(-8, 8, 65)
    torch.testing.assert_close(build_layer(Act(name), Shape(1, 1))(x.clone()), functions[name](x))


def test_a_gates_convolutions_begin_by_their_fan_out() -> None:
    """As those that a norm follows; SqueezeNet's, which have a bias and no norm, by their fan-in."""
    torch.manual_seed(0)
    wide = MBConv(expand=6, channels=40, se=1.0)
    network = build_network(replace(ARCH, stages=(EARLY, wide)), 10)
    (gate,) = [m for m in network.modules() if isinstance(m, Gate)]
    squeeze, excite = [m for m in gate.modules() if isinstance(m, nn.Conv2d)]
    assert (squeeze.in_channels, squeeze.out_channels, excite.out_channels) == (240, 40, 240)
    assert squeeze.weight.std().item() == pytest.approx((2 / 40) ** 0.5, rel=0.05)
    assert excite.weight.std().item() == pytest.approx((2 / 240) ** 0.5, rel=0.05)


def test_the_gates_gradient_is_found() -> None:
    network = build_network(ARCH, 10)
    network(torch.randn(2, 3, 32, 32)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_what_is_the_networks_anyway_does_not_tell_networks_apart() -> None:
    plain = ArchSpec((StageSpec(se=0.25),), activation="relu")
    for same in (
        {"activation": "relu"}, {"norm_eps": 1e-3}, {"norm_momentum": 0.01}, {"gate": GateSpec()},
        {"gate": GateSpec(activation="relu")},
    ):  # fmt: skip
        assert ArchSpec((replace(plain.stages[0], **same),), activation="relu").id == plain.id
    for other in (
        {"activation": "silu"}, {"norm_eps": 1e-5}, {"norm_momentum": 0.1}, {"gate": V3}, {"gate": GateSpec(divisor=8)},
    ):  # fmt: skip
        assert ArchSpec((replace(plain.stages[0], **other),), activation="relu").id != plain.id
    for op in ("fire", "mbconv"):
        stage = StageSpec(op, gate=V3)
        assert ArchSpec((stage,)).id == ArchSpec((StageSpec(op),)).id


def test_block_strings_say_it() -> None:
    text = (
        "r1_k3_s22_e4_i24_o40_actrelu_eps1e-05_mom0.1 r1_k5_s11_e6_i40_o40_se0.25_gatehardsigmoid-relu-8 "
        "r1_k3_s11_e1_i40_o40_se0.5_gatesigmoid-relu6_noskip_acthardswish_conv"
    )
    last = StageSpec(
        "conv", channels=40, se=0.5, gate=GateSpec(activation="relu6"), skip="none", activation="hardswish"
    )
    arch = replace(ARCH, stages=(EARLY, LATE, last))
    assert format_blocks(arch) == text
    assert parse_blocks(text) == arch.stages
    assert ArchSpec.from_json(arch.to_json()) == arch


def test_public_weights_set_the_epsilon_of_every_stage() -> None:
    arch = ArchSpec((StageSpec("basic", channels=8, norm_eps=1e-2),), StemSpec(8), resolution=16, norm_eps=2e-3)
    network = build_network(replace(arch, head=replace(arch.head, channels=0)), 4)
    own = network.state_dict()
    (convention,) = [each for each in conventions(arch) if each.scheme == "resnet"]
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
    names = dict(zip(modules, convention.names(arch), strict=True))
    state = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in own.items()}
    load_weights(network, state)
    assert network.arch.norm_eps == 1e-5
    assert network.arch.stages[0].norm_eps is None
    assert {m.eps for m in network.modules() if isinstance(m, nn.BatchNorm2d)} == {1e-5}
