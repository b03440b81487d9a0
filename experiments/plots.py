"""The frontier as a picture: points in, a matplotlib figure out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import Bbox

from experiments.frontier import FrontierPoint
from nas.pareto import pareto_front


class Style(NamedTuple):
    """How points of one role look; size in square points."""

    marker: str
    color: str
    size: float


_STYLE = {
    "baseline": Style("*", "#c1272d", 190),
    "family": Style("o", "#c1272d", 55),
    "candidate": Style("X", "#e08a8d", 40),
    "reference": Style("D", "#1f4e79", 45),
    "published": Style("o", "0.45", 30),
}
_LEGEND = {
    "baseline": "baseline",
    "family": "its family, scaled by phi",
    "candidate": "other candidates of the search",
    "reference": "known networks, trained the same way",
    "published": "published: ImageNet, each paper's own training",
}
_FADED = 0.35
# Where a label may stand around its point, in points of the page; the first free place is taken.
_BESIDE_A_LINE = [(9, -9), (-9, 9)]  # families rise
_PLACES = [(9, 0), (-9, 0), (0, 9), (0, -9), (9, 9), (-9, 9), (9, -9), (-9, -9), (0, 20), (0, -20), (14, 18), (-14, 18),
           (14, -18), (-14, -18), (0, 31), (0, -31), (30, 0), (-30, 0)]  # fmt: skip


def frontier_figure(points: Sequence[FrontierPoint], title: str = "") -> Figure:
    """Accuracy (percent) against FLOPs (multiply-adds, log axis).

    Error bars are one standard deviation over seeds where n > 1; the Pareto front over all points is a grey line and
    what it dominates is faded; the family is joined by a line. Published points are hollow and take part in neither
    front nor checks. Raises ValueError when there is no point, or when the
    points differ in data, split, epochs or recipe, since these do not compare.
    """
    measured = [point for point in points if point.role != "published"]
    if not measured:
        raise ValueError("no points to plot")
    protocols = {(point.data, point.split, point.epochs, point.recipe) for point in measured}
    if len(protocols) > 1:
        listed = "; ".join(f"{d} {s}, {e} epochs of {r}" for d, s, e, r in sorted(protocols))
        raise ValueError(f"points measured differently do not share an axis: {listed}")
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    FigureCanvasAgg(figure)  # measures texts
    axes = figure.add_subplot()
    front = [measured[i] for i in pareto_front([p.macs for p in measured], [p.accuracy for p in measured])]
    axes.plot(
        [point.macs for point in front], [100 * point.accuracy for point in front],
        color="0.65", linewidth=6, alpha=0.45, zorder=1, solid_capstyle="round",
    )  # fmt: skip
    _draw_family(axes, points)
    for role in _STYLE:
        _draw_role(axes, role, [(point, point in front) for point in points if point.role == role])
    _decorate(axes, points, measured, title)
    figure.draw_without_rendering()
    _label(axes, [point for point in points if point.role != "candidate"])
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix, the same bytes for the same figure."""
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    with rc_context({"svg.hashsalt": "scalenas"}):  # else ids in the file are random
        figure.savefig(path, dpi=150, metadata=metadata)


def _draw_family(axes: Axes, points: Sequence[FrontierPoint]) -> None:
    for run in sorted({point.run for point in points}):
        family = [p for p in points if p.run == run and p.role in ("family", "baseline")]
        family.sort(key=lambda point: point.macs)
        if len(family) > 1:
            axes.plot([p.macs for p in family], [100 * p.accuracy for p in family], color="#c1272d", lw=1.4, zorder=2)


def _draw_role(axes: Axes, role: str, points: Sequence[tuple[FrontierPoint, bool]]) -> None:
    style = _STYLE[role]
    for point, leads in points:
        alpha = 1.0 if leads or role == "published" else _FADED
        if point.n > 1:
            axes.errorbar(
                point.macs, 100 * point.accuracy, 100 * point.std,
                color=style.color, alpha=alpha, capsize=3, lw=1, zorder=3,
            )  # fmt: skip
        axes.scatter(
            point.macs, 100 * point.accuracy, marker=style.marker, s=style.size, color=style.color,
            alpha=alpha, zorder=4, linewidths=1 if role == "published" else 0,
            facecolors="none" if role == "published" else style.color,
        )  # fmt: skip


