"""Names beside points, so that none covers another name, a point, its bar or a line."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox
from numpy.typing import NDArray

from experiments.terminal import printable

MOST = 40
LONGEST = 44
GAP = 4
"""Between a mark and its name, in points of the page, as all lengths here but those named pixels."""
_NEAR = (0, 45, 90, 135, 180, 225, 270, 315)
_FAR = tuple(range(0, 360, 15))
_DISTANCES = (20, 31, 44, 60, 80, 105, 135, 170, 210)
_ORDER = {0: 0, 180: 1, 90: 2, 270: 3}
"""Degrees at which a name is best read, the best first; the others follow."""


class Name(NamedTuple):
    """A point's name: where the point is, half the height of its bar, half the width of its mark (points of the page),
    and how much the name matters.

    Rank 3 and more: always written, where it clashes least if no place is free. Rank 2: written where a place is free
    anywhere around, a thin line leading to it. Rank 1: written close by or not at all, and not where there are more
    than MOST names. Rank 0: never.
    """

    text: str
    x: float
    y: float
    bar: float
    reach: float
    rank: int


class Place(NamedTuple):
    """Where a name may stand: its shift from the point, and how it is aligned there."""

    dx: float
    dy: float
    ha: str
    va: str
    led: bool


class Ground(NamedTuple):
    """Boxes, shape (n, 4) in pixels: what a name must not cover, what its leader must not cross, and what it stays
    in."""

    taken: NDArray[np.float64]
    crossed: NDArray[np.float64]
    inside: NDArray[np.float64]


def write_names(axes: Axes, names: Sequence[Name], lines: Sequence[tuple[Sequence[float], Sequence[float]]]) -> None:
    """Write the names. lines: xs and ys of the lines that they are to stay clear of. The
    figure must have been drawn."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    scale = renderer.points_to_pixels(1.0)
    inside = _corners([axes.get_window_extent(renderer).padded(-GAP)])
    marks = [_marks(axes, name, scale) for name in names]
    near = _corners([_around(*_at(axes, name), 20, 9) for name in names])
    lined = [box for line in lines for box in _along(axes, *line)]
    taken = _corners([box for boxes in marks for box in boxes] + lined)
    written = _corners([])
    for i in sorted(range(len(names)), key=lambda i: (-names[i].rank, -names[i].y)):
        name = names[i]
        if name.rank < 1 or (len(names) > MOST and name.rank < 2):
            continue
        # A name that stands by another's point would be read as that one's, and so would one led over it; but what
        # matters most is led out of the thickest crowd.
        others = [] if name.rank > 1 else [box for k, boxes in enumerate(marks) if k != i for box in boxes]
        ground = Ground(
            np.concatenate([taken, np.delete(near, i, axis=0)]), np.concatenate([written, _corners(others)]), inside
        )
        text = _annotate(axes, name, Place(0, 0, "left", "bottom", False))
        size = text.get_window_extent(renderer)
        text.remove()
        at = _at(axes, name)
        place, clash = _best(_places(name), at, size, scale, ground)
        if clash <= 1 or name.rank > 2:
            _annotate(axes, name, place)
            new = _corners([_box(place, at, size, scale), *_leader(place, at, scale)])
            written, taken = np.concatenate([written, new]), np.concatenate([taken, new])


