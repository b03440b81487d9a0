"""EfficientDet: detectors grown by one compound coefficient from any backbone (Tan, Pang and Le 2020)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.cost import Cost, Shape, StageCost, layer_cost, stage_costs
from search_spaces.detection.taps import Tap, feature_taps
from search_spaces.layers import Act, Conv, Layer, Norm, Pooling, Seq
from search_spaces.reference import reference_arch

BOX = 4
NODES = (
    (3, (3, 4)),
    (2, (2, 5)),
    (1, (1, 6)),
    (0, (0, 7)),
    (1, (1, 7, 8)),
    (2, (2, 6, 9)),
    (3, (3, 5, 10)),
    (4, (4, 11)),
)
"""One BiFPN cell (figure 3): the level of each node, from 0 for P3 to 4 for P7, and what it fuses: numbers 0 to 4 are
the cell's inputs, 5 and on the nodes before it. The last node of each level is the cell's output."""

LEVELS = 5
OUTPUTS = tuple(max(LEVELS + i for i, (level, _) in enumerate(NODES) if level == wanted) for wanted in range(LEVELS))


@dataclass(frozen=True)
class DetectorSpec:
    """A whole detector for square images of `backbone.resolution` pixels.

    width: channels of the BiFPN and the heads. fpn_layers: BiFPN cells. head_layers: convolutions of the class head and
    of the box head before their predictions. anchors: boxes proposed at each position.
    """

    backbone: ArchSpec
    width: int = 64
    fpn_layers: int = 3
    head_layers: int = 3
    num_classes: int = 90
    anchors: int = 9

    def __post_init__(self) -> None:
        for name in ("width", "fpn_layers", "head_layers", "num_classes", "anchors"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: must be an integer of at least 1, not {value}")


class Sizes(NamedTuple):
    """What the compound rule gives for one coefficient; the width is not rounded yet."""

    width: float
    fpn_layers: int
    head_layers: int
    resolution: int


SHIPPED = (
    ("efficientnet_b0", 64, 3, 3, 512),
    ("efficientnet_b1", 88, 4, 3, 640),
    ("efficientnet_b2", 112, 5, 3, 768),
    ("efficientnet_b3", 160, 6, 4, 896),
    ("efficientnet_b4", 224, 7, 4, 1024),
    ("efficientnet_b5", 288, 7, 4, 1280),
    ("efficientnet_b6", 384, 8, 5, 1280),
    ("efficientnet_b6", 384, 8, 5, 1536),
)
"""D0 to D7 in the authors' code: backbone, width, BiFPN cells, head depth, input. They follow the rule to D4 only, and
their widths are rounded by hand."""


def compound_rule(phi: int) -> Sizes:
    """The paper's equations 1 to 3 for a coefficient of 0 or more. Raises ValueError below 0."""
    if phi < 0:
        raise ValueError(f"the compound coefficient must be 0 or more, not {phi}")
    return Sizes(64 * 1.35**phi, 3 + phi, 3 + math.floor(phi / 3), 512 + 128 * phi)


DETECTOR_NAMES = tuple(f"efficientdet_d{phi}" for phi in range(len(SHIPPED)))


def reference_detector(name: str) -> DetectorSpec:
    """A detector of DETECTOR_NAMES. Raises ValueError on another name."""
    if name not in DETECTOR_NAMES:
        raise ValueError(f"unknown detector {name!r}; known are {', '.join(DETECTOR_NAMES)}")
    return efficientdet(DETECTOR_NAMES.index(name))


def efficientdet(phi: int) -> DetectorSpec:
    """EfficientDet-D0 to -D7 as shipped. Raises ValueError for another number."""
    if not 0 <= phi < len(SHIPPED):
        raise ValueError(f"EfficientDet comes as D0 to D{len(SHIPPED) - 1}, not D{phi}")
    backbone, width, fpn_layers, head_layers, resolution = SHIPPED[phi]
    arch = replace(reference_arch(backbone), resolution=resolution)
    return DetectorSpec(arch, width, fpn_layers, head_layers)


