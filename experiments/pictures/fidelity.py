"""The fidelity check as a picture: accuracy after the long training against that after each short one."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from experiments.pictures.labels import plain
from nas.evaluation import ACCURACY
from nas.rank_fidelity import Agreement, Floats, Short

_WIDTH, _HEIGHT = 4.6, 4.7  # inches of a panel


def fidelity_figure(
    agreement: Agreement,
    short: Mapping[Short, Floats],
    long: Floats,
    macs: Floats,
    *,
    title: str,
    length: str,
    metric: str = ACCURACY,
) -> Figure:
    """A panel a short training: a point a network, darker where it costs more, one standard deviation over seeds.

    short: values of the metric (n, seeds) in 0..1; long: (n, seeds) after trainings of `length`; macs (n,). length,
    metric: for people.
    """
    figure = Figure(figsize=(_WIDTH * len(short) + 0.7, _HEIGHT), layout="constrained")
    panels = figure.subplots(1, len(short), sharey=True, squeeze=False)[0]
    inherits = any(training.from_scratch for training in short)
    for axes, (training, values) in zip(panels, short.items(), strict=True):
        points = _draw(axes, values, long, macs)
        seeds = values.shape[1]
        mean = f"\nmean of {seeds} seeds" if seeds > 1 else ""
        weights = ", inherited weights" if inherits and not training.from_scratch else ""
        axes.set_xlabel(f"val {plain(metric)} after {training}{weights}, %{mean}", fontsize=9)
        judged = [each for each in agreement.stand_ins if each.training == training]
        taus = [f"tau {each.tau}, {'one seed' if each.seeds == 1 else f'{each.seeds} seeds'}" for each in judged]
        axes.set_title("\n".join(taus), fontsize=9, loc="left")
    panels[0].set_ylabel(f"val {plain(metric)} after {length}, %")
    bar = figure.colorbar(points, ax=list(panels), pad=0.02)
    bar.set_label("M MACs")
    barred = any(values.shape[1] > 1 for values in [*short.values(), long])
    bars = "\nbars: one standard deviation over seeds" if barred else ""
    free = ", ".join(f"{each.name} {each.tau}" for each in agreement.stand_ins if each.fidelity is None)
    figure.suptitle(
        f"{plain(title)}, {len(macs)} networks: Kendall's tau with the ranking after {length} [90 % interval]; "
        f"{free}{bars}",
        fontsize=9,
        parse_math=False,
    )
    return figure


def _draw(axes: Axes, short: Floats, long: Floats, macs: Floats) -> PathCollection:
    x, y = 100 * short.mean(1), 100 * long.mean(1)
    axes.errorbar(x, y, yerr=_spread(long), xerr=_spread(short), ls="none", color="0.6", lw=1, zorder=1)
    points = axes.scatter(x, y, c=macs / 1e6, cmap="cividis_r", s=42, edgecolors="0.2", linewidths=0.6, zorder=2)
    axes.grid(True, color="0.92")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return points


def _spread(values: Floats) -> Floats | None:
    """Standard deviations in percent, None where there is one seed."""
    return 100 * values.std(1, ddof=1) if values.shape[1] > 1 else None
