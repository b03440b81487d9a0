"""Published accuracies on ImageNet, for an overlay of the frontier: quoted from papers, not measured here.

They belong to 128 to 600 pixel images of 1000 classes and to each paper's own training; next to points of another data
set or recipe they show where the field stands, and no more. The papers' figures are kept as printed, rounded as they
are; `search_spaces.count_macs` tells what the networks that can be built here really cost.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedPoint(NamedTuple):
    """One network: ImageNet top-1 in percent; multiply-adds and parameters, None where the source gives none."""

    name: str
    top1: float
    macs: float | None
    params: float | None
    family: str
    source: str


EFFICIENTNET = "Tan and Le 2019 (arXiv 1905.11946 v5), table 2"
SCALED = "Tan and Le 2019 (arXiv 1905.11946 v5), table 3"
SCALED_B0 = "Tan and Le 2019 (arXiv 1905.11946 v5), table 7"
MNASNET = "Tan et al. 2019 (arXiv 1807.11626 v3), table 1"
AMOEBANET = "Real et al. 2019 (arXiv 1802.01548 v7), table 2"
GPIPE = "Huang et al. 2019 (arXiv 1811.06965 v5), section 4"
MOBILENET_V1 = "Howard et al. 2017 (arXiv 1704.04861), tables 6 and 7"
MOBILENET_V2 = "Sandler et al. 2018 (arXiv 1801.04381), table 4"
SHUFFLENET = "Zhang et al. 2018 (arXiv 1707.01083 v2), tables 2 and 5"
SQUEEZENET = "Iandola et al. 2016 (arXiv 1602.07360), tables 1 and 2"

PUBLISHED = (
    PublishedPoint("EfficientNet-B0", 77.1, 0.39e9, 5.3e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B1", 79.1, 0.70e9, 7.8e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B2", 80.1, 1.0e9, 9.2e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B3", 81.6, 1.8e9, 12e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B4", 82.9, 4.2e9, 19e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B5", 83.6, 9.9e9, 30e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B6", 84.0, 19e9, 43e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("EfficientNet-B7", 84.3, 37e9, 66e6, "EfficientNet", EFFICIENTNET),
    PublishedPoint("ResNet-50", 76.0, 4.1e9, 26e6, "ResNet", EFFICIENTNET),
    PublishedPoint("ResNet-152", 77.8, 11e9, 60e6, "ResNet", EFFICIENTNET),
    PublishedPoint("DenseNet-169", 76.2, 3.5e9, 14e6, "DenseNet", EFFICIENTNET),
    PublishedPoint("DenseNet-264", 77.9, 6.0e9, 34e6, "DenseNet", EFFICIENTNET),
    PublishedPoint("Inception-v3", 78.8, 5.7e9, 24e6, "Inception", EFFICIENTNET),
    PublishedPoint("Inception-v4", 80.0, 13e9, 48e6, "Inception", EFFICIENTNET),
    PublishedPoint("Inception-ResNet-v2", 80.1, 13e9, 56e6, "Inception", EFFICIENTNET),
    PublishedPoint("Xception", 79.0, 8.4e9, 23e6, "Xception", EFFICIENTNET),
    PublishedPoint("ResNeXt-101", 80.9, 32e9, 84e6, "ResNeXt", EFFICIENTNET),
    PublishedPoint("PolyNet", 81.3, 35e9, 92e6, "PolyNet", EFFICIENTNET),
    PublishedPoint("SENet", 82.7, 42e9, 146e6, "SENet", EFFICIENTNET),
    PublishedPoint("NASNet-A", 82.7, 24e9, 89e6, "NASNet", EFFICIENTNET),
    PublishedPoint("PNASNet", 82.9, 23e9, 86e6, "PNASNet", EFFICIENTNET),
    PublishedPoint("AmoebaNet-C + AutoAugment", 83.5, 41e9, 155e6, "AmoebaNet", EFFICIENTNET),
    PublishedPoint("AmoebaNet-A (N=6, F=190)", 82.8, 23.1e9, 86.7e6, "AmoebaNet", AMOEBANET),
    PublishedPoint("AmoebaNet-A (N=6, F=448)", 83.9, 104e9, 469e6, "AmoebaNet", AMOEBANET),
    PublishedPoint("GPipe: AmoebaNet-B (18, 512)", 84.4, None, 557e6, "GPipe", GPIPE),
    PublishedPoint("MnasNet-A1", 75.2, 312e6, 3.9e6, "MnasNet", MNASNET),
    PublishedPoint("MnasNet-A2", 75.6, 340e6, 4.8e6, "MnasNet", MNASNET),
    PublishedPoint("MnasNet-A3", 76.7, 403e6, 5.2e6, "MnasNet", MNASNET),
    PublishedPoint("NASNet-A (mobile)", 74.0, 564e6, 5.3e6, "NASNet", MNASNET),
    PublishedPoint("AmoebaNet-A (mobile)", 74.5, 555e6, 5.1e6, "AmoebaNet", MNASNET),
    PublishedPoint("PNASNet (mobile)", 74.2, 588e6, 5.1e6, "PNASNet", MNASNET),
    PublishedPoint("MobileNetV1", 70.6, 569e6, 4.2e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 0.75", 68.4, 325e6, 2.6e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 0.5", 63.7, 149e6, 1.3e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 0.25", 50.6, 41e6, 0.5e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 at 192", 69.1, 418e6, 4.2e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 at 160", 67.2, 290e6, 4.2e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV1 at 128", 64.4, 186e6, 4.2e6, "MobileNetV1", MOBILENET_V1),
    PublishedPoint("MobileNetV2", 72.0, 300e6, 3.4e6, "MobileNetV2", MOBILENET_V2),
    PublishedPoint("MobileNetV2 1.4", 74.7, 585e6, 6.9e6, "MobileNetV2", MOBILENET_V2),
    PublishedPoint("ShuffleNet v1 1x, 3 groups", 67.4, 140e6, None, "ShuffleNet", SHUFFLENET),
    PublishedPoint("ShuffleNet v1 1.5x, 3 groups", 71.5, 292e6, None, "ShuffleNet", SHUFFLENET),
    PublishedPoint("ShuffleNet v1 2x, 3 groups", 73.7, 524e6, None, "ShuffleNet", SHUFFLENET),
    PublishedPoint("SqueezeNet 1.0", 57.5, None, 1.25e6, "SqueezeNet", SQUEEZENET),
    PublishedPoint("MobileNetV1 width 2", 74.2, 2.2e9, None, "scaled MobileNetV1", SCALED),
    PublishedPoint("MobileNetV1 resolution 2", 72.7, 2.2e9, None, "scaled MobileNetV1", SCALED),
    PublishedPoint("MobileNetV1 compound (1.4, 1.2, 1.3)", 75.6, 2.3e9, None, "scaled MobileNetV1", SCALED),
    PublishedPoint("MobileNetV2 depth 4", 76.8, 1.2e9, None, "scaled MobileNetV2", SCALED),
    PublishedPoint("MobileNetV2 width 2", 76.4, 1.1e9, None, "scaled MobileNetV2", SCALED),
    PublishedPoint("MobileNetV2 resolution 2", 74.8, 1.2e9, None, "scaled MobileNetV2", SCALED),
    PublishedPoint("MobileNetV2 compound", 77.4, 1.3e9, None, "scaled MobileNetV2", SCALED),
    PublishedPoint("ResNet-50 depth 4", 78.1, 16.2e9, None, "scaled ResNet-50", SCALED),
    PublishedPoint("ResNet-50 width 2", 77.7, 14.7e9, None, "scaled ResNet-50", SCALED),
    PublishedPoint("ResNet-50 resolution 2", 77.5, 16.4e9, None, "scaled ResNet-50", SCALED),
    PublishedPoint("ResNet-50 compound", 78.8, 16.7e9, None, "scaled ResNet-50", SCALED),
    PublishedPoint("EfficientNet-B0, table 7", 77.3, 0.4e9, None, "scaled EfficientNet-B0", SCALED_B0),
    PublishedPoint("EfficientNet-B0 depth 4", 79.0, 1.8e9, None, "scaled EfficientNet-B0", SCALED_B0),
    PublishedPoint("EfficientNet-B0 width 2", 78.9, 1.8e9, None, "scaled EfficientNet-B0", SCALED_B0),
    PublishedPoint("EfficientNet-B0 resolution 2", 79.1, 1.9e9, None, "scaled EfficientNet-B0", SCALED_B0),
    PublishedPoint("EfficientNet-B0 compound (1.4, 1.2, 1.3)", 81.1, 1.8e9, None, "scaled EfficientNet-B0", SCALED_B0),
)
"""Counted anew, some labels do not hold: table 3's depth and width of ResNet-50 cost 14.57 and 16.12 B, as if swapped;
table 7's depth, width and resolution 1.58, 1.45 and 1.54 B."""

FAMILIES = tuple(dict.fromkeys(point.family for point in PUBLISHED))


def published_points(*families: str) -> tuple[PublishedPoint, ...]:
    """The points of these families, or all of them. Raises ValueError for an unknown family."""
    for family in families:
        if family not in FAMILIES:
            raise ValueError(f"no published points of {family!r}; there are {', '.join(FAMILIES)}")
    return tuple(point for point in PUBLISHED if not families or point.family in families)
