"""CIFAR-10's residual networks against a plain module of the paper's words (He et al. 2016, section 4.2)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from search_spaces import ArchError, build_network, count_macs, count_params, fit_arch, reference_arch, resize
from search_spaces.blocks import format_blocks, parse_blocks
from search_spaces.ops.basic import Basic
from search_spaces.reference import REFERENCE_NAMES, cifar_resnet
from tests.helpers.parity import hooked_macs

MILLIONS = {20: 0.27, 32: 0.46, 44: 0.66, 56: 0.85}
"""Parameters in the paper's table 6."""


class Block(nn.Module):
    """Two 3x3 convolutions; option A on the shortcut: every other pixel, and zeros for the new channels."""

    def __init__(self, inputs: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        step = x.shape[-1] // y.shape[-1]
        shortcut = torch.zeros_like(y)
        shortcut[:, : x.shape[1]] = x[:, :, ::step, ::step]
        return torch.relu(y + shortcut)


class CifarResNet(nn.Module):
    """6n + 2 layers."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(16)
        widths = [(16, 16, 1), *[(16, 16, 1)] * (n - 1), (16, 32, 2), *[(32, 32, 1)] * (n - 1), (32, 64, 2)]
        self.blocks = nn.Sequential(*(Block(*width) for width in [*widths, *[(64, 64, 1)] * (n - 1)]))
        self.fc = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(self.blocks(torch.relu(self.bn(self.conv(x)))).mean((2, 3)))
        return out


@pytest.mark.parametrize("depth", MILLIONS)
def test_costs_and_logits_are_those_of_the_papers_network(depth: int) -> None:
    arch, theirs = reference_arch(f"resnet{depth}"), CifarResNet((depth - 2) // 6).eval()
    torch.manual_seed(0)
    for norm in (module for module in theirs.modules() if isinstance(module, nn.BatchNorm2d)):
        nn.init.uniform_(norm.get_buffer("running_var"), 0.5, 2)
        nn.init.normal_(norm.get_buffer("running_mean"), 0, 0.1)
    ours = build_network(arch, 10).eval()
    # The modules with weights come in the same order.
    values = theirs.state_dict().values()
    ours.load_state_dict(dict(zip(ours.state_dict(), values, strict=True)))
    images = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))
    params = sum(p.numel() for p in theirs.parameters())
    assert (count_params(arch, 10), count_macs(arch, None, 10)) == (params, hooked_macs(theirs, 32))
    assert round(params / 1e6, 2) == pytest.approx(MILLIONS[depth], abs=0.0101)


def test_they_are_not_imagenets_of_that_depth() -> None:
    assert {f"resnet{depth}" for depth in MILLIONS} <= set(REFERENCE_NAMES)
    assert reference_arch("resnet110").resolution == 224
    assert count_params(cifar_resnet(110), 10) == pytest.approx(1.7e6, rel=0.02)
    for depth in (7, 21, 2):
        with pytest.raises(ValueError, match="6n"):
            cifar_resnet(depth)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.integers(1, 3), st.integers(1, 2))
def test_a_padded_shortcut_costs_nothing_and_never_narrows(
    inputs: int, channels: int, stride: int, layers: int
) -> None:
    stage = Basic(channels=channels, stride=stride, layers=layers, skip="pad")
    base = replace(cifar_resnet(8), stages=(Basic(channels=inputs),))
    if channels < inputs:
        with pytest.raises(ArchError, match=rf"stages\[1\].skip: {inputs} channels cannot be padded to {channels}"):
            replace(base, stages=(*base.stages, stage))
        return
    arch = replace(base, stem=replace(base.stem, channels=inputs), stages=(*base.stages, stage))
    without = replace(arch, stages=(*base.stages, replace(stage, skip="none")))
    assert count_params(arch) == count_params(without)
    same = replace(arch, stages=(*base.stages, replace(stage, skip="identity")))
    assert (arch.id == same.id) == (stride == 1 and inputs == channels)
    assert parse_blocks(format_blocks(arch)) == arch.stages
    with torch.device("meta"):
        assert build_network(arch, 10)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_narrow_ones_keep_widths_that_can_be_padded() -> None:
    arch = fit_arch(reference_arch("resnet20"), 24, 1.1e6, num_classes=10)
    assert count_macs(arch, None, 10) == pytest.approx(1.1e6, rel=0.05)
    narrow = resize(arch, 0.3)
    widths = [narrow.stem.channels, *(stage.channels for stage in narrow.stages)]
    assert widths == sorted(widths)
