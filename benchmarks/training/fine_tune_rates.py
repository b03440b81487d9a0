"""How fast pretrained weights should be changed: optimisers and learning rates of fine-tuning, measured on val.

    python -m benchmarks.training.fine_tune_rates run DATA NAME=FILE --resolution 96 --cache DIR [--seeds 1]
    python -m benchmarks.training.fine_tune_rates table

DATA: an image folder, of which `--images` are trained on for `--epochs` epochs. Every training begins with the weights
of FILE and a new classifier, by the recipe `fine_tune` with another optimiser and peak rate, and is measured with its
last weights on val; `scratch` is the same network by the recipe `fast` without weights. Each is a row of
benchmarks/results/fine_tune_rates.csv; goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Literal

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from experiments.run.weights.pretrained import open_pretrained
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.pool.slots import keep_memory
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import fast
from search_spaces import count_macs

RESULTS = Path(__file__).parents[1] / "results" / "fine_tune_rates.csv"
FIELDS = ("data", "network", "resolution", "macs", "images", "epochs", "way", "rate", "seed", "accuracy", "seconds")
RATES: dict[Literal["sgd", "muon"], tuple[float, ...]] = {
    "muon": (0.015, 0.005, 0.05, 0.0015),
    "sgd": (0.03, 0.01, 0.1, 0.2),
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data")
    parser.add_argument("pretrained", metavar="NAME=FILE")
    parser.add_argument("--resolution", type=int, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--images", type=int, default=1500)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)


def run(options: argparse.Namespace) -> None:
    keep_memory()
    dataset = open_dataset(options.data, options.cache, max_resolution=options.resolution, train_images=options.images)
    scratch = ProxyEvaluator(dataset, fast())
    (found,) = open_pretrained([options.pretrained], scratch)
    arch = replace(found.arch, resolution=options.resolution)
    ways = {("scratch", fast().learning_rate): replace(found.evaluator, recipe=fast(), objective=scratch.objective)}
    for optimizer, rates in RATES.items():
        for rate in rates:
            recipe = replace(found.evaluator.recipe, optimizer=optimizer, learning_rate=rate)
            ways[optimizer, rate] = replace(found.evaluator, recipe=recipe)
    network = f"{found.name} {Path(options.pretrained).stem}"
    case = (
        dataset.name.rpartition("/")[2], network, options.resolution, count_macs(arch, None, dataset.num_classes),
        dataset.counts["train"], options.epochs,
    )  # fmt: skip
    done = {tuple(row[name] for name in FIELDS[:9]) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for (way, rate), evaluator in ways.items():
            key = (*case, way, rate, seed)
            if tuple(map(str, key)) in done:
                continue
            request = Request(arch, Fidelity(options.epochs), seed, method=evaluator.method)
            start = time.perf_counter()
            outcome = evaluator.evaluate(request, "cpu", lambda _, __: True)
            value = "" if outcome.value is None else f"{outcome.value:.5f}"
            append_row(RESULTS, FIELDS, (*key, value, f"{time.perf_counter() - start:.1f}"))
            print(*key, value, flush=True)


def table() -> None:
    """Mean and spread over seeds by case and way."""
    cases: dict[tuple[str, ...], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(RESULTS):
        if row["accuracy"]:
            ways = cases[tuple(row[name] for name in FIELDS[:6])]
            ways[row["way"], row["rate"]].append(100 * float(row["accuracy"]))
    for (data, network, resolution, macs, images, epochs), ways in cases.items():
        print(f"{data}, {images} images, {epochs} epochs; {network} at {resolution} px, {int(macs) / 1e6:.1f} M")
        for (way, rate), values in ways.items():
            spread = f" (sd {statistics.stdev(values):.1f})" if len(values) > 1 else ""
            print(f"  {way:8} {rate:>7}: val {statistics.fmean(values):.1f} %{spread}, n {len(values)}")


if __name__ == "__main__":
    run_or_table("training.fine_tune_rates", __doc__, arguments, run, table)
