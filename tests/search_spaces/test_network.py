"""The modules of built networks: shortcuts, stochastic depth, gates, shuffles, fresh weights."""

from __future__ import annotations

import copy
import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn

from search_spaces import ArchSpec, StageSpec, StemSpec, build_network, fit_arch, reference_arch
from search_spaces.network import Concat, Gate, PadChannels, Residual, Shuffle, branch_ends

ARCH = ArchSpec((StageSpec(channels=8, layers=4, se=0.25),), StemSpec(8), resolution=16, drop_path=0.4)


def test_stochastic_depth_rises_linearly_and_keeps_the_expectation() -> None:
    rates = [module.drop_path for module in build_network(ARCH).modules() if isinstance(module, Residual)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])
    torch.manual_seed(0)
    block = Residual(nn.Identity(), None)
    block.drop_path = 0.25
    images = torch.ones(4000, 1, 1, 1)
    out = block.train()(images)
    assert sorted(out.unique().tolist()) == pytest.approx([1.0, 1 + 1 / 0.75])
    assert out.mean().item() == pytest.approx(2.0, abs=0.05)
    assert torch.equal(block.eval()(images), 2 * images)


def test_gates_scale_channels_shuffles_deal_them_out_and_padding_adds_zeros() -> None:
    x = torch.arange(48.0).reshape(1, 12, 2, 2)
    assert torch.equal(Shuffle(3)(x), nn.ChannelShuffle(3)(x))
    assert torch.equal(PadChannels(2)(x), torch.cat([x, torch.zeros(1, 2, 2, 2)], 1))
    assert torch.equal(Gate(nn.Identity())(x), x * x)
    assert torch.equal(Concat([nn.Identity(), nn.ReLU()])(-x), torch.cat([-x, 0 * x], 1))


@pytest.mark.parametrize("op", ["conv", "sepconv", "mbconv", "basic", "bottleneck", "xception", "separable", "fire"])
@pytest.mark.parametrize("skip", ["identity", "none", "pool", "project"])
def test_a_silent_body_leaves_the_shortcut(op: str, skip: str) -> None:
    """With the body's convolutions at zero, what comes out is the shortcut alone (or nothing)."""
    stage = StageSpec(op, channels=8, stride=2, skip=skip, layers=2)
    network = build_network(ArchSpec((stage,), StemSpec(8), resolution=16, drop_path=0.0), 3).eval()
    for residual in (module for module in network.modules() if isinstance(module, Residual)):
        for parameter in residual.body.parameters():
            nn.init.zeros_(parameter)
    x = torch.randn(2, 8, 8, 8)
    first, second = network.get_submodule("stages.0").children()
    plain = skip == "none" or (skip == "identity" and op != "fire")
    assert any(isinstance(module, Residual) for module in first.modules()) != plain
    y = first(x.clone())
    assert y.shape == (2, 8, 4, 4)
    if op == "fire" and skip != "none":
        assert torch.equal(y, nn.functional.max_pool2d(x, 3, 2, ceil_mode=True))
    elif skip == "pool":
        pooled = nn.functional.avg_pool2d(x, 2)
        assert torch.allclose(y, pooled if op in ("mbconv", "xception") else nn.functional.silu(pooled))
    if skip != "none":
        z = torch.randn(2, 8, 4, 4)
        kept = op in ("mbconv", "xception", "fire")
        assert torch.allclose(second(z.clone()), z if kept else nn.functional.silu(z))


def test_branches_end_in_the_norm_before_a_gate() -> None:
    network = build_network(replace(ARCH, stages=(StageSpec("basic", channels=8, se=0.25), *ARCH.stages)))
    ends = list(branch_ends(network))
    residuals = [module for module in network.modules() if isinstance(module, Residual)]
    assert len(ends) == len(residuals) == 5
    assert all(end in set(residual.body.children()) for end, residual in zip(ends, residuals, strict=True))


@pytest.mark.parametrize("name", ["squeezenet1_0", "efficientnet_b0", "resnet18", "shufflenet_v1", "xception"])
def test_fresh_weights_give_logits_of_ordinary_size(name: str) -> None:
    torch.manual_seed(0)
    arch = fit_arch(reference_arch(name), 32, 4e6, num_classes=10)
    logits = build_network(arch, 10).train()(torch.randn(16, 3, 32, 32))
    assert 1e-3 < logits.std().item() < 10


@pytest.mark.parametrize("name", ["shufflenet_v1", "efficientnet_b0"])
def test_networks_are_copied_and_pickled(name: str) -> None:
    arch = fit_arch(reference_arch(name), 16, width=0.125)
    network = build_network(arch, 4).eval()
    x = torch.randn(2, 3, 16, 16)
    expected = network(x)
    for other in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert torch.equal(other(x), expected)
        assert other.arch == arch
