"""What an epoch leaves in a network beside its weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from nas.data.feed import Feed
from nas.training.loop import Training, place_network, prepare_network
from nas.training.recipe import fast
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, build_network
from search_spaces.network import freeze_body

ARCH = ArchSpec((StageSpec(expand=2, channels=8, layers=2),), StemSpec(8), HeadSpec(16), resolution=8)
CPU = torch.device("cpu")


def counts_after_two_epochs(*, plain: bool, micro_batches: int = 1, frozen: bool = False) -> set[int]:
    images = torch.randint(0, 256, (50, 8, 8, 3), dtype=torch.uint8)
    feed = Feed(images, torch.arange(50), torch.arange(50) % 4, torch.zeros(3), torch.full((3,), 255.0), 8, 3)
    network = prepare_network(build_network, ARCH, 4, fast(), 2)
    if frozen:
        freeze_body(network)  # type: ignore[arg-type]
    training = Training(
        place_network(network, CPU, plain=plain), fast(), feed, 2, seed=0, flip=True, micro_batches=micro_batches
    )
    for epoch in (1, 2):
        training.run_epoch(epoch)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    return {int(norm.num_batches_tracked) for norm in norms if norm.num_batches_tracked is not None}


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_batches_are_counted_as_pytorchs_norms_do(micro_batches: int, frozen: bool) -> None:
    counts = [
        counts_after_two_epochs(plain=plain, micro_batches=micro_batches, frozen=frozen) for plain in (True, False)
    ]
    steps = 50 // fast().batch_for(50)
    assert counts == [{0 if frozen else 2 * steps * micro_batches}] * 2
