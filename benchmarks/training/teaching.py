"""How much of the loss a teacher should be, and how softened: temperatures and weights of distillation, on val.

    python -m benchmarks.training.teaching run DATA ARCH TEACHER --cache DIR [--epochs 10] [--weights FILE]
    python -m benchmarks.training.teaching table

ARCH: an architecture's file or a run folder; it is trained from nothing by the recipe `fast`, or from the weights of
FILE by `fine_tune`. TEACHER: a trained network of scalenas. Each training is a row of benchmarks/results/teaching.csv;
goes on where it was stopped. `alone` is the training without a teacher.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from benchmarks.training.networks import network_arguments, open_network
from experiments.run.models import load_trained
from experiments.run.teacher import taught_by
from nas.evaluation import Fidelity, Request
from nas.pool.slots import keep_memory
from nas.training.adapted import folded
from search_spaces import count_macs

RESULTS = Path(__file__).parents[1] / "results" / "teaching.csv"
FIELDS = (
    "data", "network", "macs", "images", "recipe", "epochs", "teacher", "weight", "temperature", "seed", "accuracy"
)  # fmt: skip
WAYS = ((0.0, 0.0), (0.5, 4.0), (0.5, 1.0), (0.5, 2.0), (0.9, 1.0), (0.9, 4.0))
"""Weight and temperature; none of both is the training without a teacher."""


def arguments(parser: argparse.ArgumentParser) -> None:
    network_arguments(parser)
    parser.add_argument("teacher")


def run(options: argparse.Namespace) -> None:
    keep_memory()
    teacher = load_trained(options.teacher, plain=True)
    arch, evaluator = open_network(options, teacher.record.images.size)
    dataset = evaluator.dataset
    network = f"{Path(options.arch).stem} {arch.id[:8]}"
    case = (
        dataset.name.rpartition("/")[2], network, count_macs(arch, None, dataset.num_classes),
        dataset.counts["train"], evaluator.recipe.name, options.epochs, Path(options.teacher).stem,
    )  # fmt: skip
    done = {tuple(row[name] for name in FIELDS[:10]) for row in read_rows(RESULTS)}
    if teacher.record.data.fingerprint != dataset.fingerprint:
        raise SystemExit(f"{options.teacher}: was trained on other images; it may have seen this val split")
    taught = taught_by(teacher, folded(teacher.network), evaluator)
    first = taught.objective.teacher
    assert first is not None
    for seed in range(options.seeds):
        for weight, temperature in WAYS:
            key = (*case, weight, temperature, seed)
            if tuple(map(str, key)) in done:
                continue
            used = evaluator
            if weight:
                changed = replace(first, weight=weight, temperature=temperature)
                used = replace(taught, objective=replace(taught.objective, teacher=changed))
            request = Request(arch, Fidelity(options.epochs), seed, method=used.method)
            outcome = used.evaluate(request, "cpu", lambda _, __: True)
            value = "" if outcome.value is None else f"{outcome.value:.5f}"
            append_row(RESULTS, FIELDS, (*key, value))
            print(*key, value, flush=True)


def table() -> None:
    """Mean and spread over seeds of each way, and its difference from the training alone, paired."""
    cases: dict[tuple[str, ...], dict[tuple[str, str], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in read_rows(RESULTS):
        if row["accuracy"]:
            ways = cases[tuple(row[name] for name in FIELDS[:7])]
            ways[row["weight"], row["temperature"]][row["seed"]] = 100 * float(row["accuracy"])
    for (data, network, macs, images, recipe, epochs, teacher), ways in cases.items():
        print(
            f"{data}, {images} images; {network}, {int(macs) / 1e6:.1f} M, recipe {recipe}, {epochs} epochs; "
            f"teacher {teacher}"
        )
        alone = ways[str(WAYS[0][0]), str(WAYS[0][1])]
        for (weight, temperature), values in ways.items():
            gains = [value - alone[seed] for seed, value in values.items() if seed in alone]
            spread = f" (sd {statistics.stdev(values.values()):.1f})" if len(values) > 1 else ""
            error = f" (SE {statistics.stdev(gains) / len(gains) ** 0.5:.1f})" if len(gains) > 1 else ""
            name = f"weight {weight}, temperature {temperature}" if float(weight) else "alone"
            print(
                f"  {name:28}: val {statistics.fmean(values.values()):.1f} %{spread}, n {len(values)}, "
                + (f"{statistics.fmean(gains):+.1f}{error}" if gains else "")
            )


if __name__ == "__main__":
    run_or_table("training.teaching", __doc__, arguments, run, table)
