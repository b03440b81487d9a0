"""A network that sees the images of another one's training gives what it gives on its own images."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from nas.data.augment import normalise, resize, to_grey
from nas.training.adapted import Adapted, Normalisation, folded
from search_spaces import REFERENCE_NAMES, build_network, reference_arch

COLOUR, OTHER = Normalisation((0.48, 0.45, 0.41), (0.23, 0.22, 0.21)), Normalisation((0.5,) * 3, (0.5, 0.4, 0.3))
GREY = Normalisation((0.4,), (0.25,))


class Kept(nn.Module):
    """Gives what it is given."""

    def forward(self, images: Tensor) -> Tensor:
        return images


def levels(channels: int) -> Tensor:
    """Three images of 8 pixels."""
    generator = torch.Generator().manual_seed(channels)
    return torch.randint(0, 256, (3, 8, 8, channels), generator=generator).to(torch.uint8)


def in_bytes(normalisation: Normalisation) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values) * 255 for values in normalisation)
    return mean, std


@given(st.integers(4, 24), st.integers(4, 24), st.sampled_from([COLOUR, OTHER, GREY]), st.integers(0, 10**6))
def test_images_are_as_the_network_would_have_got_them_itself(
    given_size: int, size: int, own: Normalisation, seed: int
) -> None:
    pixels = torch.randint(0, 256, (2, given_size, given_size, 3), generator=torch.Generator().manual_seed(seed))
    images = pixels.to(torch.uint8)
    sized = resize(images, size)
    expected = normalise(to_grey(sized) if len(own.mean) == 1 else sized, *in_bytes(own))
    found = Adapted(Kept(), size, own, COLOUR)(normalise(images, *in_bytes(COLOUR)))
    assert torch.equal(found, expected)  # rounded to whole levels as a feed does it
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_the_same_images_stay_as_they_are() -> None:
    images = normalise(levels(3), *in_bytes(COLOUR))
    assert torch.allclose(Adapted(Kept(), 8, COLOUR, COLOUR)(images), images, atol=1e-6)


def test_one_channel_is_seen_by_networks_of_several_and_several_by_none_of_others() -> None:
    images = normalise(levels(1), *in_bytes(GREY))
    found = Adapted(Kept(), 8, COLOUR, GREY)(images)
    plain = images * 0.25 + 0.4
    for channel in range(3):
        expected = (plain[:, 0] - COLOUR.mean[channel]) / COLOUR.std[channel]
        assert torch.allclose(found[:, channel], expected, atol=1e-6)
    # Images of one channel that are given three times over, as networks of three channels take them.
    assert torch.allclose(Adapted(Kept(), 8, GREY, GREY)(images.expand(-1, 3, -1, -1)), images, atol=1e-5)
    with pytest.raises(ValueError, match="a network of images with 4 channels cannot see images with 3"):
        Adapted(Kept(), 8, Normalisation((0.5,) * 4, (0.5,) * 4), COLOUR)
    with pytest.raises(ValueError, match="a network of images with 1 channels cannot see images with 4"):
        Adapted(Kept(), 8, GREY, Normalisation((0.5,) * 4, (0.5,) * 4))


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_norms_that_are_folded_change_nothing(name: str) -> None:
    arch = replace(reference_arch(name), resolution=32)
    torch.manual_seed(0)
    network = build_network(arch, 4)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean = torch.randn_like(module.bias) * 0.1
            module.running_var = torch.rand_like(module.bias) + 0.5
    network.double()  # float32 tells hundred norms in a row only roughly
    before = {key: value.clone() for key, value in network.state_dict().items()}
    images = torch.randn(2, arch.input_channels, 32, 32, dtype=torch.float64)
    fast = folded(network)
    with torch.no_grad():
        expected, found = network.eval()(images), fast(images)
    assert torch.allclose(found, expected, rtol=1e-8, atol=1e-8)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    left = sum(isinstance(module, nn.BatchNorm2d) for module in fast.modules())
    assert left <= norms / 4
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
