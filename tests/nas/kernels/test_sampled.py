"""Strided convolutions of one pixel compute the same, and end no process."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nas.kernels.sampled import SampledConv2d, swap_strided
from nas.training.loop import place_network
from search_spaces import build_network, reference_arch
from tests.helpers.driven import ROOT


@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(2, 4)), st.integers(1, 13), st.booleans(),
    st.booleans(), st.integers(0, 10**6),
)  # fmt: skip
def test_results_and_gradients_are_those_of_the_convolution(
    shape: tuple[int, int, int], size: int, bias: bool, last: bool, seed: int
) -> None:
    inputs, outputs, stride = shape
    torch.manual_seed(seed)
    layout = torch.channels_last if last else torch.contiguous_format
    plain = nn.Conv2d(inputs, outputs, 1, stride, bias=bias).double()
    ours = nn.Conv2d(inputs, outputs, 1, stride, bias=bias).double()
    ours.load_state_dict(plain.state_dict())
    swap_strided(nn.Sequential(ours))
    assert type(ours) is SampledConv2d
    found = []
    for conv in (plain, ours):
        images = torch.randn(3, inputs, size, size + 1, generator=torch.Generator().manual_seed(seed)).double()
        images = images.contiguous(memory_format=layout).requires_grad_()
        result = conv(images)
        result.pow(2).sum().backward()
        found.append([result, images.grad, *(each.grad for each in conv.parameters())])
    assert all(torch.allclose(mine, theirs) for mine, theirs in zip(*found, strict=True))


def test_only_strided_convolutions_of_one_pixel_are_swapped() -> None:
    others = [nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3, 2), nn.Conv2d(4, 4, 1, 2, groups=4), nn.Conv2d(4, 4, 1, 2, 1)]
    network = nn.Sequential(*others, nn.Conv2d(4, 4, 1, (1, 2)))
    swap_strided(network)
    assert [type(part) for part in network] == [nn.Conv2d] * 4 + [SampledConv2d]


PROGRAM = """
import torch
from dataclasses import replace
from nas.training.loop import place_network
from search_spaces import build_network, reference_arch
torch.set_num_threads(1)
arch = replace(reference_arch("plain_resnet"), resolution=96)
arch = replace(arch, stages=tuple(replace(stage, channels=8 + 6 * i) for i, stage in enumerate(arch.stages)))
network = place_network(build_network(arch, 5), torch.device("cpu"), plain={plain}).train()
for _ in range(3):
    images = torch.randn(16, 3, 96, 96).contiguous(memory_format=torch.channels_last)
    network(images).pow(2).mean().backward()
print("trained")
"""


@pytest.mark.parametrize("plain", [True, False])
def test_a_narrow_resnet_on_photographs_ends_no_process(plain: bool) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(plain=plain)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "trained\n"), ended.stderr


def test_no_network_that_is_trained_has_such_a_convolution() -> None:
    for name in ("plain_resnet", "resnet20", "resnet50", "mnasnet_a1"):
        for plain in (True, False):
            network = place_network(
                build_network(replace(reference_arch(name), resolution=64), 4), torch.device("cpu"), plain=plain
            )
            convs = [part for part in network.modules() if isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1)]
            assert all(conv.stride == (1, 1) or type(conv) is SampledConv2d for conv in convs)
