"""What weights of our own are worth on other classes: fine-tuned against trained from scratch, at the same budget.

    python -m benchmarks.training.fine_tuning --run DIR [DATA] [--seeds 3] [--images 100] [--epochs 5]

For each seed a small network is trained on the images of the first half of the classes; then, on few images of the
other half, it is trained from scratch, and from those weights with a new classifier: the body at a tenth of the
learning rate, at 0.3 of it, at the full rate, and frozen. All start from the same seed, see the same images for the
same epochs by the same recipe, and are measured with their last weights on the same test images. Prints the command,
the machine, n, mean and standard deviation over seeds, and the paired difference from scratch. Goes on from DIR when
started again.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.machine import machine
from experiments.options.plans import TrainPlan
from experiments.options.settings import Settings
from experiments.run.context import open_run
from experiments.run.progress import Narrator
from experiments.steps.train import run_train
from nas.data.dataset import SPLITS, Dataset, load_split
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, HeadSpec, StageSpec, StemSpec

SMALL = ArchSpec(
    stages=(StageSpec(expand=3, channels=16, layers=2), StageSpec(expand=3, channels=32, stride=2, layers=2)),
    stem=StemSpec(channels=16, stride=1),
    head=HeadSpec(64),
    resolution=8,
)
"""Five blocks for images of 8 pixels; larger images are taken at the size that --resolution says."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Fine-tuning on other classes against training from scratch.")
    parser.add_argument("data", nargs="?", default="digits", help="an image folder or digits (default)")
    parser.add_argument("--run", type=Path, required=True, help="folder for the trainings")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--images", type=int, default=100, help="training images of the second half (default 100)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs on the second half (default 5)")
    parser.add_argument("--first-epochs", type=int, default=15, help="epochs on the first half (default 15)")
    parser.add_argument("--first-images", type=int, help="training images of the first half (default all)")
    parser.add_argument("--resolution", type=int, default=8, help="pixels (default 8)")
    parser.add_argument("--recipe", default="fast")
    parser.add_argument("--devices", default="cpu")
    options = parser.parse_args()

    results = [trainings(options, seed) for seed in range(options.seeds)]
    print(f"command: python -m benchmarks.training.fine_tuning {' '.join(sys.argv[1:])}")
    print(f"machine: {machine()}, {torch.get_num_threads()} threads, load {os.getloadavg()[0]:.1f}")
    print(
        f"{options.data}, {options.resolution} pixels, recipe {options.recipe}; first half of the classes: "
        f"{options.first_epochs} epochs; second half: {options.images} images, {options.epochs} epochs; "
        f"n {len(results)}"
    )
    scratch = np.array([result["scratch"] for result in results])
    for name in results[0]:
        values = 100 * np.array([result[name] for result in results])
        gain = values - 100 * scratch
        against = "" if name in ("first half", "scratch") else f", over scratch {gain.mean():+.1f} (sd {spread(gain)})"
        each = " ".join(f"{value:.1f}" for value in values)
        print(f"{name}: test accuracy mean {values.mean():.1f} % (sd {spread(values)}){against}; each {each}")


def spread(values: np.ndarray) -> str:
    """The standard deviation over seeds."""
    return f"{values.std(ddof=1):.1f}" if len(values) > 1 else "-"


def trainings(options: argparse.Namespace, seed: int) -> dict[str, float]:
    """Test accuracy of every training of one seed."""
    first = train(options, seed, "first half", TrainPlan(options.recipe, options.first_epochs, "last"))
    weights = str(folder(options, seed, "first half") / "weights.safetensors")
    again = TrainPlan(options.recipe, options.epochs, "last", weights, new_head=True)
    plans: Mapping[str, TrainPlan] = {
        "scratch": TrainPlan(options.recipe, options.epochs, "last"),
        "fine-tuned, body at 0.1 of the rate": dataclasses.replace(again, body_rate=0.1),
        "fine-tuned, body at 0.3 of the rate": dataclasses.replace(again, body_rate=0.3),
        "fine-tuned, body at the full rate": again,
        "fine-tuned, body frozen": dataclasses.replace(again, freeze_body=True),
    }
    return {"first half": first} | {name: train(options, seed, name, plan) for name, plan in plans.items()}


def train(options: argparse.Namespace, seed: int, name: str, plan: TrainPlan) -> float:
    """The test accuracy of one training, on the half of the classes that its name tells."""
    run = folder(options, seed, name)
    cache = str(options.run / "cache")
    settings = Settings().with_given({"seed": seed, "devices": options.devices, "workers": 1, "cache": cache})
    with open_run(options.data, run, settings, Narrator(Console(quiet=True))) as opened:
        evaluator = opened.problem.evaluator
        assert isinstance(evaluator, ProxyEvaluator)
        classes = evaluator.dataset.num_classes
        first = name == "first half"
        half = range(classes // 2) if first else range(classes // 2, classes)
        part = restrict(evaluator.dataset, half, options.first_images if first else options.images, run)
        opened.problem = dataclasses.replace(
            opened.problem, evaluator=ProxyEvaluator(part), num_classes=part.num_classes
        )
        arch = run / "arch.json"
        arch.write_text(dataclasses.replace(SMALL, resolution=options.resolution).to_json())
        accuracy = run_train(opened, str(arch), plan).accuracy.test
    assert accuracy is not None
    return accuracy


def folder(options: argparse.Namespace, seed: int, name: str) -> Path:
    """The run folder of one training."""
    path: Path = options.run / f"seed-{seed}" / name.replace(",", "").replace(" ", "-")
    return path


def restrict(dataset: Dataset, classes: range, train_images: int | None, place: Path) -> Dataset:
    """The images of some classes alone, and no more than `train_images` of them to train on."""
    arrays: dict[str, Any] = {}
    for split in SPLITS:
        whole = load_split(dataset, split)
        chosen = np.flatnonzero((whole.labels >= classes.start) & (whole.labels < classes.stop))
        chosen = chosen[:train_images] if split == "train" else chosen
        arrays |= {f"{split}_rows": whole.rows[chosen], f"{split}_labels": whole.labels[chosen] - classes.start}
        arrays[f"{split}_names"] = whole.names[chosen]
    path = place / "splits.npz"
    np.savez(path, **arrays)
    return dataclasses.replace(
        dataset,
        classes=dataset.classes[classes.start : classes.stop],
        counts={split: len(arrays[f"{split}_rows"]) for split in SPLITS},
        splits_path=path,
    )


if __name__ == "__main__":
    main()