def _decorate(axes: Axes, points: Sequence[FrontierPoint], measured: Sequence[FrontierPoint], title: str) -> None:
    first = measured[0]
    axes.set_xscale("log")
    low, high = min(p.macs for p in points), max(p.macs for p in points)
    axes.set_xlim(low / 1.35, high * 1.35)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / 1.35, high * 1.35)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("FLOPs (multiply-adds)")
    axes.set_ylabel(f"{first.split} accuracy, %")
    seeds = sorted({point.n for point in measured})
    many = f"mean ± standard deviation, n = {seeds[0] if len(seeds) == 1 else f'{seeds[0]}-{seeds[-1]}'} seeds"
    how = f"{first.data}, epochs: {first.epochs}, {many if seeds[-1] > 1 else 'one seed each'}"
    axes.set_title(f"{title}\n{how}" if title else how, fontsize=10, loc="left", parse_math=False)
    axes.grid(True, which="major", color="0.92")
    axes.set_axisbelow(True)
    axes.margins(y=0.16)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(handles=_legend(points), loc="lower right", frameon=True, framealpha=0.9, edgecolor="0.85", fontsize=8)


def _legend(points: Sequence[FrontierPoint]) -> list[Line2D]:
    """Full-strength markers of the roles there are, whatever is faded in the picture."""
    front = Line2D([], [], color="0.65", lw=6, alpha=0.45, label="Pareto front")
    roles = [role for role in _STYLE if any(point.role == role for point in points)]
    markers = [
        Line2D(
            [],
            [],
            color=_STYLE[role].color,
            marker=_STYLE[role].marker,
            markersize=_STYLE[role].size ** 0.5,
            lw=1.4 if role == "family" else 0,
            markeredgewidth=1 if role == "published" else 0,
            markerfacecolor="none" if role == "published" else _STYLE[role].color,
            label=_LEGEND[role],
        )
        for role in roles
    ]
    return [front, *markers]


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two bounds, few enough not to touch."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) <= 8:
            break
    return ticks


def _label(axes: Axes, points: Sequence[FrontierPoint]) -> None:
    """Names beside points, moved around them until they cover neither each other nor a point nor the legend."""
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    legend = axes.get_legend()
    taken = [legend.get_window_extent(renderer)] if legend is not None else []
    near: list[Bbox] = []
    for point in points:
        x, y = axes.transData.transform((point.macs, 100 * point.accuracy))
        bar = axes.transData.transform((point.macs, 100 * (point.accuracy + point.std)))[1] - y
        taken += [Bbox.from_extents(x - 6, y - 6, x + 6, y + 6), Bbox.from_extents(x - 4, y - bar, x + 4, y + bar)]
        # A name that stands this close to another's point would be read as that one's.
        near.append(Bbox.from_extents(x - 20, y - 9, x + 20, y + 9))
    inside = axes.get_window_extent(renderer)
    for point in sorted(points, key=lambda p: -p.accuracy):
        best = None
        others = taken + [box for other, box in zip(points, near, strict=True) if other is not point]
        for dx, dy in _BESIDE_A_LINE + _PLACES if point.role in ("baseline", "family") else _PLACES:
            text = axes.annotate(
                point.label, (point.macs, 100 * point.accuracy), (dx, dy), textcoords="offset points", fontsize=8,
                ha="center" if dx == 0 else ("left" if dx > 0 else "right"),
                va="center" if dy == 0 else ("bottom" if dy > 0 else "top"), parse_math=False, zorder=5,
                arrowprops={"arrowstyle": "-", "color": "0.6", "lw": 0.6} if abs(dx) + abs(dy) > 19 else None,
            )  # fmt: skip
            box = text.get_window_extent(renderer)
            clash = sum(_overlap(box, other) for other in others) + (box.width * box.height - _overlap(box, inside))
            if best is None or clash < best[0]:
                if best is not None:
                    best[1].remove()
                best = (clash, text, box)
            else:
                text.remove()
            if clash == 0:
                break
        if best is not None:
            taken.append(best[2])


def _overlap(a: Bbox, b: Bbox) -> float:
    shared = Bbox.intersection(a, b)
    return 0.0 if shared is None else float(shared.width * shared.height)


def _short(macs: float) -> str:
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if macs >= unit:
            return f"{macs / unit:g}{name}"
    return f"{macs:g}"
