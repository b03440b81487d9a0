"""The torch network of an EfficientDet, built from the layers that `efficientdet` counts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.cost import Shape
from search_spaces.detection.efficientdet import (
    LEVELS,
    NODES,
    OUTPUTS,
    DetectorSpec,
    coarser,
    detector_taps,
    head_norm,
    lateral,
    level_shapes,
    node_body,
    predictions,
    separable,
)
from search_spaces.detection.feature_maps import build_feature_maps
from search_spaces.layers import Seq
from search_spaces.network import build_layer, initialise, set_drop_path

RARE = 0.01
"""The probability of an object that an untrained class head predicts (Lin et al. 2017, section 4.1)."""


class Predictions(NamedTuple):
    """For P3 to P7: class logits (batch, anchors * num_classes, side, side), boxes (batch, anchors * 4, side, side)."""

    classes: list[Tensor]
    boxes: list[Tensor]


class Node(nn.Module):
    """Fuses maps by fast normalised fusion (Tan et al. 2020, section 3.3), then a separable convolution."""

    def __init__(self, spec: DetectorSpec, shape: Shape, laterals: Sequence[nn.Module]) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.ones(len(laterals)))
        self.laterals = nn.ModuleList(laterals)
        self.body = build_layer(node_body(spec), shape)
        self.size = (shape.size, shape.size)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        weights = torch.relu(self.weights)
        weights = weights / (weights.sum() + 1e-4)
        resized = [self._resize(change(x)) for change, x in zip(self.laterals, maps, strict=True)]
        fused = sum((weight * x for weight, x in zip(weights, resized, strict=True)), torch.zeros_like(resized[0]))
        out: Tensor = self.body(fused)
        return out

    def _resize(self, x: Tensor) -> Tensor:
        if x.shape[-1] > self.size[0]:
            return nn.functional.max_pool2d(x, 3, 2, 1)
        return x if x.shape[-1] == self.size[0] else nn.functional.interpolate(x, self.size)


class Cell(nn.Module):
    """One BiFPN layer: top-down, then bottom-up. incoming: the shapes of what it gets; only the first has laterals."""

    def __init__(self, spec: DetectorSpec, shapes: Sequence[Shape], incoming: Sequence[Shape]) -> None:
        super().__init__()

        def change(number: int) -> nn.Module:
            if number > 2 or incoming is shapes:
                return nn.Identity()
            return build_layer(lateral(spec), incoming[number])

        self.nodes = nn.ModuleList(Node(spec, shapes[level], [change(i) for i in inputs]) for level, inputs in NODES)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        every = list(maps)
        for node, (_, inputs) in zip(self.nodes, NODES, strict=True):
            every.append(node([every[i] for i in inputs]))
        return [every[i] for i in OUTPUTS]


class Head(nn.Module):
    """Convolutions shared by all levels, each level with norms of its own."""

    def __init__(self, spec: DetectorSpec, channels: int, shape: Shape) -> None:
        super().__init__()
        self.convs = nn.ModuleList(build_layer(separable(spec, spec.width), shape) for _ in range(spec.head_layers))
        self.norms = nn.ModuleList(build_layer(head_norm(spec), shape) for _ in range(LEVELS * spec.head_layers))
        self.predict = build_layer(separable(spec, channels), shape)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        return [self._level(level, x) for level, x in enumerate(maps)]

    def _level(self, level: int, x: Tensor) -> Tensor:
        for k, conv in enumerate(self.convs):
            x = self.norms[level * len(self.convs) + k](conv(x))
        predicted: Tensor = self.predict(x)
        return predicted


class Detector(nn.Module):
    """Float images (batch, channels, resolution, resolution) to Predictions."""

    def __init__(self, spec: DetectorSpec) -> None:
        super().__init__()
        taps = detector_taps(spec.backbone)
        shapes = level_shapes(spec)
        self.backbone = build_feature_maps(spec.backbone, taps)
        self.p6 = build_layer(Seq((lateral(spec), coarser())), taps[2].shape)
        self.p7 = build_layer(coarser(), shapes[3])
        incoming = [*(tap.shape for tap in taps), *shapes[3:]]
        self.cells = nn.ModuleList(Cell(spec, shapes, shapes if i else incoming) for i in range(spec.fpn_layers))
        self.class_head, self.box_head = (Head(spec, channels, shapes[0]) for channels in predictions(spec))

    def forward(self, x: Tensor) -> Predictions:
        maps = self.backbone(x)
        maps.append(self.p6(maps[-1]))
        maps.append(self.p7(maps[-1]))
        for cell in self.cells:
            maps = cell(maps)
        return Predictions(self.class_head(maps), self.box_head(maps))


def build_detector(spec: DetectorSpec) -> Detector:
    """The network with fresh weights; its class head starts sure that there is nothing to be seen."""
    detector = Detector(spec)
    set_drop_path(detector, spec.backbone.drop_path)
    initialise(detector)
    for name, parameter in detector.class_head.predict.named_parameters():
        if name.endswith("bias"):
            nn.init.constant_(parameter, -math.log((1 - RARE) / RARE))
    return detector