def detector_taps(backbone: ArchSpec) -> tuple[Tap, Tap, Tap]:
    """The backbone's P3, P4 and P5.

    Raises ValueError for a backbone with fewer map sizes, or whose maps do not halve (rounded up), as those of unpadded
    pools do not: the BiFPN could not add them.
    """
    taps = feature_taps(backbone)
    if len(taps) < 3:
        raise ValueError(f"a detector needs maps of three sizes, this backbone's stages have {len(taps)}")
    p3, p4, p5 = taps[-3:]
    fine, middle, coarse = (tap.shape.size for tap in (p3, p4, p5))
    if (middle, coarse) != (-(-fine // 2), -(-middle // 2)):
        raise ValueError(f"a detector needs maps that halve, this backbone's have {fine}, {middle} and {coarse} pixels")
    return p3, p4, p5


def lateral(spec: DetectorSpec) -> Layer:
    """From a backbone's channels to the BiFPN's."""
    return Seq((Conv(spec.width, bias=True), _norm(spec)))


def coarser() -> Layer:
    """From one level to the next."""
    return Pooling("max", 3, 2, padding=1)


def separable(spec: DetectorSpec, channels: int) -> Layer:
    """The convolution of BiFPN nodes and heads."""
    return Seq((Conv(spec.width, 3, groups=spec.width), Conv(channels, bias=True)))


def node_body(spec: DetectorSpec) -> Layer:
    """What a node does after fusing."""
    return Seq((Act(spec.backbone.activation), separable(spec, spec.width), _norm(spec)))


def head_norm(spec: DetectorSpec) -> Layer:
    """Follows a head's convolution; the heads' convolutions are shared by all levels, their norms are not."""
    return Seq((_norm(spec), Act(spec.backbone.activation)))


def predictions(spec: DetectorSpec) -> tuple[int, int]:
    """Channels that the class head and the box head predict at each position."""
    return spec.anchors * spec.num_classes, spec.anchors * BOX


def level_shapes(spec: DetectorSpec) -> list[Shape]:
    """The BiFPN's maps, P3 to P7."""
    shapes = [Shape(spec.width, tap.shape.size) for tap in detector_taps(spec.backbone)]
    while len(shapes) < LEVELS:
        shapes.append(layer_cost(coarser(), shapes[-1])[1])
    return shapes


def detector_cost(spec: DetectorSpec) -> Cost:
    """Multiply-adds, parameters and activations for one image, counted as for classifiers."""
    return _sum([row.cost for row in detector_costs(spec)])


def detector_costs(spec: DetectorSpec) -> list[StageCost]:
    """The costs of the parts: backbone, BiFPN, class head, box head; each with the finest of the maps that leave it."""
    shapes = level_shapes(spec)
    backbone = _sum([row.cost for row in stage_costs(spec.backbone)[:-1]])
    parts = [("backbone", backbone, detector_taps(spec.backbone)[0].shape), ("BiFPN", _bifpn_cost(spec), shapes[0])]
    for name, channels in zip(("class head", "box head"), predictions(spec), strict=True):
        parts.append((name, _head_cost(spec, channels, shapes), Shape(channels, shapes[0].size)))
    return [StageCost(*part) for part in parts]


def _bifpn_cost(spec: DetectorSpec) -> Cost:
    """With the changes from the backbone's maps, and to P6 and P7."""
    taps = [tap.shape for tap in detector_taps(spec.backbone)]
    shapes = level_shapes(spec)
    parts = [layer_cost(Seq((lateral(spec), coarser())), taps[2])[0], layer_cost(coarser(), shapes[3])[0]]
    for cell in range(spec.fpn_layers):
        for level, inputs in NODES:
            body = layer_cost(node_body(spec), shapes[level])[0]
            parts += [body, Cost(0, len(inputs), math.prod(shapes[level]) * shapes[level].size)]
            parts += [layer_cost(lateral(spec), taps[i])[0] for i in inputs if cell == 0 and i < len(taps)]
    return _sum(parts)


def _head_cost(spec: DetectorSpec, channels: int, shapes: list[Shape]) -> Cost:
    parts = []
    for level, shape in enumerate(shapes):
        convs = [separable(spec, spec.width)] * spec.head_layers + [separable(spec, channels)]
        shared = _sum([layer_cost(conv, shape)[0] for conv in convs])
        parts.append(shared if level == 0 else shared._replace(params=0))
        parts += [layer_cost(head_norm(spec), shape)[0]] * spec.head_layers
    return _sum(parts)


def _norm(spec: DetectorSpec) -> Norm:
    return Norm(spec.backbone.norm_eps, spec.backbone.norm_momentum)


def _sum(costs: list[Cost]) -> Cost:
    return Cost(*map(sum, zip(*costs, strict=True)))
