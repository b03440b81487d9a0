"""Feature maps of any network, and the detectors that are built on them."""

from __future__ import annotations

from search_spaces.detection.efficientdet import (
    DETECTOR_NAMES,
    DetectorSpec,
    detector_cost,
    detector_costs,
    efficientdet,
    reference_detector,
)
from search_spaces.detection.taps import Tap, feature_taps

__all__ = [
    "DETECTOR_NAMES",
    "DetectorSpec",
    "Tap",
    "detector_cost",
    "detector_costs",
    "efficientdet",
    "feature_taps",
    "reference_detector",
]
