"""Detectors: the compound rule, costs against the paper and fvcore, forward and backward."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from experiments.views.verification import fvcore_macs
from search_spaces import ArchSpec, StageSpec, count_params, fit_arch, reference_arch
from search_spaces.cost import Shape
from search_spaces.detection.detector import Detector, build_detector
from search_spaces.detection.efficientdet import (
    SHIPPED,
    DetectorSpec,
    compound_rule,
    detector_cost,
    detector_costs,
    detector_taps,
    efficientdet,
    level_shapes,
)

# Tan, Pang and Le 2020, table 2: parameters and multiply-adds.
PAPER = {0: (3.9e6, 2.5e9), 1: (6.6e6, 6.1e9), 2: (8.1e6, 11e9), 3: (12e6, 25e9), 4: (21e6, 55e9)}
SMALL = DetectorSpec(fit_arch(reference_arch("efficientnet_b0"), 96, width=0.25), 16, 2, 2, num_classes=3, anchors=2)


@pytest.mark.parametrize("phi", PAPER)
def test_shipped_detectors_cost_what_the_paper_says(phi: int) -> None:
    cost = detector_cost(efficientdet(phi))
    assert cost.params == pytest.approx(PAPER[phi][0], rel=0.03)
    assert cost.macs == pytest.approx(PAPER[phi][1], rel=0.03)


def test_the_rule_holds_for_the_shipped_ones_to_d4() -> None:
    for phi in range(5):
        rule, (_, width, *shipped) = compound_rule(phi), SHIPPED[phi]
        assert list(rule[1:]) == shipped
        assert width == pytest.approx(rule.width, rel=0.06)
    assert compound_rule(6).resolution == SHIPPED[6][4]
    assert compound_rule(5).resolution != SHIPPED[5][4]


def test_levels_of_d0() -> None:
    spec = efficientdet(0)
    assert [(tap.level, tap.stage) for tap in detector_taps(spec.backbone)] == [("P3", 2), ("P4", 4), ("P5", 6)]
    assert [shape.size for shape in level_shapes(spec)] == [64, 32, 16, 8, 4]


def test_the_parts_of_d0_sum_to_it() -> None:
    rows = detector_costs(efficientdet(0))
    assert [row.name for row in rows] == ["backbone", "BiFPN", "class head", "box head"]
    assert tuple(map(sum, zip(*(row.cost for row in rows), strict=True))) == detector_cost(efficientdet(0))
    # EfficientNet-B0's without the 1x1 convolution, its norm and the classifier.
    assert rows[0].cost.params == count_params(reference_arch("efficientnet_b0")) - 320 * 1280 - 2 * 1280 - 1281 * 1000
    assert [row.output for row in rows] == [Shape(40, 64), Shape(64, 64), Shape(810, 64), Shape(36, 64)]


@pytest.mark.parametrize("spec", [SMALL, replace(efficientdet(0), backbone=reference_arch("efficientnet_b0"))])
def test_fvcore_and_the_built_network_agree(spec: DetectorSpec) -> None:
    detector = build_detector(spec)
    side = spec.backbone.resolution
    with torch.no_grad():
        macs = fvcore_macs(detector, torch.zeros(1, 3, side, side))
    assert (macs, sum(p.numel() for p in detector.parameters())) == detector_cost(spec)[:2]


@pytest.mark.parametrize("phi", [4, 7])
def test_large_ones_are_built_as_counted(phi: int) -> None:
    with torch.device("meta"):
        detector = Detector(efficientdet(phi))
    assert sum(p.numel() for p in detector.parameters()) == detector_cost(efficientdet(phi)).params


@pytest.mark.parametrize("resolution", [96, 100, 65])
def test_forward_and_backward_reach_every_weight(resolution: int) -> None:
    torch.manual_seed(0)
    spec = replace(SMALL, backbone=replace(SMALL.backbone, resolution=resolution, drop_path=0.0))
    detector = build_detector(spec).train()
    predictions = detector(torch.randn(2, 3, resolution, resolution))
    sides = [shape.size for shape in level_shapes(spec)]
    assert [tuple(x.shape) for x in predictions.classes] == [(2, 2 * 3, side, side) for side in sides]
    assert [tuple(x.shape) for x in predictions.boxes] == [(2, 2 * 4, side, side) for side in sides]
    sum((x**2).mean() for x in (*predictions.classes, *predictions.boxes)).backward()
    untouched = [name for name, p in detector.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert untouched == []


def test_an_untrained_detector_sees_nothing() -> None:
    torch.manual_seed(0)
    detector = build_detector(SMALL).eval()
    with torch.no_grad():
        classes = detector(torch.zeros(1, 3, 96, 96)).classes
    assert all(0.0 < x.sigmoid().mean() < 0.2 for x in classes)


def test_any_backbone_with_three_map_sizes_will_do() -> None:
    spec = replace(SMALL, backbone=fit_arch(reference_arch("resnet18"), 128, width=0.125))
    assert len(build_detector(spec).eval()(torch.randn(1, 3, 128, 128)).boxes) == 5
    flat = ArchSpec((StageSpec(), StageSpec(stride=2)), resolution=32)
    with pytest.raises(ValueError, match="maps of three sizes, this backbone's stages have 2"):
        detector_cost(replace(SMALL, backbone=flat))
    with pytest.raises(ValueError, match="maps that halve, this backbone's have 55, 27 and 13 pixels"):
        detector_cost(replace(SMALL, backbone=reference_arch("squeezenet1_1")))


def test_wrong_sizes_are_named() -> None:
    with pytest.raises(ValueError, match="fpn_layers: must be an integer of at least 1, not 0"):
        replace(SMALL, fpn_layers=0)
    with pytest.raises(ValueError, match=r"width: must be an integer of at least 1, not 2.5"):
        replace(SMALL, width=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 or more, not -1"):
        compound_rule(-1)
    with pytest.raises(ValueError, match="D0 to D7, not D8"):
        efficientdet(8)
