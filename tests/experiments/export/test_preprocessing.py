"""What an exported program does to images itself is what a training did to them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.export.preprocessing import Prepared
from nas.data.augment import normalise, resize


@pytest.mark.parametrize(("given", "resolution"), [(16, 16), (8, 16), (7, 20), (24, 16)])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_brought_to_the_networks_size_as_in_its_training(given: int, resolution: int, channels: int) -> None:
    generator = torch.Generator().manual_seed(given)
    images = torch.randint(0, 256, (4, given, given, channels), generator=generator).to(torch.uint8)
    mean, std = (0.5, 0.45, 0.4)[:channels], (0.2, 0.25, 0.3)[:channels]
    found = Prepared(nn.Identity(), resolution, 3, mean, std)(images)
    sized = resize(images, resolution).expand(-1, -1, -1, 3)
    expected = normalise(sized, 255 * torch.tensor(mean), 255 * torch.tensor(std))
    assert torch.equal(found, expected)  # whole levels, too: networks of enlarged images depend on them
