"""What each kind of layer costs: against PyTorch's own layers, and by hand where layers are put together."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import max_pool2d

from search_spaces import ArchError, ArchSpec, StageSpec, count_macs, count_params, network_cost, stage_costs
from search_spaces.cost import Cost, Shape, at_resolution, input_shape, layer_cost
from search_spaces.layers import (
    Act,
    Concat,
    Conv,
    Dropout,
    Flatten,
    Gate,
    GlobalPool,
    Layer,
    Linear,
    Norm,
    PadChannels,
    Pooling,
    Repeat,
    Residual,
    Seq,
    Shuffle,
)

IN = Shape(6, 5)
"""What layers are fed with: 6 channels of 5 x 5 pixels, 150 values."""


def size_of(parameters: nn.Module) -> int:
    return sum(each.numel() for each in parameters.parameters())


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    groups=st.sampled_from([1, 2, 3, 6]),
    bias=st.booleans(),
    padding=st.sampled_from([None, 0, 1, 2]),
)
def test_convolutions_are_pytorchs(
    *, size: int, kernel: int, stride: int, groups: int, bias: bool, padding: int | None
) -> None:
    border = kernel // 2 if padding is None else padding
    fed, layer = Shape(6, size), Conv(12, kernel, stride, groups, bias, padding)
    if size + 2 * border < kernel:
        with pytest.raises(ValueError, match=f"^a map of {size} pixels is too small for a {kernel}x{kernel} conv"):
            layer_cost(layer, fed)
        return
    conv = nn.Conv2d(6, 12, kernel, stride, border, groups=groups, bias=bias)
    out = conv(torch.zeros(1, 6, size, size))
    cost = Cost(out.numel() * conv.weight[0].numel(), size_of(conv), out.numel())
    assert layer_cost(layer, fed) == (cost, Shape(*out.shape[1:3]))


@settings(max_examples=150, deadline=None)
@given(
    size=st.integers(1, 12),
    kernel=st.integers(1, 5),
    stride=st.integers(1, 4),
    padding=st.integers(0, 2),
    ceil_mode=st.booleans(),
)
def test_pooled_maps_are_as_large_as_pytorchs(
    size: int, kernel: int, stride: int, padding: int, ceil_mode: bool
) -> None:
    assume(2 * padding <= kernel)
    layer, fed = Pooling("max", kernel, stride, padding, ceil_mode), Shape(6, size)
    try:
        out = max_pool2d(torch.zeros(1, 6, size, size), kernel, stride, padding, ceil_mode=ceil_mode)
    except RuntimeError:
        with pytest.raises(ValueError, match=f"^a map of {size} pixels is too small for {kernel}x{kernel} pooling"):
            layer_cost(layer, fed)
        return
    assert layer_cost(layer, fed) == (Cost(0, 0, out.numel()), Shape(*out.shape[1:3]))


@pytest.mark.parametrize(("size", "stride", "left"), [(5, 1, 5), (5, 2, 3), (6, 2, 3), (7, 3, 3)])
def test_padded_as_tensorflow_does_size_over_stride_leaves_rounded_up(size: int, stride: int, left: int) -> None:
    fed, after = Shape(4, size), Shape(4, left)
    conv = Cost(left**2 * 9 * 4 * 4, 9 * 4 * 4, 4 * left**2)
    assert layer_cost(Conv(4, 3, stride, padding="same"), fed) == (conv, after)
    assert layer_cost(Pooling("avg", 3, stride, "same"), fed) == (Cost(0, 0, 4 * left**2), after)


POINT = Conv(8)  # 48 weights over 25 pixels
POINT_COST = Cost(1200, 48, 200)


@pytest.mark.parametrize(
    ("layer", "cost", "after"),
    [
        (Norm(), Cost(0, 12, 150), IN),  # a scale and a shift a channel
        (Act("relu"), Cost(0, 0, 150), IN),
        (Dropout(0.5), Cost(0, 0, 0), IN),
        (Flatten(), Cost(0, 0, 0), Shape(150, 1)),
        (GlobalPool(), Cost(0, 0, 6), Shape(6, 1)),
        (Linear(10), Cost(1500, 1510, 10), Shape(10, 1)),
        (Linear(10, bias=False), Cost(1500, 1500, 10), Shape(10, 1)),
        (Shuffle(3), Cost(0, 0, 0), IN),
        (PadChannels(6), Cost(0, 0, 150), IN),
        (PadChannels(9), Cost(0, 0, 225), Shape(9, 5)),
        (POINT, POINT_COST, Shape(8, 5)),
        # The second convolution has 8 x 4 weights.
        (Seq((POINT, Act("relu"), Conv(4))), Cost(1200 + 800, 48 + 32, 200 + 200 + 100), Shape(4, 5)),
        (Seq(()), Cost(0, 0, 0), IN),
        (Repeat(Conv(6), 3), Cost(3 * 900, 3 * 36, 3 * 150), IN),
        (Residual(Conv(6)), Cost(900, 36, 150 + 150), IN),  # the sum is written, too
        (Residual(POINT, Conv(8, bias=True)), Cost(2400, 48 + 56, 200 + 200 + 200), Shape(8, 5)),
        (Gate(Seq((GlobalPool(), Conv(6)))), Cost(36, 36, 6 + 6 + 150), IN),  # the product is written, too
        (Concat((POINT, Dropout(0.1), Conv(1, bias=True))), Cost(1200 + 150, 48 + 7, 200 + 25), Shape(15, 5)),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Cost | Shape) else "",
)
def test_layers_cost_what_is_counted_by_hand(layer: Layer, cost: Cost, after: Shape) -> None:
    assert layer_cost(layer, IN) == (cost, after)
    # Inside of another layer it is the same.
    assert layer_cost(Seq((layer,)), IN) == (cost, after)


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        (Conv(8, groups=4), "a convolution from 6 to 8 channels cannot have 4 groups"),
        (Conv(8, groups=6), "a convolution from 6 to 8 channels cannot have 6 groups"),
        (
            Repeat(POINT, 2),
            "a repeated layer must keep the shape, not turn Shape(channels=6, size=5) into Shape(channels=8",
        ),
        (Residual(POINT), "a shortcut of Shape(channels=6, size=5) cannot be added to Shape(channels=8, size=5)"),
        (Gate(Conv(6)), "a gate of Shape(channels=6, size=5) does not fit Shape(channels=6, size=5)"),
        (
            Gate(Seq((GlobalPool(), POINT))),
            "a gate of Shape(channels=8, size=1) does not fit Shape(channels=6, size=5)",
        ),
        (Concat((POINT, GlobalPool())), "maps of 5, 1 pixels cannot be concatenated"),
        (Shuffle(4), "6 channels cannot be shuffled in 4 groups"),
        (PadChannels(5), "6 channels cannot be padded to 5"),
    ],
)
def test_layers_that_do_not_fit_are_refused(layer: Layer, told: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        layer_cost(layer, IN)


def test_a_network_has_the_costs_of_its_stages_at_any_size_and_number_of_classes() -> None:
    arch = ArchSpec(
        stages=(
            StageSpec(kernel=3, stride=2, expand=4, se=0.25, channels=16, layers=2),
            StageSpec(kernel=5, stride=1, expand=6, se=0.0, channels=24, layers=1),
        ),
        resolution=32,
    )
    for resolution, classes in ((None, 10), (64, 7)):
        total = network_cost(arch, resolution, classes)
        rows = stage_costs(arch, resolution, classes)
        assert [row.name for row in rows] == ["stem", "stage 1", "stage 2", "head"]
        assert total == tuple(map(sum, zip(*(row.cost for row in rows), strict=True)))
        assert count_macs(arch, resolution, classes) == total.macs
        assert rows[-1].output == Shape(classes, 1)
    assert count_params(arch, 7) == network_cost(arch, 64, 7).params
    assert count_macs(at_resolution(arch, 64), num_classes=7) == network_cost(arch, 64, 7).macs
    assert count_macs(arch) - count_macs(arch, num_classes=999) == count_params(arch) - count_params(arch, 999) - 1
    assert input_shape(arch) == Shape(3, 32)
    # Where nothing is said, it is the network's own resolution and ImageNet's 1000 classes.
    assert network_cost(arch) == network_cost(arch, 32, 1000)
    assert stage_costs(arch) == stage_costs(arch, 32, 1000)
    assert (count_macs(arch), count_params(arch)) == network_cost(arch, 32, 1000)[:2]
    for wrong in (0, 1_000_001):
        with pytest.raises(ArchError, match="resolution"):
            count_macs(arch, wrong)
        for counted in (network_cost, stage_costs):
            with pytest.raises(ArchError, match="num_classes"):
                counted(arch, None, wrong)
