"""A full training as a picture: what it reached on val after each epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from experiments.pictures.labels import plain
from nas.evaluation import ACCURACY


def learning_curve(curve: Sequence[float], kept: int, of: str, *, metric: str = ACCURACY) -> Figure:
    """The metric on val, in 0..1, after each epoch, and the epoch (from 1) whose weights are `kept`. of: what was
    trained on what, metric: both for people."""
    figure = Figure(figsize=(6.8, 4.2), layout="constrained")
    axes = figure.add_subplot()
    values = [100 * value for value in curve]
    axes.plot(range(1, len(values) + 1), values, color="C0", marker="o" if len(values) <= 40 else None, markersize=4)
    axes.plot([kept], [values[kept - 1]], "o", color="C3", markersize=10, fillstyle="none", markeredgewidth=2,
              label=f"weights kept: epoch {kept}, {values[kept - 1]:.1f} %")  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(f"val {plain(metric)}, %")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, loc="lower right")
    axes.set_title(of, fontsize=11, parse_math=False)
    return figure
