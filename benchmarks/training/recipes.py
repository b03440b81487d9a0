"""Which recipe gets most out of few epochs: `fast` against tuned SGD and AdamW, and against `paper` at greater length.

    python -m benchmarks.training.recipes run cifar10 --cache DIR      (one process; goes on where it was stopped)
    python -m benchmarks.training.recipes run cifar10 --cache DIR --suite shapes
    python -m benchmarks.training.recipes table

Suite `known`: B0, MobileNetV2 and MnasNet-A1 fitted to 32 pixels and 2 M multiply-adds. Suite `shapes`: B0 fitted to 22
pixels and 1.5 M, and the same at twice the cost by more layers, more channels or more pixels, so that a recipe that
suits one end of a search only is seen. SGD with Nesterov's momentum on a one-cycle schedule and AdamW on a cosine with
a short warm-up get the peak rate that is best for the suite's first network at each length, on seeds that are not
compared. All see the same images in the same order, in batches of the same size, with the same augmentation (`paper`
adds AutoAugment) and label smoothing, and are measured with their last weights on images held out. Each training is
one row of benchmarks/results/recipes.csv.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row
from benchmarks.training.recipe_results import (
    FIELDS,
    LENGTHS,
    PAPER_EPOCHS,
    RATES,
    RESULTS,
    SHAPES_EPOCHS,
    TUNING_SEEDS,
    Run,
    best_rate,
    known_lines,
    read_results,
    shapes_lines,
)
from nas.data.dataset import Dataset
from nas.data.feed import open_feed
from nas.data.source import open_dataset
from nas.pool.slots import keep_memory
from nas.training.fit import Validation, fit
from nas.training.loop import DivergedError, Training
from nas.training.numerics import repeatable
from nas.training.objective import FROM_SCRATCH
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import OneCycle, Recipe, fast, paper
from scaling_search import Coefficients, Shares, family
from search_spaces import ArchSpec, count_macs, fit_arch, reference_arch

IMAGES = 2500
CLASSES = 10
CPU = torch.device("cpu")
Best = Callable[[str, str, int], float]
"""The tuned rate for a network, a recipe and a number of epochs."""


def known() -> dict[str, ArchSpec]:
    """Three known networks at one cost."""
    names = ("efficientnet_b0", "mobilenet_v2", "mnasnet_a1")
    return {name: fit_arch(reference_arch(name), 32, 2e6, num_classes=CLASSES) for name in names}


def shapes() -> dict[str, ArchSpec]:
    """One network, and the same at twice its cost by each dimension alone."""
    base = fit_arch(reference_arch("efficientnet_b0"), 22, 1.5e6, num_classes=CLASSES)
    ways = {"deeper": Shares(1, 0, 0), "wider": Shares(0, 1, 0), "more pixels": Shares(0, 0, 1)}
    grown = {
        way: family(base, Coefficients.from_shares(shares, 2.0), [1], "matched", num_classes=CLASSES)[0].arch
        for way, shares in ways.items()
    }
    return {"base": base, **grown}


def sgd(rate: float) -> Recipe:
    """Nesterov's momentum on one cycle."""
    return replace(fast(), name="sgd", optimizer="sgd", learning_rate=rate, weight_decay=5e-4)


def adamw(rate: float) -> Recipe:
    """A cosine after a warm-up of a twentieth; see `train` for the optimiser itself."""
    return replace(fast(), name="adamw", learning_rate=rate, schedule=OneCycle(warmup=0.05), weight_decay=0.05)


RECIPES: dict[str, Callable[[float], Recipe]] = {
    "fast": lambda rate: replace(fast(), learning_rate=rate),
    "fast, full branches": lambda rate: replace(fast(), learning_rate=rate, zero_branches=False),
    "sgd": sgd,
    "adamw": adamw,
    "paper": lambda rate: replace(paper(), learning_rate=rate),
}


def train(dataset: Dataset, arch: ArchSpec, recipe: Recipe, epochs: int, seed: int) -> float:
    """Accuracy on the images held out; 0 where the training diverged."""
    evaluator = ProxyEvaluator(dataset=dataset, recipe=recipe)
    feeds = [
        open_feed(dataset, split, CPU, share=1.0, resolution=arch.resolution, channels=arch.input_channels)
        for split in ("train", "val")
    ]
    with repeatable(seed, CPU):
        training = Training(evaluator.network(arch, epochs, CPU), recipe, feeds[0], epochs, seed, dataset.flip)
        if recipe.name == "adamw":
            training.optimizer = adamw_optimizer(training.network, recipe)
        try:
            state = fit(training, FROM_SCRATCH, Validation.of_proxy(feeds[1], len(feeds[0])), None, lambda _: True)
        except DivergedError:
            return 0.0
        return state.curve[-1]


