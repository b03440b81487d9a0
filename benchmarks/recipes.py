"""Which recipe gets most out of few epochs: `fast` against tuned SGD and AdamW, and against `paper` at greater length.

    python -m benchmarks.recipes run cifar10 --cache DIR      (one process; goes on where it was stopped)
    python -m benchmarks.recipes table

B0, MobileNetV2 and MnasNet-A1 are fitted to 32 pixels and one number of multiply-adds. SGD with Nesterov's momentum on
a one-cycle schedule and AdamW on a cosine with a short warm-up get the peak rate that is best for B0 at each length, on
seeds that are not compared. All see the same images in the same order, in batches of the same size, with the same
augmentation (`paper` adds AutoAugment) and label smoothing, and are measured with their last weights on images held
out. Each training is one row of benchmarks/results/recipes.csv.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from scipy import stats

from benchmarks.counting import machine
from benchmarks.rows import append_row, read_rows
from nas.pool.slots import keep_memory
from nas.proxy.data import open_dataset
from nas.proxy.dataset import Dataset
from nas.proxy.feed import open_feed
from nas.proxy.loop import Training, measure, repeatable
from nas.proxy.recipe import OneCycle, Recipe, fast, paper
from nas.proxy.train import ProxyEvaluator
from search_spaces import ArchSpec, fit_arch, reference_arch

RESULTS = Path(__file__).parent / "results" / "recipes.csv"
FIELDS = ("network", "recipe", "rate", "epochs", "seed", "accuracy", "seconds", "images", "macs", "resolution")
NETWORKS = ("efficientnet_b0", "mobilenet_v2", "mnasnet_a1")
LENGTHS = (1, 5, 10)
PAPER_EPOCHS = 15
FIRST_TUNING_SEED = 100
TUNING_SEEDS = {1: (100, 101, 102), 5: (100,), 10: (100,)}  # by length: single epochs are noisy
RATES = {"sgd": (0.03, 0.1, 0.25, 0.5, 1.0), "adamw": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Run:
    """One training: a row of the results."""

    network: str
    recipe: str
    rate: float
    epochs: int
    seed: int


def sgd(rate: float) -> Recipe:
    """Nesterov's momentum on one cycle."""
    return replace(fast(), name="sgd", optimizer="sgd", learning_rate=rate, weight_decay=5e-4)


def adamw(rate: float) -> Recipe:
    """A cosine after a warm-up of a twentieth; see `train` for the optimiser itself."""
    return replace(fast(), name="adamw", learning_rate=rate, schedule=OneCycle(warmup=0.05), weight_decay=0.05)


OPPONENTS: dict[str, Callable[[float], Recipe]] = {"sgd": sgd, "adamw": adamw}


def recipe_of(run: Run) -> Recipe:
    """The recipe with its peak rate."""
    if run.recipe in OPPONENTS:
        return OPPONENTS[run.recipe](run.rate)
    return fast() if run.recipe == "fast" else paper()


def train(dataset: Dataset, arch: ArchSpec, recipe: Recipe, epochs: int, seed: int) -> float:
    """Accuracy on the images held out."""
    evaluator = ProxyEvaluator(dataset=dataset, recipe=recipe)
    feeds = [
        open_feed(dataset, split, CPU, share=1.0, resolution=arch.resolution, channels=arch.input_channels)
        for split in ("train", "val")
    ]
    with repeatable(seed, CPU):
        training = Training(evaluator.network(arch, epochs, CPU), recipe, feeds[0], epochs, seed, dataset.flip)
        if recipe.name == "adamw":
            training.optimizer = adamw_optimizer(training.network, recipe)
        for epoch in range(1, epochs + 1):
            training.run_epoch(epoch)
        return measure(training.result, feeds[1])


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


def runs(seeds: int, lengths: Sequence[int], best: Callable[[str, int], float | None]) -> Iterator[Run]:
    """What is to be trained. best(recipe, epochs): the tuned rate, None while it is not known."""
    for epochs in lengths:
        for name, rates in RATES.items():
            for rate in rates:
                for seed in TUNING_SEEDS[epochs]:
                    yield Run(NETWORKS[0], name, rate, epochs, seed)
    for seed in range(seeds):
        for network in NETWORKS:
            for epochs in lengths:
                yield Run(network, "fast", fast().learning_rate, epochs, seed)
                for name in RATES:
                    rate = best(name, epochs)
                    if rate is not None:
                        yield Run(network, name, rate, epochs, seed)
    for seed in range(seeds if tuple(lengths) == LENGTHS else 0):
        for network in NETWORKS:
            yield Run(network, "paper", paper().learning_rate, PAPER_EPOCHS, seed)


