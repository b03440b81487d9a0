"""The frontier's picture: names beside points, in sparse and in crowded plots."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from experiments import report
from experiments.pictures.frontier import frontier_figure
from experiments.tables.frontier import ROLES, FrontierPoint

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


def texts(figure: Figure) -> str:
    """All that is written anywhere in a picture."""
    return "\n".join(found.get_text() for found in figure.findobj(Text))


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
    assert {"this run's network", "phi 1", "phi 2"} <= {text for text, _ in written}
    spots = axes.transData.transform(np.array([(point.macs, 100 * point.accuracy) for point in points]))
    inside = axes.get_window_extent()
    for i, (text, box) in enumerate(written):
        assert not any(box.contains(x, y) for x, y in spots), text
        assert not any(box.overlaps(other) for _, other in written[:i]), text
        assert inside.x0 <= box.x0 < box.x1 <= inside.x1
        assert inside.y0 <= box.y0 < box.y1 <= inside.y1


def test_a_known_network_at_several_costs_is_a_line_with_one_name() -> None:
    known = [
        replace(BASELINE, label=f"mobilenet_v2, {millions} M", role="reference", macs=millions * 10**6, accuracy=0.3)
        for millions in (2, 1)
    ]
    figure = frontier_figure([BASELINE, *FAMILY, *known])
    drawn = [np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert drawn == [[1e6, 2e6]]
    assert not any("1 M" in text for text, _ in names(figure))
    assert [text for text, _ in names(figure)].count("MobileNetV2, 2 M") == 1


def test_every_role_has_a_mark_on_the_page_and_in_the_picture() -> None:
    script = (Path(report.__file__).parent / "assets" / "basics.js").read_text()
    marks = re.search(r"const MARKS = \{(.*?)\n\};", script, re.DOTALL)
    assert marks is not None
    points = [replace(BASELINE, label=role, role=role) for role in ROLES]
    legend = [text.get_text() for text in frontier_figure(points).legends[0].get_texts()]
    for role in ROLES:
        found = re.search(rf'^  {role}: \["\w+", "#\w+", "([^"]+)"\]', marks[1], re.MULTILINE)
        assert found is not None, role
        assert found[1].split(":")[0].split(",")[0].split(" figures")[0] in "\n".join(legend)


def test_one_point_has_an_axis_to_read_it_from() -> None:
    axes = frontier_figure([BASELINE]).axes[0]
    low, high = axes.get_xlim()
    assert sum(low <= tick <= high for tick in axes.get_xticks()) >= 2


@pytest.mark.parametrize(
    ("recipe", "axis"),
    [
        ("fast", "test accuracy, %"),
        ("fast, metric=macro_f1, no flip", "test macro f1, %"),
        ("fast, loss=class weights,metric=balanced_accuracy", "test balanced accuracy, %"),
    ],
)
def test_the_axis_says_what_was_measured(recipe: str, axis: str) -> None:
    assert frontier_figure([replace(BASELINE, recipe=recipe)]).axes[0].get_ylabel() == axis


ODD = "a\x1b[31mb\u202ec\x00"


def test_what_does_not_show_is_written_out_in_names() -> None:
    other = replace(BASELINE, label=f"{ODD} phi 1", run=f"other {ODD}", data=ODD, macs=10**7, accuracy=0.9)
    figure = frontier_figure([replace(BASELINE, data=ODD), other], title=ODD)
    written = texts(figure)
    assert not set(ODD) - {"a", "b", "c", "[", "3", "1", "m"} & set(written)
    shown = "a\\x1b[31mb\\u202ec\\x00"
    assert written.count(shown) >= 4, "in the heading, the data, the name and the legend"
