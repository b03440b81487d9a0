"""The torch module that gives a network's feature maps."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from search_spaces.arch import ArchSpec
from search_spaces.detection.taps import Tap, feature_taps
from search_spaces.network import Network


class FeatureMaps(nn.Module):
    """Float images (batch, channels, height, width) to the maps of `taps`, in their order, from fine to coarse.

    It has the stem and stages of `network` (its own modules, not copies: weights loaded into one are the other's) and
    not its head. taps: those of `feature_taps` when None.
    """

    def __init__(self, network: Network, taps: Iterable[Tap] | None = None) -> None:
        super().__init__()
        self.taps = tuple(feature_taps(network.arch) if taps is None else taps)
        self.stem = network.get_submodule("stem")
        self.stages = network.get_submodule("stages")

    def forward(self, x: Tensor) -> list[Tensor]:
        x = self.stem(x)
        wanted = {tap.stage for tap in self.taps}
        maps = []
        for i, stage in enumerate(self.stages.children()):
            x = stage(x)
            if i in wanted:
                maps.append(x)
        return maps


def build_feature_maps(arch: ArchSpec, taps: Iterable[Tap] | None = None) -> FeatureMaps:
    """The same with fresh modules, their weights as torch draws them."""
    return FeatureMaps(Network(arch, 1), taps)
