"""TensorFlow's padding: where the odd row goes, sizes, identity, and that exports keep it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from experiments.export.source import Exported
from experiments.export.standalone import write_standalone
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network, load_weights, network_cost
from search_spaces.cost import Shape, layer_cost
from search_spaces.layers import Conv, Pooling
from search_spaces.network import SameConv2d, build_layer
from search_spaces.padding import same_borders
from search_spaces.public_names import conventions
from tests.search_spaces.test_arch import archs


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "borders"),
    [
        (224, 3, 2, (0, 1)),
        (225, 3, 2, (1, 1)),
        (112, 5, 2, (1, 2)),
        (7, 5, 2, (2, 2)),
        (8, 3, 1, (1, 1)),
        (9, 1, 2, (0, 0)),
    ],
)
def test_pixels_that_tensorflow_adds(size: int, kernel: int, stride: int, borders: tuple[int, int]) -> None:
    """The formula in tf.nn's documentation: max((ceil(n / s) - 1) * s + k - n, 0) in all, half of it before."""
    assert same_borders(size, kernel, stride) == borders


def test_over_an_even_number_of_pixels_the_first_window_begins_at_the_first() -> None:
    """A kernel that picks the first of its 3 x 3 pixels shows where the windows are."""
    x = torch.arange(36.0).reshape(1, 1, 6, 6)
    same = build_layer(Conv(1, 3, 2, padding="same"), Shape(1, 6))
    plain = build_layer(Conv(1, 3, 2), Shape(1, 6))
    for layer in (same, plain):
        weight = layer.get_parameter("weight")
        with torch.no_grad():
            weight.zero_()[0, 0, 0, 0] = 1
    assert torch.equal(same(x)[0, 0], x[0, 0, ::2, ::2])
    assert not torch.equal(plain(x), same(x))
    odd = x[..., :5, :5]
    assert torch.equal(plain(odd), same(odd))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 20), st.sampled_from([1, 3, 5, 7]), st.integers(1, 3), st.sampled_from(["conv", "max", "avg"]))
def test_layers_against_padding_by_hand(size: int, kernel: int, stride: int, kind: str) -> None:
    x = torch.randn(2, 3, size, size)
    layer = Conv(3, kernel, stride, padding="same") if kind == "conv" else Pooling(kind, kernel, stride, "same")
    module = build_layer(layer, Shape(3, size))
    before, after = same_borders(size, kernel, stride)
    borders = (before, after, before, after)
    if isinstance(module, SameConv2d):
        expected = nn.functional.conv2d(nn.functional.pad(x, borders), module.weight, stride=stride)
    elif kind == "max":
        expected = nn.functional.max_pool2d(nn.functional.pad(x, borders, value=-torch.inf), kernel, stride)
    else:
        ones = nn.functional.avg_pool2d(nn.functional.pad(torch.ones_like(x), borders), kernel, stride)
        expected = nn.functional.avg_pool2d(nn.functional.pad(x, borders), kernel, stride) / ones
    torch.testing.assert_close(module(x), expected)
    assert layer_cost(layer, Shape(3, size))[1].size == expected.shape[-1] == -(-size // stride)


@settings(max_examples=60, deadline=None)
@given(archs, st.integers(12, 33))
def test_any_network_is_built_as_counted(arch: ArchSpec, resolution: int) -> None:
    arch = replace(arch, padding="same", resolution=resolution)
    with torch.device("meta"):
        network = build_network(arch, 10)
        assert network.eval()(torch.zeros(1, 3, resolution, resolution)).shape == (1, 10)
    cost = network_cost(arch, None, 10)
    assert sum(p.numel() for p in network.parameters()) == cost.params
    assert cost.params == network_cost(replace(arch, padding="symmetric"), None, 10).params


SAME = ArchSpec(
    (
        StageSpec(stride=2, channels=16, se=0.25),
        StageSpec("uib", start=5, kernel=3, stride=2, channels=24),
        StageSpec("xception", stride=2, channels=32, skip="project"),
    ),
    StemSpec(8),
    HeadSpec(16),
    resolution=32,
    padding="same",
)


def test_it_is_part_of_the_id_where_it_matters() -> None:
    assert SAME.id != replace(SAME, padding="symmetric").id
    flat = ArchSpec((StageSpec(), StageSpec("fire", stride=2)), StemSpec(kind="squeezenet"), padding="same")
    assert flat.id == replace(flat, padding="symmetric").id  # nothing strided is padded
    assert ArchSpec.from_json(SAME.to_json()) == SAME
    with pytest.raises(ValueError, match="padding: must be one of symmetric, same, not 'valid'"):
        replace(SAME, padding="valid")


def test_the_stand_alone_file_pads_so_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(SAME, 4).eval()
    assert write_standalone(Exported(SAME, 4, network, "fresh"), tmp_path / "net.py") <= 1e-5


def test_timms_weights_from_tensorflow_bring_their_epsilon() -> None:
    arch = ArchSpec((StageSpec(channels=16),), StemSpec(8), resolution=16, norm_eps=2e-3, padding="same")
    network = build_network(arch, 4)
    own = network.state_dict()
    modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
    (timm,) = [each for each in conventions(arch) if each.scheme == "timm"]
    names = dict(zip(modules, timm.names(arch), strict=True))
    state = {f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in own.items()}
    load_weights(network, state)
    assert network.arch.norm_eps == 1e-3
