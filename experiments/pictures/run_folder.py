"""The pictures of a run folder, each as .png and .svg: drawn by the steps of a run, and again by `redraw`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from experiments.pictures.fidelity import fidelity_figure
from experiments.pictures.frontier import frontier_figure
from experiments.pictures.labels import plain
from experiments.pictures.save import save_figure
from experiments.pictures.scaling import drift_plot, scaling_plot, size_drift_plot, triangle_plot
from experiments.pictures.training import learning_curve
from experiments.records import ForecastRecord, TrainingRecord
from experiments.tables.curves import Measured
from experiments.tables.fidelity_table import Ranking
from experiments.tables.forecasts import held
from experiments.tables.frontier import FrontierPoint
from nas.rank_fidelity import Agreement, say_fidelity
from scaling_search import Analysis, Drift
from scaling_search.analysis import Trainings

SIZE_DRIFT = "size_drift"
SUFFIXES = (".png", ".svg")


def frontier_pictures(
    folder: Path, points: Sequence[FrontierPoint], expected: ForecastRecord | None = None
) -> list[Path]:
    """Draw the frontier; returns the files. expected: what was forecast for the family, drawn where it has
    been trained in that way. Raises ValueError as `frontier_figure` does."""
    band = () if expected is None or not held(expected, points) else expected.members
    return _save(frontier_figure(points, expected=band), folder / "frontier")


def coefficient_pictures(
    folder: Path,
    trainings: Mapping[int, Trainings],
    analyses: Mapping[int, Analysis],
    moved: Drift | None,
    *,
    data: str,
    metric: str,
) -> list[Path]:
    """Draw the triangle of the longest trainings, if they were analysed, and the drift, if there is one.

    trainings, analyses: by length in epochs. data: as in `fidelity_pictures`. metric: what was measured, in words.
    """
    written, longest = [], max(trainings)
    if longest in analyses:
        of = f"{_called(data)}, epochs: {longest}"
        figure = triangle_plot(trainings[longest], analyses[longest], of, metric=metric)
        written += _save(figure, folder / "triangle")
    if moved is not None:
        written += _save(drift_plot(moved, analyses, _called(data)), folder / "drift")
    return written


def curve_pictures(
    folder: Path, lines: Mapping[str, Sequence[Measured]], epochs: int | None, *, data: str, metric: str
) -> list[Path]:
    """Draw the scaling plot of {way: networks}. epochs: of the trainings, where that is known. data: as in
    `fidelity_pictures`. metric: what was measured, in words."""
    of = _called(data) + ("" if epochs is None else f", epochs: {epochs}")
    return _save(scaling_plot(lines, of, metric=metric), folder / "scaling")


def size_drift_pictures(folder: Path, expected: ForecastRecord | None, *, data: str) -> list[Path]:
    """Draw how the best shares change with the size, if the forecast tells; remove the picture if not. data: as in
    `fidelity_pictures`."""
    moved = None if expected is None else expected.size_drift
    if moved is not None:
        return _save(size_drift_plot(moved, _called(data)), folder / SIZE_DRIFT)
    for suffix in SUFFIXES:
        (folder / SIZE_DRIFT).with_suffix(suffix).unlink(missing_ok=True)
    return []


def training_pictures(folder: Path, trained: TrainingRecord) -> list[Path]:
    """Draw the learning curve of a full training; of a record without one nothing.

    Raises ValueError where the epoch whose weights are kept is not on the curve.
    """
    if not trained.curve:
        return []
    data = "" if trained.data is None else f"{_called(trained.data.name)}: "
    of = f"{data}one training of {trained.epochs} epochs, recipe {trained.recipe}"
    kept = len(trained.curve) if trained.weights is None else trained.weights.epoch
    if not 1 <= kept <= len(trained.curve):
        raise ValueError(f"weights of epoch {kept} are kept, the curve has {len(trained.curve)} epochs")
    return _save(learning_curve(trained.curve, kept, of, metric=trained.measured), folder / "curve")


def fidelity_pictures(folder: Path, ranking: Ranking, agreement: Agreement, data: str, *, metric: str) -> list[Path]:
    """Draw the fidelity check. data: the data set's name, or its path. metric: what was measured, in words."""
    figure = fidelity_figure(
        agreement,
        ranking.short,
        ranking.long,
        ranking.macs,
        title=Path(data).name,
        length=say_fidelity(ranking.long_fidelity),
        metric=metric,
    )
    return _save(figure, folder / "fidelity")


def _called(data: str) -> str:
    """A data set, given by its name or its path, for a title."""
    return plain(Path(data).name)


def _save(figure: Figure, stem: Path) -> list[Path]:
    files = [stem.with_suffix(suffix) for suffix in SUFFIXES]
    for file in files:
        save_figure(figure, file)
    return files
