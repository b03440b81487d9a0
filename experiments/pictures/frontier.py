"""The frontier as a picture: points in, a matplotlib figure out."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from experiments.pictures.labels import Name, plain, write_names
from experiments.records import MemberForecast
from experiments.tables.frontier import (
    AXES,
    OVERLAID,
    SAME_COST,
    Axis,
    FrontierPoint,
    known_curves,
    measured_points,
    protocol,
)
from experiments.terminal import printable
from experiments.wording import drawn_name, in_units, measured_by
from nas.pareto import knee, pareto_front


class Style(NamedTuple):
    """How points of one role look, and what the legend says of them; size in square points."""

    marker: str
    color: str
    size: float
    legend: str
    hollow: bool = False


_STYLE = {
    "baseline": Style("*", "#c1272d", 190, "this run's network (the baseline of its family)"),
    "family": Style("o", "#c1272d", 55, "its family: phi doublings of the cost"),
    "candidate": Style("X", "#e08a8d", 40, "other candidates of the search"),
    "rival": Style("s", "#8a6d1f", 45, "this run's network scaled in other ways"),
    "reference": Style("D", "#1f4e79", 45, "known networks scaled to the cost, trained the same way"),
    "given": Style("h", "#2a7f7f", 55, "given: files and networks of other runs"),
    "pretrained": Style("P", "#5b3a8e", 55, "pretrained elsewhere, fine-tuned here"),
    "distilled": Style("v", "#c1272d", 55, "distilled: trained to imitate a teacher, too"),
    "published": Style("o", "0.45", 30, "published: ImageNet, each paper's own training", True),
    "own": Style("^", "#2f7d4f", 42, "own points", True),
}
Line = tuple[list[float], list[float]]
"""Where a line goes: its xs and its ys."""
Runs = dict[str, tuple[str, Any]]
"""Colour and line of each run."""
_RUNS: tuple[tuple[str, Any], ...] = (("#b5121b", "-"), ("#1f4e79", "--"), ("#5b9a3c", ":"), ("#d08a1e", "-."))
"""Where there are several runs they are told apart by lightness and dashes, in grey too."""
_RANKS = {
    "baseline": 4,
    "family": 3,
    "rival": 1,
    "reference": 1,
    "given": 1,
    "pretrained": 2,
    "distilled": 2,
    "published": 1,
    "own": 1,
    "candidate": 0,
}
_GROWN = ("baseline", "family")
_FADED = 0.35
_INT8, _FRAME = "#d08a1e", 130
_RING = 330
_EXPECTED = Line2D([], [], color=_STYLE["family"].color, alpha=0.15, lw=9, solid_capstyle="butt",
               label="forecast for the family, by short trainings, 90 %")  # fmt: skip
_LEAST_PAD = 1.13
"""Of the cost beside the points, as a factor: with it on both sides even one point has two ticks."""


def frontier_figure(
    points: Sequence[FrontierPoint], title: str = "", x: str = "macs", expected: Sequence[MemberForecast] = ()
) -> Figure:
    """Accuracy (percent) against a cost (log axis): x is a key of frontier.AXES. Where the accuracy in int8 is known, a
    frame shows it, joined to the point by a line.

    Error bars are one standard deviation over seeds where n > 1; the Pareto front over all points, of which costs that
    differ by 5 % or less count as the same, is a grey line where it has several, and what it dominates of others than
    the baseline and its family is then faded; a ring marks the front's knee; each family is joined by a line, and where
    several runs have one their colours tell them apart; a known network at several costs is joined by a dotted line.
    expected: what was forecast for the family, pale bars against MACs.
    Published points and the user's own are hollow and take part in neither front nor checks. Raises ValueError when
    there is no point with this cost, or when the points differ in data, split, epochs or recipe, since these do not
    compare.
    """
    axis = AXES[x]
    points = [point for point in points if axis.of(point) is not None]
    measured = measured_points(points)
    if not measured:
        raise ValueError(f"no points to plot against {axis.label}")
    protocols = {protocol(point) for point in measured}
    if len(protocols) > 1:
        listed = "; ".join(f"{d} {s}, {e} epochs of {r}" for d, s, e, r in sorted(protocols))
        raise ValueError(f"points measured differently do not share an axis: {listed}")
    figure = Figure(figsize=(8, 6.2), layout="constrained")
    FigureCanvasAgg(figure)  # measures texts
    axes = figure.add_subplot()
    costs, values = [_cost(axis, p) for p in measured], [p.accuracy for p in measured]
    front = [measured[i] for i in pareto_front(costs, values, SAME_COST)]
    axes.plot(*_line(axis, front), color="0.65", linewidth=6, alpha=0.45, zorder=1, solid_capstyle="round")
    if x == "macs" and expected:
        _draw_expected(axes, expected)
    runs = _runs(measured)
    lines = [*_draw_families(axes, axis, measured, runs), *_draw_known(axes, axis, measured)]
    top = knee(costs, values, SAME_COST)
    faded = [point for point in points if point not in front] if len(front) > 1 else []
    for role in _STYLE:
        _draw_role(axes, axis, role, [(point, point in faded) for point in points if point.role == role], runs)
    in_int8 = _draw_int8(axes, axis, measured)
    if top is not None:
        at = costs[top], 100 * values[top]
        axes.scatter(*at, s=_RING, facecolors="none", edgecolors="0.25", linewidths=1, zorder=4.9)
    _decorate(axes, axis, points, measured, title)
    extra = [_EXPECTED] if x == "macs" and expected else []
    _legend(figure, points, runs, has_front=len(front) > 1, has_knee=top is not None, extra=extra)
    figure.draw_without_rendering()
    ringed = None if top is None else measured[top]
    names = [_name(axis, point, point in front, point is ringed, runs) for point in points]
    unnamed = [point for curve in known_curves(measured, axis) for point in curve[:-1]]  # the costliest has the name
    names = [name._replace(rank=0) if point in unnamed else name for name, point in zip(names, points, strict=True)]
    write_names(axes, names, [_line(axis, front), *lines, *in_int8])
    return figure


def _cost(axis: Axis, point: FrontierPoint) -> float:
    return axis.of(point) or 0.0


def _line(axis: Axis, points: Sequence[FrontierPoint]) -> Line:
    return [_cost(axis, point) for point in points], [100 * point.accuracy for point in points]


def _runs(measured: Sequence[FrontierPoint]) -> Runs:
    """Colour and line of each run, where more than one has a baseline; else nothing."""
    names = list(dict.fromkeys(point.run for point in measured if point.role == "baseline"))
    return {name: _RUNS[i % len(_RUNS)] for i, name in enumerate(names)} if len(names) > 1 else {}


def _draw_families(axes: Axes, axis: Axis, points: Sequence[FrontierPoint], runs: Runs) -> list[Line]:
    lines = []
    for run in sorted({point.run for point in points}):
        family = [p for p in points if p.run == run and p.role in ("family", "baseline")]
        family.sort(key=lambda point: _cost(axis, point))
        if len(family) > 1:
            color, dashes = runs.get(run, ("#c1272d", "-"))
            lines.append(_line(axis, family))
            axes.plot(*lines[-1], color=color, linestyle=dashes, lw=1.4, zorder=2)
    return lines


def _draw_known(axes: Axes, axis: Axis, points: Sequence[FrontierPoint]) -> list[Line]:
    lines = [_line(axis, curve) for curve in known_curves(points, axis)]
    for line in lines:
        axes.plot(*line, color=_STYLE["reference"].color, linestyle=":", lw=1, zorder=1.5)
    return lines


def _draw_role(axes: Axes, axis: Axis, role: str, points: Sequence[tuple[FrontierPoint, bool]], runs: Runs) -> None:
    """Points that look alike are drawn together: a thousand artists would take minutes."""
    style, zorder = _STYLE[role], 4 + _RANKS[role] / 10
    alike: dict[tuple[str, float], list[FrontierPoint]] = defaultdict(list)
    for point, dominated in points:
        alpha = _FADED if dominated and role not in _GROWN + OVERLAID else 1.0
        alike[runs.get(point.run, (style.color,))[0], alpha].append(point)
    for (color, alpha), group in alike.items():
        barred = [point for point in group if point.n > 1]
        if barred:
            bars = [100 * point.std for point in barred]
            axes.errorbar(
                *_line(axis, barred), bars, color=color, alpha=alpha, capsize=3, lw=1, ls="none", zorder=zorder - 1
            )
        axes.scatter(
            *_line(axis, group), marker=style.marker, s=style.size, color=color, alpha=alpha, zorder=zorder,
            linewidths=1 if style.hollow else 0, facecolors="none" if style.hollow else color,
        )  # fmt: skip


def _draw_int8(axes: Axes, axis: Axis, measured: Sequence[FrontierPoint]) -> list[Line]:
    """What quantisation leaves of each point, as a frame, which shows even where the two are alike. Returns the lines
    that join them."""
    known = [(point, point.int8) for point in measured if point.int8 is not None]
    if not known:
        return []
    costs = [_cost(axis, point) for point, _ in known]
    before, after = [100 * point.accuracy for point, _ in known], [100 * int8 for _, int8 in known]
    axes.plot([costs, costs], [before, after], color=_INT8, lw=1.5, zorder=4.6)
    axes.scatter(costs, after, marker="s", s=_FRAME, facecolors="none", edgecolors=_INT8, linewidths=1.5, zorder=4.7)
    return [([x, x], [y, y_after]) for x, y, y_after in zip(costs, before, after, strict=True)]


def _name(axis: Axis, point: FrontierPoint, leads: bool, ringed: bool, runs: Runs) -> Name:
    # Where colours tell the runs apart the names need not.
    text = drawn_name(point.label.removeprefix(f"{point.run}: ") if point.run in runs else point.label, point.role)
    rank = max(_RANKS[point.role], 2 if leads and point.role != "candidate" else 0)
    reach = math.sqrt(_RING if ringed else _STYLE[point.role].size) / 2
    return Name(text, _cost(axis, point), 100 * point.accuracy, 100 * point.std, reach, rank)


def _decorate(
    axes: Axes, axis: Axis, points: Sequence[FrontierPoint], measured: Sequence[FrontierPoint], title: str
) -> None:
    first = measured[0]
    axes.set_xscale("log")
    low, high = min(_cost(axis, p) for p in points), max(_cost(axis, p) for p in points)
    pad = max(_LEAST_PAD, (high / low) ** 0.08)
    axes.set_xlim(low / pad, high * pad)
    axes.xaxis.set_major_locator(FixedLocator(_ticks(low / pad, high * pad)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: in_units(value, "g", giga="G", mega="M", kilo="k")))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(axis.label)
    axes.set_ylabel(f"{first.split} {plain(measured_by(first.recipe))}, %")
    seeds = sorted({point.n for point in measured})
    many = f"mean ± standard deviation, n = {seeds[0] if len(seeds) == 1 else f'{seeds[0]}-{seeds[-1]}'} seeds"
    how = f"{plain(first.data)}, epochs: {first.epochs}, {many if seeds[-1] > 1 else 'one seed each'}"
    heading = f"{printable(' '.join(title.split()))}\n{how}" if title else how
    axes.set_title(heading, fontsize=10, loc="left", parse_math=False)
    axes.grid(True, which="major", color="0.92")
    axes.set_axisbelow(True)
    axes.margins(y=0.16)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_expected(axes: Axes, expected: Sequence[MemberForecast]) -> None:
    """The intervals behind the points, which alone decide what the axes show: a forecast may be wide."""
    bars = [((member.macs, 100 * member.low), (member.macs, 100 * member.high)) for member in expected]
    color, width = _STYLE["family"].color, _EXPECTED.get_linewidth()
    axes.add_collection(
        LineCollection(bars, colors=color, alpha=_EXPECTED.get_alpha(), linewidths=width, zorder=0.5), False
    )


def _legend(
    figure: Figure,
    points: Sequence[FrontierPoint],
    runs: Runs,
    *,
    has_front: bool,
    has_knee: bool,
    extra: Sequence[Artist],
) -> None:
    """Below the axes, where it covers nothing: full-strength markers of the roles there are, then the runs."""
    handles: list[Artist] = (
        [Line2D([], [], color="0.65", lw=6, alpha=0.45, label="Pareto front (other networks below it are paler)")]
        if has_front
        else []
    )
    handles += extra
    if has_knee:
        handles.append(Line2D([], [], color="0.25", marker="o", markersize=11, markerfacecolor="none", lw=0,
                              label="its knee: beyond it cost brings less"))  # fmt: skip
    if any(point.int8 is not None for point in points):
        handles.append(Line2D([], [], color=_INT8, marker="s", markersize=8, markerfacecolor="none", lw=0,
                              label="the same weights in int8, mean"))  # fmt: skip
    for role, style in _STYLE.items():
        if any(point.role == role for point in points):
            color = "0.35" if runs and role not in OVERLAID else style.color
            handles.append(
                Line2D(
                    [], [], color=color, marker=style.marker, markersize=style.size**0.5, label=style.legend,
                    lw=1.4 if role == "family" and not runs else 0, markeredgewidth=1 if style.hollow else 0,
                    markerfacecolor="none" if style.hollow else color,
                )
            )  # fmt: skip
    handles += [
        Line2D([], [], color=color, linestyle=dashes, lw=1.8, label=plain(run)) for run, (color, dashes) in runs.items()
    ]
    legend = figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_parse_math(False)


def _ticks(low: float, high: float) -> list[float]:
    """Round values between two bounds, few enough not to touch."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    tenths = tuple(tenth / 10 for tenth in range(10, 100))
    for steps in (tenths, tenths[::2], (1, 1.5, 2, 3, 4, 5, 6, 8), (1, 2, 3, 5), (1, 2, 5), (1,)):
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) <= 8:
            break
    return ticks
