"""What matters in a small network: variants of plain ones at equal cost, behind the default space's choices.

    python -m benchmarks.space_ablation run DATA --cache DIR [--seeds 1]      (one core; goes on where it was stopped)
    python -m benchmarks.space_ablation table

Every variant differs in a thing or two from a network for 32 pixels: three stages behind a strided stem, their widths
doubling, of single basic blocks (`basic`) or of two MBConv with expansion 4 and a last convolution (`mbconv`); `pooled`
is the latter with pooled shortcuts and no last convolution. Its widths are those, in multiples of 4, that bring it
nearest to 1.8 M multiply-adds. CIFAR-10, 4,000 images, 10 epochs, accuracy on test. Each training is a row of
benchmarks/results/space_ablation.csv.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec, count_macs, count_params, format_blocks

RESULTS = Path(__file__).parent / "results" / "space_ablation.csv"
FIELDS = ("variant", "seed", "accuracy", "seconds", "macs", "params", "resolution", "stem", "head", "blocks")
IMAGES, TARGET, CLASSES, EPOCHS = 4000, 1.8e6, 10, 10

BASIC: Mapping[str, Any] = {
    "resolution": 32, "stem": 2, "strides": (1, 2, 2), "ops": ("basic",) * 3, "layers": (1, 1, 1), "skip": "project",
    "growth": 2.0, "head": 0, "activation": "relu", "expand": 1, "kernel": 3, "se": 0.0,
}  # fmt: skip
MBCONV: Mapping[str, Any] = {
    **BASIC, "ops": ("mbconv",) * 3, "layers": (2, 2, 2), "expand": 4, "skip": "identity", "head": 4,
    "activation": "silu",
}  # fmt: skip
POOLED: Mapping[str, Any] = {**MBCONV, "skip": "pool", "head": 0}
EARLY, LATE = {"strides": (2, 2, 1)}, {"stem": 1, "strides": (2, 2, 2)}
FOUR = {"strides": (1, 2, 1, 2), "layers": (2,) * 4, "ops": ("mbconv",) * 4}
MIXED = {"ops": ("basic", "mbconv", "mbconv"), "layers": (1, 2, 2)}

VARIANTS: dict[str, Mapping[str, Any]] = {
    "basic": BASIC,
    "basic, identity": {**BASIC, "skip": "identity"},
    "basic, pool": {**BASIC, "skip": "pool"},
    "basic, pool, silu": {**BASIC, "skip": "pool", "activation": "silu"},
    "basic, silu": {**BASIC, "activation": "silu"},
    "basic, head 2": {**BASIC, "head": 2},
    "basic, SE": {**BASIC, "se": 0.25},
    "basic, early": {**BASIC, **EARLY},
    "basic, late": {**BASIC, **LATE},
    "basic, two layers": {**BASIC, "layers": (2, 2, 2)},
    "basic, growth 1.5": {**BASIC, "growth": 1.5},
    "basic, growth 2.5": {**BASIC, "growth": 2.5},
    "basic, 24 pixels": {**BASIC, "resolution": 24, "strides": (1, 2, 1)},
    "conv, two layers": {**BASIC, "ops": ("conv",) * 3, "layers": (2, 2, 2)},
    "mbconv": MBCONV,
    "mbconv, expansion 3": {**MBCONV, "expand": 3},
    "mbconv, expansion 6": {**MBCONV, "expand": 6},
    "mbconv, no head": {**MBCONV, "head": 0},
    "mbconv, head 2": {**MBCONV, "head": 2},
    "mbconv, SE": {**MBCONV, "se": 0.25},
    "mbconv, 5x5": {**MBCONV, "kernel": 5},
    "mbconv, one layer": {**MBCONV, "layers": (1, 1, 1)},
    "mbconv, three layers": {**MBCONV, "layers": (3, 3, 3)},
    "mbconv, pool": {**MBCONV, "skip": "pool"},
    "mbconv, early": {**MBCONV, **EARLY},
    "pooled": POOLED,
    "pooled, expansion 3": {**POOLED, "expand": 3},
    "pooled, expansion 6": {**POOLED, "expand": 6},
    "pooled, sepconv": {**POOLED, "ops": ("sepconv",) * 3},
    "pooled, one layer": {**POOLED, "layers": (1, 1, 1)},
    "pooled, three layers": {**POOLED, "layers": (3, 3, 3)},
    "pooled, 1 2 3 layers": {**POOLED, "layers": (1, 2, 3)},
    "pooled, early": {**POOLED, **EARLY},
    "pooled, late": {**POOLED, **LATE},
    "pooled, four stages": {**POOLED, **FOUR},
    "pooled, 24 pixels": {**POOLED, "resolution": 24, "strides": (1, 2, 1)},
    "pooled, 16 pixels": {**POOLED, "resolution": 16, "strides": (1, 2, 1)},
    "pooled, 5x5": {**POOLED, "kernel": 5},
    "pooled, SE": {**POOLED, "se": 0.25},
    "pooled, relu": {**POOLED, "activation": "relu"},
    "pooled, basic first": {**POOLED, **MIXED},
}


def network(width: float, variant: Mapping[str, Any]) -> ArchSpec:
    """The variant with a stem of about `width` channels."""
    stages, channels = [], width
    for op, layers, stride in zip(variant["ops"], variant["layers"], variant["strides"], strict=True):
        channels *= variant["growth"] if stride > 1 else 1.0
        own = {"expand": variant["expand"]} if op == "mbconv" else {}
        stages.append(
            StageSpec(
                op=op,
                channels=_rounded(channels),
                stride=stride,
                layers=layers,
                kernel=variant["kernel"],
                se=variant["se"],
                skip=variant["skip"],
                **own,
            )
        )
    head = HeadSpec(_rounded(channels * variant["head"]) if variant["head"] else 0)
    stem = StemSpec(_rounded(width), stride=variant["stem"])
    return ArchSpec(
        tuple(stages), stem, head, resolution=variant["resolution"], activation=variant["activation"]
    )  # fmt: skip


def fitted(variant: Mapping[str, Any]) -> ArchSpec:
    """The variant at the width that is nearest to the target."""
    archs = [network(width, variant) for width in np.arange(4, 60, 0.5)]
    return min(archs, key=lambda arch: abs(np.log(count_macs(arch, None, CLASSES) / TARGET)))


def run(options: argparse.Namespace) -> None:
    """Train what the results file lacks."""
    dataset = open_dataset(options.data, Path(options.cache), train_images=IMAGES, max_resolution=32)
    evaluator = ProxyEvaluator(dataset, threads=1)
    done = {(row["variant"], int(row["seed"])) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for name, variant in VARIANTS.items():
            if (name, seed) in done:
                continue
            arch, start = fitted(variant), time.perf_counter()
            outcome = evaluator.evaluate(Request(arch, Fidelity(EPOCHS), seed, "test"), "cpu", lambda *_: True)
            append_row(RESULTS, FIELDS, [
                name, seed, f"{outcome.value or 0:.4f}", f"{time.perf_counter() - start:.1f}",
                count_macs(arch, None, CLASSES), count_params(arch, CLASSES), arch.resolution, arch.stem.channels,
                arch.head.channels, format_blocks(arch),
            ])  # fmt: skip
            print(f"{name}, seed {seed}: {100 * (outcome.value or 0):.2f} %", flush=True)


def table() -> None:
    """Print the results file as Markdown, variants in their order."""
    rows = read_rows(RESULTS)
    print("| variant | accuracy, mean | n | M multiply-adds |\n|---|---|---|---|")
    for name in VARIANTS:
        found = [row for row in rows if row["variant"] == name]
        if found:
            mean = 100 * float(np.mean([float(row["accuracy"]) for row in found]))
            print(f"| {name} | {mean:.1f} | {len(found)} | {int(found[0]['macs']) / 1e6:.2f} |")


def _rounded(channels: float) -> int:
    """To the nearest multiple of 4, never to another: at such widths MobileNet's rule often goes up."""
    return max(4, int(channels / 4 + 0.5) * 4)


def _arguments(runner: argparse.ArgumentParser) -> None:
    runner.add_argument("data", help="CIFAR-10 as an image folder")
    runner.add_argument("--cache", required=True, help="folder for decoded images")
    runner.add_argument("--seeds", type=int, default=1)


def main() -> None:
    run_or_table("space_ablation", __doc__, _arguments, run, table)


if __name__ == "__main__":
    main()
