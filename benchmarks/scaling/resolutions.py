"""What a network gains by more pixels: where maps are rounded up, more of the cost than of the accuracy.

    python -m benchmarks.scaling.resolutions run DATA ARCH --resolutions 24,26,28 --cache DIR [--images N] --epochs 4
    python -m benchmarks.scaling.resolutions table

`run` trains ARCH, an architecture's file or a run folder, at each resolution and seed, measured on val; each training
is a row of benchmarks/results/resolutions.csv, and a second call goes on. `table` gives, for each resolution, the
cost, what of it is wasted (scaling_search.matching.Baseline.wasted, in doublings), the mean accuracy with its standard
deviation, and how far that is above the line, over the logarithm of the cost, between the neighbours that all strides
divide.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from experiments.run.naming import load_arch
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.pool.slots import keep_memory
from nas.training.proxy import ProxyEvaluator
from scaling_search.matching import Baseline

RESULTS = Path(__file__).parents[1] / "results" / "resolutions.csv"
FIELDS = ("data", "network", "images", "epochs", "resolution", "macs", "wasted", "seed", "accuracy")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data")
    parser.add_argument("arch")
    parser.add_argument("--resolutions", required=True, help="pixels, separated by commas")
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=3)


def run(options: argparse.Namespace) -> None:
    keep_memory()
    arch = load_arch(options.arch)
    dataset = open_dataset(options.data, options.cache, train_images=options.images)
    evaluator = ProxyEvaluator(dataset, threads=1)
    baseline = Baseline(arch, dataset.num_classes)
    case = (dataset.name.rpartition("/")[2], Path(options.arch).stem, str(dataset.counts["train"]), str(options.epochs))
    done = {(*(row[name] for name in FIELDS[:5]), row["seed"]) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for pixels in map(int, options.resolutions.split(",")):
            if (*case, str(pixels), str(seed)) in done:
                continue
            sized = replace(arch, resolution=pixels)
            outcome = evaluator.evaluate(Request(sized, Fidelity(options.epochs), seed), "cpu", lambda _, __: True)
            value = "" if outcome.value is None else f"{outcome.value:.5f}"
            counted = (baseline.count(sized), f"{baseline.wasted(pixels):.3f}")
            append_row(RESULTS, FIELDS, (*case, pixels, *counted, seed, value))
            print(*case, pixels, *counted, seed, value, flush=True)


def table() -> None:
    cases: dict[tuple[str, ...], dict[int, list[dict[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for row in filter(lambda row: row["accuracy"], read_rows(RESULTS)):
        cases[tuple(row[name] for name in FIELDS[:4])][int(row["resolution"])].append(row)
    print("| data, network, images, epochs | pixels | M MACs | wasted | accuracy (sd), n | above the line |")
    print("|---|---|---|---|---|---|")
    for case, sizes in cases.items():
        costs = {pixels: int(rows[0]["macs"]) for pixels, rows in sizes.items()}
        values = {pixels: [100 * float(row["accuracy"]) for row in rows] for pixels, rows in sizes.items()}
        means = {pixels: statistics.mean(found) for pixels, found in values.items()}
        whole = [pixels for pixels, rows in sizes.items() if abs(float(rows[0]["wasted"])) < 0.001]
        for pixels in sorted(sizes):
            found = values[pixels]
            spread = f" ({statistics.stdev(found):.1f})" if len(found) > 1 else ""
            print(
                f"| {', '.join(case)} | {pixels} | {costs[pixels] / 1e6:.2f} | {float(sizes[pixels][0]['wasted']):.2f} "
                f"| {means[pixels]:.1f}{spread}, {len(found)} | {_above(pixels, whole, costs, means)} |"
            )


def _above(pixels: int, whole: list[int], costs: dict[int, int], means: dict[int, float]) -> str:
    below, beyond = [side for side in whole if side < pixels], [side for side in whole if side > pixels]
    if pixels in whole or not below or not beyond:
        return ""
    low, high = max(below), min(beyond)
    place = math.log(costs[pixels] / costs[low]) / math.log(costs[high] / costs[low])
    return f"{means[pixels] - (means[low] + place * (means[high] - means[low])):+.1f}"


if __name__ == "__main__":
    run_or_table("scaling.resolutions", __doc__, arguments, run, table)