def run(options: argparse.Namespace) -> None:
    """Fill the results file with every training that it lacks."""
    torch.set_num_threads(1)
    keep_memory()  # as in the pool's workers
    dataset = open_dataset(options.data, Path(options.cache), train_images=options.images, val_fraction=0.05)
    classes = dataset.num_classes
    archs = {
        name: fit_arch(reference_arch(name), options.resolution, options.macs, num_classes=classes) for name in NETWORKS
    }
    done = read_results()
    for each in runs(options.seeds, options.lengths, lambda name, epochs: best_rate(done, name, epochs)):
        if each in done:
            continue
        start = time.perf_counter()
        done[each] = train(dataset, archs[each.network], recipe_of(each), each.epochs, each.seed)
        seconds = time.perf_counter() - start
        append_row(RESULTS, FIELDS, [
            each.network, each.recipe, f"{each.rate:g}", each.epochs, each.seed, f"{done[each]:.5f}", f"{seconds:.1f}",
            options.images, f"{options.macs:g}", options.resolution,
        ])  # fmt: skip
        print(*vars(each).values(), f"{100 * done[each]:.2f} %, {seconds:.0f} s", flush=True)


def best_rate(done: dict[Run, float], name: str, epochs: int) -> float | None:
    """The rate of the best tuning runs at this length; None unless all were made."""
    tried = {
        rate: [done.get(Run(NETWORKS[0], name, rate, epochs, seed)) for seed in TUNING_SEEDS[epochs]]
        for rate in RATES[name]
    }
    means = {rate: statistics.fmean(map(float, found)) for rate, found in tried.items() if None not in found}
    return max(means, key=lambda rate: means[rate]) if len(means) == len(tried) else None


def table(options: argparse.Namespace) -> None:  # noqa: ARG001
    """Print the results file as Markdown."""
    done = read_results()
    print(f"Machine that made this table: {machine()}; rows: {len(done)}.\n")
    columns = [(name, epochs) for epochs in LENGTHS for name in ("fast", *RATES)] + [("paper", PAPER_EPOCHS)]
    print("| network | " + " | ".join(f"{name}, {epochs}" for name, epochs in columns) + " |")
    print("|---" * (len(columns) + 1) + "|")
    for network in NETWORKS:
        print(f"| {network} | " + " | ".join(cell(compared(done, network, *column)) for column in columns) + " |")
    for name in RATES:
        print(f"\n{name}: peak rate {', '.join(f'{best_rate(done, name, n)} at {n}' for n in LENGTHS)} epochs.")
        for epochs in LENGTHS:
            print(f"fast less {name} at {epochs}, pairs of equal seeds: {paired(done, name, epochs)}")


def compared(done: Mapping[Run, float], network: str, name: str, epochs: int) -> dict[int, float]:
    """Accuracy by seed, in percent, of the recipe at its best rate; tuning seeds left out."""
    return {
        run.seed: 100 * accuracy
        for run, accuracy in done.items()
        if (run.network, run.recipe, run.epochs) == (network, name, epochs)
        and run.seed < FIRST_TUNING_SEED
        and (name not in RATES or run.rate == best_rate(done, name, epochs))
    }


def cell(values: Mapping[int, float]) -> str:
    """Mean, standard deviation and number."""
    if not values:
        return ""
    spread = f" ({statistics.stdev(values.values()):.1f})" if len(values) > 1 else ""
    return f"{statistics.fmean(values.values()):.1f}{spread}, n {len(values)}"


def paired(done: Mapping[Run, float], name: str, epochs: int) -> str:
    """Mean differences with 95 % intervals of Student's t: of each network, of all together."""
    found: dict[str, list[float]] = {}
    for network in NETWORKS:
        ours, theirs = (compared(done, network, recipe, epochs) for recipe in ("fast", name))
        found[network] = [ours[seed] - theirs[seed] for seed in ours.keys() & theirs.keys()]
    found["all"] = [gap for gaps in found.values() for gap in gaps]
    return "; ".join(f"{network} {interval(gaps)}" for network, gaps in found.items() if len(gaps) > 1)


def interval(values: Sequence[float]) -> str:
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f}, n {len(values)})"


def read_results() -> dict[Run, float]:
    """Accuracies of the trainings in the results file, if it is there."""
    return {
        Run(r["network"], r["recipe"], float(r["rate"]), int(r["epochs"]), int(r["seed"])): float(r["accuracy"])
        for r in read_rows(RESULTS)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    runner.add_argument("data", help="an image folder or digits")
    runner.add_argument("--cache", required=True, help="folder for decoded images")
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument(
        "--lengths",
        type=lambda text: tuple(map(int, text.split(","))),
        default=LENGTHS,
        help="further seeds of these only",
    )
    runner.add_argument("--images", type=int, default=2500)
    runner.add_argument("--macs", type=float, default=2e6)
    runner.add_argument("--resolution", type=int, default=32)
    runner.set_defaults(command=run)
    commands.add_parser("table").set_defaults(command=table)
    options = parser.parse_args()
    print(f"command: python -m benchmarks.recipes {' '.join(sys.argv[1:])}", file=sys.stderr)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    options.command(options)


if __name__ == "__main__":
    main()
