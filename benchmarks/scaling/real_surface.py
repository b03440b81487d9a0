"""The two orders of trainings of benchmarks.scaling.designs on a real surface, judged by seeds that neither saw.

    python -m benchmarks.scaling.real_surface run DATA ARCH --cache DIR --epochs 4 --seeds 15
    python -m benchmarks.scaling.real_surface table

`run` trains every network of twice the cost of ARCH, an architecture's file, at so many seeds, measured on val; each is
a row of benchmarks/results/real_surface.csv; goes on where it was stopped. `table` draws, again and again, an order of
the seeds; the first ones are for the search, by whole passes or as a search spends a budget, and the last HELD for the
judgement: the analysis of those alone, at every point, says which shares are best and what the shares found give up.
The judgement is noisy, too: its own error (how far two halves of its seeds are apart, at half as many seeds each) is
printed beside the others, and pulls their ratio towards 1. All seeds are measured on the same val images, so that what
is peculiar to those counts as true. Before that it says how far the networks' means are from the nearest quadratic
surface, with and without a slope for what each network wastes (Baseline.wasted).
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from benchmarks.scaling.designs import BUDGETS, analysed, spent
from benchmarks.scaling.simulation import Layout
from experiments.run.naming import load_arch
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.pool.slots import keep_memory
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from scaling_search import scaling_points
from scaling_search.design import seeds_of
from scaling_search.matching import Baseline
from scaling_search.surface.triangle import Floats, to_plane

RESULTS = Path(__file__).parents[1] / "results" / "real_surface.csv"
FIELDS = (
    "data", "network", "images", "epochs", "point", "depth", "width", "resolution", "cost", "wasted", "seed",
    "accuracy",
)  # fmt: skip
HELD = 6
"""Seeds that judge."""
MOST_SEEDS = seeds_of(max(BUDGETS), 21)
"""That a search takes with the largest budget."""
DRAWS = 60


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data")
    parser.add_argument("arch")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=MOST_SEEDS + HELD)


def run(options: argparse.Namespace) -> None:
    keep_memory()
    arch = load_arch(options.arch)
    dataset = open_dataset(options.data, options.cache, train_images=options.images)
    evaluator = ProxyEvaluator(dataset, fast())
    points = scaling_points(arch, "matched", num_classes=dataset.num_classes)
    baseline = Baseline(arch, dataset.num_classes)
    case = (dataset.name.rpartition("/")[2], Path(options.arch).stem, dataset.counts["train"], options.epochs)
    done = {(*(row[name] for name in FIELDS[:5]), row["seed"]) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for number, point in enumerate(points):
            if (*map(str, (*case, number)), str(seed)) in done:
                continue
            request = Request(point.arch, Fidelity(options.epochs), seed)
            outcome = evaluator.evaluate(request, "cpu", lambda _, __: True)
            value = "" if outcome.value is None else f"{outcome.value:.5f}"
            shares = (f"{share:.5f}" for share in point.shares)
            counted = (f"{point.cost:.5f}", f"{baseline.wasted(point.arch.resolution):.3f}")
            append_row(RESULTS, FIELDS, (*case, number, *shares, *counted, seed, value))
            print(*case, number, seed, value, flush=True)


def table() -> None:
    """Distance of the shares found from those of the held-back seeds, and what they give up there."""
    cases: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for row in read_rows(RESULTS):
        cases[tuple(row[name] for name in FIELDS[:4])].append(row)
    for case, rows in cases.items():
        layout, full = _grid(rows)
        print(f"{', '.join(case)} epochs: {full.shape[0]} points, {full.shape[1]} seeds, {HELD} of them held back")
        if full.shape[1] < MOST_SEEDS + HELD:
            print(f"  too few seeds: {MOST_SEEDS + HELD} are needed")
            continue
        print(f"  {_explained(rows, full)}")
        apart = [_apart(layout, full, draw) for draw in range(DRAWS)]
        print(f"  the judgement's own error: {float(np.mean(apart)) ** 0.5:.3f}")
        for budget in BUDGETS:
            found = np.array([_judged(layout, full, budget, draw) for draw in range(DRAWS)])
            mean = found.mean(axis=0)
            error = np.sqrt(mean[:, 0])
            spread = (found[:, 1] - found[:, 0]).std(axis=0, ddof=1)
            print(
                f"  {budget} trainings: error of shares {error[0]:.3f} (passes), {error[1]:.3f} (budget), ratio "
                f"{error[1] / error[0]:.2f}; given up {100 * mean[0, 1]:.2f} and {100 * mean[1, 1]:.2f} points "
                f"(standard deviation of the difference over {DRAWS} orders {100 * spread[1]:.2f})"
            )


def _grid(rows: list[dict[str, str]]) -> tuple[Layout, Floats]:
    """The points and their accuracies (points, seeds), of the seeds at which all were trained."""
    points = sorted({int(row["point"]) for row in rows})
    seeds = sorted({int(row["seed"]) for row in rows})
    full = np.full((len(points), len(seeds)), np.nan)
    for row in rows:
        full[int(row["point"]), seeds.index(int(row["seed"]))] = float(row["accuracy"] or "nan")
    first = {int(row["point"]): row for row in rows}
    shares = np.array([[float(first[i][name]) for name in ("depth", "width", "resolution")] for i in points])
    costs = np.array([float(first[i]["cost"]) for i in points])
    return Layout(shares, costs), full[:, ~np.isnan(full).any(axis=0)]


def _explained(rows: list[dict[str, str]], full: Floats) -> str:
    """How much of the networks' means a quadratic surface over the shares explains, and what they waste."""
    means = 100 * full.mean(axis=1)
    once = [row for row in rows if row["seed"] == rows[0]["seed"]]
    names = ("wasted", "width", "resolution")
    wasted, width, resolution = (np.array([float(row[name]) for row in once]) for name in names)
    one = np.ones(len(means))
    surface = (one, width, resolution, width**2, resolution**2, width * resolution)

    def left(*columns: Floats) -> tuple[float, float]:
        design = np.column_stack(columns)
        slopes = np.linalg.lstsq(design, means, rcond=None)[0]
        return float(np.sqrt(((means - design @ slopes) ** 2).sum() / (len(means) - len(columns)))), float(slopes[-1])

    error = 100 * full.std(axis=1, ddof=1).mean() / full.shape[1] ** 0.5
    alone, with_surface = left(one, wasted), left(*surface, wasted)
    return (
        f"standard deviation of the means {left(one)[0]:.2f} points, about a quadratic surface "
        f"{left(*surface)[0]:.2f}, about that and a slope for waste {with_surface[0]:.2f} ({with_surface[1]:.1f} "
        f"points a doubling), about the slope alone {alone[0]:.2f} ({alone[1]:.1f}); "
        f"a mean's standard error {error:.2f}"
    )


def _apart(layout: Layout, full: Floats, draw: int) -> float:
    """Squared distance between the shares by two halves of the seeds that judge."""
    held = np.random.default_rng(draw).permutation(full.shape[1])[-HELD:]
    first, second = (np.array(analysed(layout, full[:, half], draw).shares) for half in np.split(held, 2))
    return float(((first - second) ** 2).sum())


def _judged(layout: Layout, full: Floats, budget: int, draw: int) -> list[tuple[float, float]]:
    """Of both orders: squared distance of the shares, and accuracy given up."""
    seeds = np.random.default_rng(draw).permutation(full.shape[1])
    search, held = full[:, seeds[:-HELD]], full[:, seeds[-HELD:]]
    judge = analysed(layout, held, draw)
    best = np.array(judge.shares)
    found = []
    for kept in (layout.trained(search, budget), spent(layout, search, budget)):
        shares = np.array(analysed(layout, kept, draw).shares)
        given_up = judge.draws.median_below_peak(to_plane(shares[None]))
        found.append((float(((shares - best) ** 2).sum()), float(given_up[0])))
    return found


if __name__ == "__main__":
    run_or_table("scaling.real_surface", __doc__, arguments, run, table)