def adamw_optimizer(network: torch.nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """PyTorch's, in the groups that the training loop sets the rates of; norms and biases do not decay."""
    groups = [
        {
            "params": [weight for weight in network.parameters() if (weight.ndim > 1) == decayed],
            "weight_decay": recipe.weight_decay if decayed else 0.0,
            "rate_factor": 1.0,
        }
        for decayed in (True, False)
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=(recipe.momentum, 0.99), fused=True)


def known_runs(networks: Sequence[str], options: argparse.Namespace, best: Best) -> Iterator[Run]:
    """Every recipe on every network at every length."""
    for epochs in options.lengths:
        yield from tuning_runs(networks[0], epochs)
    for seed in range(options.seeds):
        for network in networks:
            for epochs in options.lengths:
                yield Run(network, "fast", fast().learning_rate, epochs, seed)
                yield from (Run(network, name, best(networks[0], name, epochs), epochs, seed) for name in RATES)
    for seed in range(options.seeds if tuple(options.lengths) == LENGTHS else 0):
        yield from (Run(network, "paper", paper().learning_rate, PAPER_EPOCHS, seed) for network in networks)


def shapes_runs(networks: Sequence[str], options: argparse.Namespace, best: Best) -> Iterator[Run]:
    """`fast` at its rate, half and twice that, and with branches that start at full strength; its opponents tuned."""
    yield from tuning_runs(networks[0], SHAPES_EPOCHS)
    for seed in range(options.seeds):
        for network in networks:
            for factor in (1.0, 0.5, 2.0):
                yield Run(network, "fast", factor * fast().learning_rate, SHAPES_EPOCHS, seed)
            yield Run(network, "fast, full branches", fast().learning_rate, SHAPES_EPOCHS, seed)
            for name in RATES:
                yield Run(network, name, best(networks[0], name, SHAPES_EPOCHS), SHAPES_EPOCHS, seed)


def tuning_runs(network: str, epochs: int) -> Iterator[Run]:
    """Each opponent at each of its rates."""
    for name, rates in RATES.items():
        for rate in rates:
            yield from (Run(network, name, rate, epochs, seed) for seed in TUNING_SEEDS[epochs])


SUITES = {"known": (known, known_runs), "shapes": (shapes, shapes_runs)}


def run(options: argparse.Namespace) -> None:
    """Fill the results file with every training that it lacks."""
    torch.set_num_threads(1)
    keep_memory()  # as in the pool's workers
    dataset = open_dataset(options.data, Path(options.cache), train_images=IMAGES, val_fraction=0.05)
    build, plan = SUITES[options.suite]
    archs = build()
    done = read_results()
    # The plan asks for the best rates only once the tuning runs, which come first, are in `done`.
    for each in plan(list(archs), options, lambda network, name, epochs: best_rate(done, network, name, epochs)):
        if each in done:
            continue
        arch = archs[each.network]
        start = time.perf_counter()
        done[each] = train(dataset, arch, RECIPES[each.recipe](each.rate), each.epochs, each.seed)
        seconds = time.perf_counter() - start
        macs = count_macs(arch, num_classes=CLASSES)
        append_row(RESULTS, FIELDS, [
            each.network, each.recipe, f"{each.rate:g}", each.epochs, each.seed, f"{done[each]:.5f}", f"{seconds:.1f}",
            IMAGES, macs, arch.resolution,
        ])  # fmt: skip
        print(*vars(each).values(), f"{100 * done[each]:.2f} %, {seconds:.0f} s", flush=True)


def table() -> None:
    """Print the results file as Markdown, suite by suite."""
    done = read_results()
    for build, lines in ((known, known_lines), (shapes, shapes_lines)):
        try:
            print("\n".join(lines(done, list(build()))) + "\n")
        except ValueError as error:  # this suite has not been run far enough
            print(f"suite {build.__name__}: {error}\n")


def _arguments(runner: argparse.ArgumentParser) -> None:
    runner.add_argument("data", help="an image folder of ten classes, or digits")
    runner.add_argument("--cache", required=True, help="folder for decoded images")
    runner.add_argument("--suite", choices=SUITES, default="known")
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument(
        "--lengths",
        type=lambda text: tuple(map(int, text.split(","))),
        default=LENGTHS,
        help="further seeds of these only (suite known)",
    )


def main() -> None:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    run_or_table("training.recipes", __doc__, _arguments, run, table)


if __name__ == "__main__":
    main()
