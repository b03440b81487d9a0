"""Networks of one kind each: ShuffleNet, SqueezeNet, Xception; and the fields that most older networks share."""

from __future__ import annotations

from collections.abc import Callable

from search_spaces.arch import ArchSpec, HeadSpec, StemSpec
from search_spaces.ops import Stage
from search_spaces.ops.fire import Fire
from search_spaces.ops.separable import Separable
from search_spaces.ops.shuffle import ShuffleUnit
from search_spaces.ops.xception import XceptionBlock


def classic(
    stages: tuple[Stage, ...],
    stem: StemSpec | None = None,
    head: HeadSpec | None = None,
    *,
    resolution: int = 224,
    activation: str = "relu",
    dropout: float = 0.0,
) -> ArchSpec:
    """With PyTorch's usual norms, without stochastic depth; no 1x1 convolution before pooling unless `head` has one."""
    return ArchSpec(
        stages,
        stem or StemSpec(),
        head or HeadSpec(0),
        resolution=resolution,
        activation=activation,
        norm_eps=1e-5,
        norm_momentum=0.1,
        dropout=dropout,
        drop_path=0.0,
    )


SHUFFLENET_V1 = classic(
    tuple(
        ShuffleUnit(channels=channels, stride=2, layers=layers, groups=3)
        for channels, layers in ((240, 4), (480, 8), (960, 4))
    ),
    StemSpec(24, pool=2),
)
"""Zhang et al. 2018, table 1, 1x with 3 groups."""


def _squeezenet(stem: StemSpec, modules: tuple[tuple[int, int, int], ...]) -> ArchSpec:
    stages = tuple(
        Fire(channels=channels, stride=stride, layers=layers, skip="none", inner=0.125)
        for channels, stride, layers in modules
    )
    return classic(stages, stem, HeadSpec(0, kind="squeezenet"), dropout=0.5)


SQUEEZENET1_0 = _squeezenet(
    StemSpec(96, 7, kind="squeezenet"),
    ((128, 2, 2), (256, 1, 1), (256, 2, 1), (384, 1, 2), (512, 1, 1), (512, 2, 1)),
)
"""Iandola et al. 2016, table 1."""

SQUEEZENET1_1 = _squeezenet(StemSpec(64, kind="squeezenet"), ((128, 2, 2), (256, 2, 2), (384, 2, 2), (512, 1, 2)))
"""The authors' later release: smaller stem, earlier pooling."""


def _xception_stage(channels: int, stride: int = 2, layers: int = 1, inner: float = 1.0) -> Stage:
    return XceptionBlock(channels=channels, stride=stride, layers=layers, skip="project", inner=inner)


XCEPTION = classic(
    (
        _xception_stage(128),
        _xception_stage(256),
        _xception_stage(728),
        _xception_stage(728, stride=1, layers=8),
        _xception_stage(1024, inner=728 / 1024),
        Separable(channels=1536, skip="none"),
        Separable(channels=2048, skip="none"),
    ),
    StemSpec(64, kind="xception"),
    resolution=299,
    dropout=0.5,
)
"""Chollet 2017, figure 5."""

NETWORKS: dict[str, Callable[[], ArchSpec]] = {
    "shufflenet_v1": lambda: SHUFFLENET_V1,
    "squeezenet1_0": lambda: SQUEEZENET1_0,
    "squeezenet1_1": lambda: SQUEEZENET1_1,
    "xception": lambda: XCEPTION,
}
