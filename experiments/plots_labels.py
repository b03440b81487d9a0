"""Names beside points, so that none covers another name, a point, its bar or a line."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

MOST = 40
LONGEST = 32
# Where a name may stand around its point, in points of the page; the first free place is taken.
_SHIFTS = [(9, 0), (-9, 0), (0, 9), (0, -9), (9, 9), (-9, 9), (9, -9), (-9, -9), (0, 20), (0, -20), (14, 18), (-14, 18),
           (14, -18), (-14, -18), (0, 31), (0, -31), (30, 0), (-30, 0), (24, 34), (-24, 34), (24, -34), (-24, -34),
           (44, 22), (-44, 22), (44, -22), (-44, -22)]  # fmt: skip


class Name(NamedTuple):
    """A point's name: where the point is, half the height of its bar, and how much the name matters.

    Names that matter (rank 2 and more) are always written, where they clash least; others only where they find a free
    place, and not at all where there are more than MOST.
    """

    text: str
    x: float
    y: float
    bar: float
    rank: int


def write_names(axes: Axes, names: Sequence[Name], lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> None:
    """Write the names. lines: xs and ys of the lines that they are to stay clear of. The
    figure must have been drawn."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    inside = axes.get_window_extent(renderer)
    own: list[list[Bbox]] = []
    near: list[Bbox] = []
    for name in names:
        x, y = axes.transData.transform((name.x, name.y))
        bar = axes.transData.transform((name.x, name.y + name.bar))[1] - y
        own.append([Bbox.from_extents(x - 6, y - 6, x + 6, y + 6), Bbox.from_extents(x - 4, y - bar, x + 4, y + bar)])
        # A name that stands this close to another's point would be read as that one's.
        near.append(Bbox.from_extents(x - 20, y - 9, x + 20, y + 9))
    taken = [box for boxes in own for box in boxes] + [box for line in lines for box in _along(axes, *line)]
    for i in sorted(range(len(names)), key=lambda i: (-names[i].rank, -names[i].y)):
        if names[i].rank < 1 or (len(names) > MOST and names[i].rank < 2):
            continue
        others = _corners(taken + [box for k, box in enumerate(near) if k != i])
        best: tuple[float, Annotation, Bbox] | None = None
        for shift in _SHIFTS:
            text = _annotate(axes, names[i], shift)
            box = text.get_window_extent(renderer)
            clash = _overlap(box, others) + box.width * box.height - _overlap(box, _corners([inside]))
            if best is None or clash < best[0]:
                if best is not None:
                    best[1].remove()
                best = (clash, text, box)
            else:
                text.remove()
            if clash < 1e-6:
                break
        assert best is not None
        if best[0] > 1 and names[i].rank < 2:
            best[1].remove()
        else:
            taken.append(best[2])


def plain(text: str) -> str:
    """A name in one line of moderate length."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _annotate(axes: Axes, name: Name, shift: tuple[int, int]) -> Annotation:
    dx, dy = shift
    return axes.annotate(
        plain(name.text), (name.x, name.y), shift, textcoords="offset points", fontsize=8,
        ha="center" if dx == 0 else ("left" if dx > 0 else "right"),
        va="center" if dy == 0 else ("bottom" if dy > 0 else "top"), parse_math=False, zorder=5,
        arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.6} if abs(dx) + abs(dy) > 19 else None,
    )  # fmt: skip


def _along(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> list[Bbox]:
    """Small boxes along a line."""
    points = axes.transData.transform(np.column_stack([xs, ys]))
    boxes = []
    for a, b in itertools.pairwise(points):
        for share in np.linspace(0, 1, max(2, int(np.hypot(*(b - a)) / 5))):
            x, y = a + share * (b - a)
            boxes.append(Bbox.from_extents(x - 2, y - 2, x + 2, y + 2))
    return boxes


def _corners(boxes: Sequence[Bbox]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    return np.array([box.extents for box in boxes], float).reshape(-1, 4)


def _overlap(box: Bbox, others: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    """The area that a box shares with others, all together."""
    width = np.minimum(box.x1, others[:, 2]) - np.maximum(box.x0, others[:, 0])
    height = np.minimum(box.y1, others[:, 3]) - np.maximum(box.y0, others[:, 1])
    return float((np.maximum(width, 0) * np.maximum(height, 0)).sum())
