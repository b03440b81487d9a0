"""A frontier from one run or several, with published points and the user's own beside it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from experiments.errors import UserError, from_user
from experiments.pictures.frontier import frontier_figure
from experiments.pictures.save import save_figure
from experiments.report.frontier_data import frontier_data
from experiments.report.page import render
from experiments.run.folder import RunFolder
from experiments.run.latency_book import IMAGENET_CLASSES
from experiments.tables.frontier import AXES, FrontierPoint, points_csv, read_own_points, read_points
from experiments.tables.published import PublishedPoint, published_points
from nas.figures import Activations
from nas.files import replace_text
from nas.study.store import read_study
from search_spaces import ArchSpec, count_flash, count_ram

PICTURES = (".png", ".svg", ".pdf")
SUFFIXES = (*PICTURES, ".csv", ".html")
_COSTS = {
    "macs": "multiply-adds", "params": "parameters", "activations": "activations", "latency": "latencies",
    "ram": "peak RAM", "flash": "flash",
}  # fmt: skip
Measure = Callable[[Path, ArchSpec], float]
"""measure(run folder, architecture) -> milliseconds."""


def draw_frontier(
    runs: Sequence[str],
    output: Path,
    published: Sequence[str] = (),
    *,
    own: Sequence[str] = (),
    x: str = "macs",
    measure: Measure | None = None,
) -> list[FrontierPoint]:
    """The points of several runs, of published families and of CSV files, as one picture, page or table.

    x: a key of AXES. measure: called for networks of the runs whose latency is wanted and not known. Raises UserError
    for what the user can mend.
    """
    if output.suffix not in SUFFIXES:
        raise UserError(f"{output}: a frontier is written as {', '.join(SUFFIXES)}")
    if not output.parent.is_dir():
        raise UserError(f"{output}: there is no folder {output.parent}; make it first")
    archs: dict[str, ArchSpec] = {}
    points: list[FrontierPoint] = []
    for run in runs:
        own_archs = run_archs(Path(run))
        found = _run_points(run, runs)
        points += _with_figure(found, own_archs, Path(run), x, measure)
        archs |= own_archs
    for family in dict.fromkeys(published):
        points += _quoted_points(family, x)
    points += [point for file in own for point in read_own_points(Path(file))]
    with from_user(str(output)):
        if output.suffix == ".csv":
            replace_text(output, points_csv(points), durable=True)
            return points
        figure = frontier_figure(points, x=x)  # raises where points do not compare
        if output.suffix == ".html":
            title = ", ".join(RunFolder(Path(run)).name for run in runs)
            page = render({"title": f"Frontier: {title}", "frontier": frontier_data(points, archs, {}, x)})
            replace_text(output, page, durable=False)
        else:
            save_figure(figure, output)
    return points


def run_archs(run: Path) -> dict[str, ArchSpec]:
    """The networks that a run trained for its frontier, by id."""
    journal = run / "compare.journal"
    if not journal.exists():
        return {}
    with from_user():
        trials = read_study(journal, "compare").get_trials(deepcopy=False)
    return {t.user_attrs["arch_id"]: ArchSpec.from_dict(t.user_attrs["arch"]) for t in trials if "arch" in t.user_attrs}


def _run_points(run: str, runs: Sequence[str]) -> list[FrontierPoint]:
    """A run's points. Of several, runs are told apart by their folders' names, or by their paths where these are the
    same."""
    table = Path(run) / "frontier.csv"
    if not table.exists():
        raise UserError(f"{run}: has no frontier.csv yet; `scalenas run` or `scalenas compare` makes it")
    points = read_points(table)
    if len(runs) == 1:
        return points
    name = RunFolder(Path(run)).name
    label = run if [RunFolder(Path(each)).name for each in runs].count(name) > 1 else name
    return [replace(point, label=f"{label}: {point.label}", run=label) for point in points]


def _with_figure(
    points: Sequence[FrontierPoint], archs: Mapping[str, ArchSpec], run: Path, x: str, measure: Measure | None
) -> list[FrontierPoint]:
    """Points with what a frontier.csv does not hold of them: their activations, or their latency."""
    if x == "activations":
        counted = Activations(RunFolder(run).read().data.num_classes or IMAGENET_CLASSES)
        return [replace(p, activations=counted.of(archs[p.arch_id])) if p.arch_id in archs else p for p in points]
    if x == "latency" and measure is not None:
        return [replace(p, latency_ms=measure(run, archs[p.arch_id])) if p.arch_id in archs else p for p in points]
    return _counted(points, archs, run) if x in ("ram", "flash") else list(points)


def _counted(points: Sequence[FrontierPoint], archs: Mapping[str, ArchSpec], run: Path) -> list[FrontierPoint]:
    """The points of a run, with the bytes counted where its table has none yet."""
    classes = RunFolder(run).read().data.num_classes
    return [
        replace(point, ram=count_ram(arch, None, classes), flash=count_flash(arch, classes))
        if classes and point.ram is None and (arch := archs.get(point.arch_id)) is not None
        else point
        for point in points
    ]


def _quoted_points(family: str, x: str) -> list[FrontierPoint]:
    """The points of a published family whose cost is known. Raises UserError where there is none."""
    with from_user("--published"):
        quoted = [_quoted(point) for point in published_points(family)]
    quoted = [point for point in quoted if AXES[x].of(point) is not None]
    if not quoted:
        what = _COSTS[x]
        raise UserError(f"--published {family}: its {what} were not published, so it has no place; leave it out")
    return quoted


def _quoted(point: PublishedPoint) -> FrontierPoint:
    """A published figure as a point that is marked as such; its seeds and resolution are the paper's own affair."""
    return FrontierPoint(
        point.name, "published", point.source, "ImageNet", "val", 0, "published", 1, point.top1 / 100, 0.0,
        round(point.macs or 0), round(point.params or 0), 0, "",
    )  # fmt: skip
