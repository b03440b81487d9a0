"""Which classes are taken for which: a matrix of shares."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from experiments.pictures.labels import plain

_CELL, _LEAST, _MOST = 0.42, 3.2, 14.0  # inches
_WRITTEN = 25  # more classes have no numbers in their cells
_NAMED = 60  # and more than these no names
_DARK = 0.55  # a share above which writing is white


def confusion_figure(confusion: NDArray[np.int64], classes: Sequence[str], *, title: str) -> Figure:
    """confusion (C, C): images of each class (row) that are taken for each (column). Colours are shares of the row,
    numbers are images."""
    count = len(classes)
    side = float(np.clip(_CELL * count, _LEAST, _MOST))
    figure = Figure(figsize=(side + 2.2, side + 1.6), layout="constrained")
    axes = figure.subplots()
    shares = confusion / np.maximum(1, confusion.sum(1, keepdims=True))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if count <= _WRITTEN:
        for row, column in zip(*np.nonzero(confusion), strict=True):
            colour = "white" if shares[row, column] > _DARK else "0.15"
            axes.text(column, row, str(confusion[row, column]), ha="center", va="center", color=colour, fontsize=8)
    if count <= _NAMED:
        names = [plain(name) for name in classes]
        axes.set_xticks(range(count), names, rotation=90, fontsize=8, parse_math=False)
        axes.set_yticks(range(count), names, fontsize=8, parse_math=False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("class")
    axes.set_title(title, fontsize=9, loc="left")
    figure.colorbar(image, ax=axes, pad=0.02, shrink=0.8, label="share of the class")
    return figure
