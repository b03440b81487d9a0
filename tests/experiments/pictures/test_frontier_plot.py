"""The frontier's picture: names beside points, in sparse and in crowded plots."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from experiments.pictures.frontier import frontier_figure
from experiments.tables.frontier import FrontierPoint

BASELINE = FrontierPoint(
    "baseline", "baseline", "mine", "digits", "test", 3, "fast", 3, 0.484, 0.007, 1_361_532, 37_984, 16, "0"
)
FAMILY = [
    replace(BASELINE, label=f"phi {i}", role="family", macs=1_361_532 * 2**i, accuracy=0.484 + 0.02 * i) for i in (1, 2)
]


def crowd(count: int, role: str) -> list[FrontierPoint]:
    """Points that surround the baseline; a few of them are better."""
    rng = random.Random(0)
    return [
        replace(
            BASELINE, label=f"net {i}", role=role, macs=int(10 ** rng.uniform(6, 8)), accuracy=rng.uniform(0.2, 0.5)
        )
        for i in range(count)
    ]


def names(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every name with the box of its letters, the leader apart."""
    return [
        (text.get_text(), Text.get_window_extent(text)) for text in figure.axes[0].texts if isinstance(text, Annotation)
    ]


@pytest.mark.parametrize(
    ("count", "role"), [(0, "reference"), (9, "reference"), (997, "reference"), (997, "candidate")]
)
def test_names_cover_nothing(count: int, role: str) -> None:
    points = [BASELINE, *FAMILY, *crowd(count, role)]
    figure = frontier_figure(points)
    figure.draw_without_rendering()  # puts the names in their places
    axes = figure.axes[0]
    written = names(figure)
    assert {"baseline", "phi 1", "phi 2"} <= {text for text, _ in written}
    spots = axes.transData.transform(np.array([(point.macs, 100 * point.accuracy) for point in points]))
    inside = axes.get_window_extent()
    for i, (text, box) in enumerate(written):
        assert not any(box.contains(x, y) for x, y in spots), text
        assert not any(box.overlaps(other) for _, other in written[:i]), text
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1


def test_one_point_has_an_axis_to_read_it_from() -> None:
    axes = frontier_figure([BASELINE]).axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2