def plain(text: str) -> str:
    """A name in one line of moderate length, with nothing in it that does not show: many a program that draws an SVG
    takes none with control characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _places(name: Name) -> Iterator[Place]:
    """Around the point, the nearest first."""
    close = name.reach + GAP
    for angle in sorted(_NEAR, key=lambda angle: _ORDER.get(angle, 4)):
        yield _place(angle, close * (1.3 if angle % 90 else 1), False)
    for distance in _DISTANCES if name.rank > 1 else _DISTANCES[:3]:
        for angle in sorted(_FAR, key=lambda angle: (_ORDER.get(angle, 4), abs(angle - 180) < 90)):
            yield _place(angle, distance + name.reach, True)


def _place(angle: int, distance: float, led: bool) -> Place:
    across, up = round(math.cos(math.radians(angle)), 9), round(math.sin(math.radians(angle)), 9)
    ha = "left" if across > 0 else "right" if across < 0 else "center"
    va = "bottom" if up > 0 else "top" if up < 0 else "center"
    return Place(distance * across, distance * up, ha, va, led)


def _best(
    places: Iterator[Place], at: tuple[float, float], size: Bbox, scale: float, ground: Ground
) -> tuple[Place, float]:
    """The first place that is free, else the one that clashes least, and by how many square pixels."""
    best: tuple[Place, float] | None = None
    for place in places:
        box = _box(place, at, size, scale)
        clash = _overlap(box, ground.taken) + box.width * box.height - _overlap(box, ground.inside)
        clash += sum(_overlap(part, ground.crossed) for part in _leader(place, at, scale))
        if best is None or clash < best[1]:
            best = (place, clash)
        if clash < 1e-6:
            break
    assert best is not None
    return best


def _box(place: Place, at: tuple[float, float], size: Bbox, scale: float) -> Bbox:
    x, y = at[0] + scale * place.dx, at[1] + scale * place.dy
    left = x - size.width * {"left": 0.0, "center": 0.5, "right": 1.0}[place.ha]
    low = y - size.height * {"bottom": 0.0, "center": 0.5, "top": 1.0}[place.va]
    return Bbox.from_bounds(left, low, size.width, size.height)


def _leader(place: Place, at: tuple[float, float], scale: float) -> list[Bbox]:
    """Small boxes along the line from a point to its name."""
    end = at[0] + scale * place.dx, at[1] + scale * place.dy
    return _segment(at, end) if place.led else []


def _annotate(axes: Axes, name: Name, place: Place) -> Annotation:
    return axes.annotate(
        plain(name.text), (name.x, name.y), (place.dx, place.dy), textcoords="offset points", fontsize=8,
        ha=place.ha, va=place.va, parse_math=False, zorder=5,
        arrowprops={"arrowstyle": "-", "color": "0.4", "lw": 0.6, "shrinkB": name.reach} if place.led else None,
    )  # fmt: skip


def _at(axes: Axes, name: Name) -> tuple[float, float]:
    x, y = axes.transData.transform((name.x, name.y))
    return float(x), float(y)


def _marks(axes: Axes, name: Name, scale: float) -> list[Bbox]:
    x, y = _at(axes, name)
    bar = float(axes.transData.transform((name.x, name.y + name.bar))[1]) - y
    reach = scale * name.reach
    return [_around(x, y, reach, reach), _around(x, y, 4, bar)]


def _around(x: float, y: float, width: float, height: float) -> Bbox:
    return Bbox.from_extents(x - width, y - height, x + width, y + height)


def _along(axes: Axes, xs: Sequence[float], ys: Sequence[float]) -> list[Bbox]:
    """Small boxes along a line."""
    points = axes.transData.transform(np.column_stack([xs, ys]))
    return [box for a, b in itertools.pairwise(points) for box in _segment(a, b)]


def _segment(a: Sequence[float], b: Sequence[float]) -> list[Bbox]:
    steps = max(2, int(math.dist(a, b) / 5))
    return [_around(x, y, 2, 2) for x, y in np.linspace(a, b, steps)]


def _corners(boxes: Sequence[Bbox]) -> NDArray[np.float64]:
    return np.array([box.extents for box in boxes], float).reshape(-1, 4)


def _overlap(box: Bbox, others: NDArray[np.float64]) -> float:
    """The area that a box shares with others, all together."""
    width = np.minimum(box.x1, others[:, 2]) - np.maximum(box.x0, others[:, 0])
    height = np.minimum(box.y1, others[:, 3]) - np.maximum(box.y0, others[:, 1])
    return float((np.maximum(width, 0) * np.maximum(height, 0)).sum())
