"""Pictures of the coefficient search: the triangle of shares, the scaling plot, the drift. Results in, figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.pictures.labels import plain
from experiments.tables.curves import Measured
from experiments.wording import in_units
from nas.evaluation import ACCURACY
from scaling_search.analysis import Analysis, Trainings
from scaling_search.coefficients import EFFICIENTNET
from scaling_search.drift import Drift
from scaling_search.size_drift import SizeDrift
from scaling_search.surface.region import lattice_nodes
from scaling_search.surface.triangle import Floats

STYLES = {
    "depth only": ("C0", "^"),
    "width only": ("C1", "s"),
    "resolution only": ("C2", "D"),
    "dWr": ("C4", "P"),
    "compound": ("C3", "o"),
}
_WORDS = {"dWr": "dWr (Dollár et al. 2021)", "compound": "the coefficients found"}
_BORDER = "C1"
_BLUR = 0.03
_SHADES = 12
_EDGES = (
    ("depth", (-4, 0), "right", "center"),
    ("width", (0, -4), "center", "top"),
    ("resolution", (4, 0), "left", "center"),
)
"""Where the values of a share stand: beside the edge that its lines begin at, shifted by points of the page."""
_CORNERS = np.array([[0.5, np.sqrt(0.75)], [0.0, 0.0], [1.0, 0.0]])


def triangle_plot(trainings: Trainings, analysis: Analysis, of: str, *, metric: str = ACCURACY) -> Figure:
    """Accuracy over the shares: the surface that was fitted to the trainings, the trained points, the optimum and its
    region.

    Colours are points of accuracy, or of another metric (hundredths), relative to the top of the surface. of: data and
    trainings, metric: both for people.
    """
    trained = trainings.trained()
    figure = Figure(figsize=(7.2, 6.2), layout="constrained")
    axes = figure.add_subplot()
    at = _xy(trained.shares)
    x, y = _xy(lattice_nodes()).T
    surface = 100 * (analysis.surface - analysis.surface.max())
    relative = _relative(surface, trained.shares, 100 * np.nanmean(trained.accuracy, axis=1))
    low = min(surface.min(), relative.min())
    high = max(surface.max(), relative.max(), low + 1e-6)
    levels = MaxNLocator(_SHADES, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    low, high = levels[0], levels[-1]
    shades = axes.tricontourf(x, y, surface, levels=levels, cmap="viridis", alpha=0.85)
    axes.scatter(
        at[:, 0], at[:, 1], c=relative, cmap="viridis", vmin=low, vmax=high, s=60, edgecolor="white", linewidth=1.2,
        zorder=3, label=f"as measured: {len(at)} networks, {analysis.trainings} trainings",
    )  # fmt: skip
    _outline_region(axes, analysis)
    axes.plot(*_xy(np.array(analysis.shares)), "*", color="white", markeredgecolor="black", markersize=19, zorder=5,
              label="expected optimum", linestyle="none")  # fmt: skip
    axes.plot(*_xy(np.array(EFFICIENTNET.shares)), "X", color="C3", markeredgecolor="black", markersize=11, zorder=4,
              label=f"EfficientNet's {EFFICIENTNET}", linestyle="none")  # fmt: skip
    _frame(axes)
    above = f"val {plain(metric)} minus the best of the fitted surface, points"
    figure.colorbar(shades, ax=axes, shrink=0.75, label=above)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9, markerscale=0.8)
    figure.suptitle(_title(analysis, of), fontsize=10, parse_math=False)  # wider than the triangle beside its scale
    return figure


def scaling_plot(lines: Mapping[str, Sequence[Measured]], of: str, *, metric: str = ACCURACY) -> Figure:
    """Accuracy on val, or another metric, against cost for each way to scale, with bars of one standard error where
    there are several trainings of a network. of: data and trainings, metric: both for people."""
    figure = Figure(figsize=(6.8, 4.8), layout="constrained")
    axes = figure.add_subplot()
    for index, (name, networks) in enumerate(lines.items()):
        ordered = sorted(networks, key=lambda network: network.macs)
        colour, marker = STYLES.get(name, (f"C{5 + index}", "v"))
        errors = [np.nan if n.spread is None else 100 * n.spread / n.n**0.5 for n in ordered]
        axes.errorbar([n.macs for n in ordered], [100 * n.accuracy for n in ordered],
                      yerr=None if np.isnan(errors).all() else errors, color=colour,
                      marker=marker, capsize=3, label=plain(_WORDS.get(name, name)), linewidth=1.4)  # fmt: skip
    axes.set_xscale("log", base=2)
    longest = max(lines.values(), key=len)
    axes.set_xticks([n.macs for n in longest], [in_units(n.macs, giga=" B", kilo=" K") for n in longest])
    axes.set_xlabel("FLOPs (multiply-adds)")
    axes.set_ylabel(f"val {plain(metric)}, %")
    axes.grid(alpha=0.3)
    for text in axes.legend(frameon=False).get_texts():
        text.set_parse_math(False)
    counts = sorted({network.n for networks in lines.values() for network in networks})
    n = " to ".join(str(count) for count in dict.fromkeys([counts[0], counts[-1]]))
    bars = f"bars: one standard error, n = {n}" if counts[-1] > 1 else "one training each"
    title = f"{of}: one network scaled in several ways\n({bars})"
    axes.set_title(title, fontsize=11, parse_math=False)
    return figure


def drift_plot(moved: Drift, analyses: Mapping[int, Analysis], of: str) -> Figure:
    """The share of each dimension at the optimum against the length of the trainings, with 90 % intervals. of: the
    data, for people."""
    lengths = sorted(analyses)
    ends = np.array([[_share_interval(analyses[epochs], i) for i in range(3)] for epochs in lengths])
    shares = np.array([analyses[epochs].shares for epochs in lengths])
    figure, axes = _shares_plot(lengths, shares, ends[..., 0], ends[..., 1], join=moved.moves)
    if moved.extrapolated is not None:
        for index, share in enumerate(moved.extrapolated):
            axes.plot([lengths[-1], moved.target], [shares[-1, index], share], ":", color=f"C{index}")
    axes.set_xticks(lengths, [str(epochs) for epochs in lengths])
    axes.set_xlabel("epochs per training")
    axes.set_ylabel("best share of a doubling of cost (sum: 1)")
    dotted = "" if moved.extrapolated is None else f"; dotted: extrapolated to {moved.target} epochs"
    title = f"{of}: the best shares by length of training: {_finding(moved.moves)}\n(bars: 90 % intervals{dotted})"
    axes.set_title(title, fontsize=11, parse_math=False)
    return figure


def size_drift_plot(moved: SizeDrift, of: str) -> Figure:
    """The share of each dimension in the growth from the baseline, at its best, against the cost, with 90 % intervals.
    of: the data, for people."""
    costs = [2**best.phi for best in moved.best]
    shares, low, high = (np.array([getattr(best, name) for best in moved.best]) for name in ("shares", "low", "high"))
    figure, axes = _shares_plot(costs, shares, low, high, join=moved.moves)
    axes.set_xticks(costs, [f"{cost:g}x" for cost in costs])
    axes.set_xlabel("cost, times the baseline's")
    axes.set_ylabel("best share of the growth (sum: 1)")
    title = f"{of}: the best shares by size of the network: {_finding(moved.moves)}\n(bars: 90 % intervals)"
    axes.set_title(title, fontsize=11, parse_math=False)
    return figure


def _shares_plot(at: Sequence[float], shares: Floats, low: Floats, high: Floats, *, join: bool) -> tuple[Figure, Axes]:
    """Three shares at each of the m places: shares, low, high (m, 3). join: by lines."""
    figure = Figure(figsize=(6.0, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for index, name in enumerate(("depth", "width", "resolution")):
        errors = [shares[:, index] - low[:, index], high[:, index] - shares[:, index]]
        shift = 1 + 0.02 * (index - 1)
        axes.errorbar([place * shift for place in at], shares[:, index], yerr=np.maximum(errors, 0), marker="o",
                      capsize=3, color=f"C{index}", label=name, ls="-" if join else "none")  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    return figure, axes


def _finding(moves: bool) -> str:
    return "they move" if moves else "no measurable change"


def _xy(shares: Floats) -> Floats:
    """Depth on top, width at the lower left, resolution at the lower right."""
    points: Floats = shares @ _CORNERS
    return points


def _relative(surface: Floats, trained_shares: Floats, means: Floats) -> Floats:
    """Mean accuracies of the points on the surface's scale: their common level is the surface's at them."""
    nodes = lattice_nodes()
    nearest = ((trained_shares[:, None] - nodes[None]) ** 2).sum(axis=-1).argmin(axis=1)
    level: Floats = means - (means - surface[nearest]).mean()
    return level


def _outline_region(axes: Axes, analysis: Analysis) -> None:
    """The region, hatched, and its border as a smooth line around the same area: half a cell is no finding."""
    nodes = lattice_nodes()
    held = {tuple(row) for row in np.round(analysis.region.shares, 6)}
    member = np.array([tuple(row) in held for row in np.round(nodes, 6)], dtype=float)
    near = np.exp(-0.5 * ((nodes[:, None] - nodes[None]) ** 2).sum(axis=-1) / _BLUR**2)
    smooth = near @ member / near.sum(axis=1)
    if not member.all():
        level = np.sort(smooth)[-int(member.sum())]
        x, y = _xy(nodes).T
        axes.tricontour(x, y, smooth, levels=[level], colors=_BORDER, linewidths=2)
        inside = axes.tricontourf(x, y, smooth, levels=[level, smooth.max() + 1], colors="none", hatches=["//"])
        inside.set_edgecolor(_BORDER)
        inside.set_linewidth(0)
        axes.fill([], [], facecolor="none", edgecolor=_BORDER, hatch="//", linewidth=2,
                  label="90 % region of the optimum")  # fmt: skip


def _frame(axes: Axes) -> None:
    outline = np.vstack([_CORNERS, _CORNERS[:1]])
    axes.plot(*outline.T, color="black", linewidth=1)
    for tenth in (0.2, 0.4, 0.6, 0.8):
        for first, second in ((0, 1), (1, 2), (2, 0)):
            third = 3 - first - second
            ends = np.zeros((2, 3))
            ends[:, third] = tenth
            ends[0, first] = ends[1, second] = 1 - tenth
            axes.plot(*_xy(ends).T, color="black", linewidth=0.4, alpha=0.35)
            name, shift, ha, va = _EDGES[third]
            axes.annotate(f"{100 * tenth:.0f} % {name}", tuple(_xy(ends[0])), shift, textcoords="offset points",
                          ha=ha, va=va, fontsize=7, color="0.4")  # fmt: skip
    axes.text(0.5, 0.885, "all to depth\n(alpha = 2)", ha="center", va="bottom")
    axes.text(-0.02, -0.03, "all to width\n(beta = 1.41)", ha="center", va="top")
    axes.text(1.02, -0.03, "all to resolution\n(gamma = 1.41)", ha="center", va="top")
    axes.set_xlim(-0.12, 1.12)
    axes.set_ylim(-0.12, 1.0)
    axes.set_aspect("equal")
    axes.axis("off")


def _title(analysis: Analysis, of: str) -> str:
    c, ends = analysis.coefficients, analysis.intervals
    parts = [
        f"{what} x{value:.2f} ({ends[name].low:.2f} to {ends[name].high:.2f})"
        for what, name, value in (
            ("depth", "alpha", c.depth), ("width", "beta", c.width), ("resolution", "gamma", c.resolution),
        )
    ]  # fmt: skip
    return f"{of}: how to spend a doubling of cost (90 % intervals)\n{', '.join(parts)}"


def _share_interval(analysis: Analysis, index: int) -> tuple[float, float]:
    interval = tuple(analysis.intervals.values())[index]
    power = (1, 2, 2)[index]
    return power * float(np.log2(interval.low)), power * float(np.log2(interval.high))
