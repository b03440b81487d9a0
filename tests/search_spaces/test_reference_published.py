"""Quoted points: whole, plausible, and in keeping with what our own networks are counted to cost."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from experiments.errors import UserError
from experiments.tables.frontier import points_csv
from experiments.tables.published import FAMILIES, PUBLISHED, published_points
from experiments.views.frontier import draw_frontier
from search_spaces import ArchSpec, count_macs, count_params, reference_arch, resize
from search_spaces.reference import mobilenet_v1, mobilenet_v2

POINTS = {point.name: point for point in PUBLISHED}

BUILT = {
    **{f"EfficientNet-B{i}": reference_arch(f"efficientnet_b{i}") for i in range(8)},
    "ResNet-50": reference_arch("resnet50"),
    "ResNet-152": reference_arch("resnet152"),
    "Xception": reference_arch("xception"),
    "MnasNet-A1": reference_arch("mnasnet_a1"),
    "MobileNetV1": mobilenet_v1(),
    "MobileNetV1 0.75": mobilenet_v1(0.75),
    "MobileNetV1 0.5": mobilenet_v1(0.5),
    "MobileNetV1 0.25": mobilenet_v1(0.25),
    "MobileNetV1 at 192": mobilenet_v1(resolution=192),
    "MobileNetV1 at 160": mobilenet_v1(resolution=160),
    "MobileNetV1 at 128": mobilenet_v1(resolution=128),
    "MobileNetV2": mobilenet_v2(),
    "MobileNetV2 1.4": mobilenet_v2(1.4),
    "ShuffleNet v1 1x, 3 groups": reference_arch("shufflenet_v1"),
    "ShuffleNet v1 1.5x, 3 groups": resize(reference_arch("shufflenet_v1"), 1.5, divisor=1),
    "SqueezeNet 1.0": reference_arch("squeezenet1_0"),
}


@pytest.mark.parametrize("name", BUILT)
def test_quoted_costs_are_those_of_our_networks_but_for_rounding(name: str) -> None:
    arch, point = BUILT[name], POINTS[name]
    if point.macs is not None:
        assert count_macs(arch) == pytest.approx(point.macs, rel=0.06)
    if point.params is not None:
        assert count_params(arch) == pytest.approx(point.params, rel=0.13 if "1.4" in name else 0.07)


def scaled(arch: ArchSpec, depth: float, width: float, resolution: float) -> int:
    grown = resize(arch, width, depth, divisor=8)
    return count_macs(replace(grown, resolution=round(arch.resolution * resolution)))


def test_labels_of_scaled_networks_that_hold_and_that_do_not() -> None:
    v1, b0, resnet = mobilenet_v1(), reference_arch("efficientnet_b0"), reference_arch("resnet50")
    assert scaled(v1, 1, 2, 1) == pytest.approx(POINTS["MobileNetV1 width 2"].macs, rel=0.03)
    assert scaled(v1, 1, 1, 2) == pytest.approx(POINTS["MobileNetV1 resolution 2"].macs, rel=0.04)
    assert scaled(b0, 1.4, 1.2, 1.3) == pytest.approx(POINTS["EfficientNet-B0 compound (1.4, 1.2, 1.3)"].macs, rel=0.03)
    assert scaled(resnet, 4, 1, 1) == pytest.approx(POINTS["ResNet-50 width 2"].macs, rel=0.02)
    assert scaled(resnet, 1, 2, 1) == pytest.approx(POINTS["ResNet-50 depth 4"].macs, rel=0.02)
    for name, factors in {"depth 4": (4, 1, 1), "width 2": (1, 2, 1), "resolution 2": (1, 1, 2)}.items():
        assert scaled(b0, *factors) < 0.9 * (POINTS[f"EfficientNet-B0 {name}"].macs or 0)


def test_points_are_whole() -> None:
    assert len(POINTS) == len(PUBLISHED)
    for point in PUBLISHED:
        assert 40 < point.top1 < 90
        assert point.macs is not None or point.params is not None
        assert "arXiv" in point.source
    assert {"GPipe", "AmoebaNet"} <= set(FAMILIES)


def test_families_are_picked_by_name() -> None:
    assert published_points() == PUBLISHED
    assert {point.family for point in published_points("ResNet", "GPipe")} == {"ResNet", "GPipe"}
    with pytest.raises(ValueError, match="no published points of 'VGG'; there are EfficientNet"):
        published_points("VGG")


def test_a_family_without_costs_is_refused_rather_than_left_out(tmp_path: Path) -> None:
    (tmp_path / "frontier.csv").write_text(points_csv([]))
    drawn = draw_frontier([str(tmp_path)], tmp_path / "f.csv", ["AmoebaNet", "AmoebaNet"])
    assert [(point.label, point.role) for point in drawn] == [
        (point.name, "published") for point in published_points("AmoebaNet")
    ]
    with pytest.raises(UserError, match="--published GPipe: its multiply-adds were not published"):
        draw_frontier([str(tmp_path)], tmp_path / "f.csv", ["GPipe"])
