"""How good the networks of a space are: random members, each trained once, beside plain networks of the same cost.

    python -m benchmarks.space_quality run CASE DATA --cache DIR [--members 20] [--space NAME]
    python -m benchmarks.space_quality table

A space that has to be searched long to find a network as good as a plain one is no help. So `run` draws members of a
space at random, keeps those that cost 0.8 to 1.1 of the target, trains every one by the case's protocol, and `table`
prints the distribution of their accuracies (Radosavovic et al. 2019, *On network design spaces*, compare design spaces
so): for the default space, and for the published MnasNet space as it was fitted to small images before. The six rows
`former` are of an earlier version of the default space, with basic blocks and with 16, 24 or 32 of CIFAR-10's pixels;
no command makes them any more. The opponents are plain networks: of the sound plans of each (search_spaces.plans) the
best on val in one training, then three further seeds of that. All accuracies are those of the last weights on test, or
on val where the data have no test split. Each training is a row of benchmarks/results/space_quality.csv; `run` goes on
where it was stopped.

Cases: cifar10 (4,000 images, up to 32 pixels, 1.8 M multiply-adds, 10 epochs), flowers (all images, up to 96 pixels,
5 M, 10 epochs), imagenette (2,000 images, up to 96 pixels, 20 M, 10 epochs).
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from nas.data.dataset import Dataset
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.pool.slots import keep_memory
from nas.training.proxy import ProxyEvaluator
from search_spaces import (
    ArchSpec,
    SearchSpace,
    auto_resolution,
    count_macs,
    count_params,
    format_blocks,
    mnasnet_space,
    reference_arch,
)
from search_spaces.fit import resolutions_up_to
from search_spaces.plans import fitting_plans
from search_spaces.spaces.macro import macro_space

RESULTS = Path(__file__).parent / "results" / "space_quality.csv"
FIELDS = (
    "case", "group", "member", "seed", "split", "accuracy", "seconds", "macs", "params", "resolution", "images",
    "epochs", "blocks",
)  # fmt: skip
PLAIN = ("plain_resnet", "plain_mbconv", "resnet20", "mobilenet_v2", "pooled_mbconv")
SEEDS = 3
FIRST_SEED = 1  # of the opponents; their plans are chosen at seed 0
BAND = (0.8, 1.1)
"""What members cost, as multiples of the target."""


@dataclass(frozen=True)
class Case:
    """A data set and a target. images: of the training split (None: all); resolution: the largest, in pixels."""

    images: int | None
    resolution: int
    target_macs: float
    epochs: int


CASES = {
    "cifar10": Case(4000, 32, 1.8e6, 10),
    "flowers": Case(None, 96, 5e6, 10),
    "imagenette": Case(2000, 96, 20e6, 10),
}


def default_space(case: Case, classes: int) -> SearchSpace:
    """What a search gets without `--space`."""
    return macro_space(case.target_macs, resolutions_up_to(case.resolution), num_classes=classes)


def published_space(case: Case, classes: int) -> SearchSpace:
    """MnasNet's, fitted by widths alone at the resolution that leaves headroom, as searches had it before."""
    return mnasnet_space(case.target_macs, auto_resolution(case.resolution), num_classes=classes)


SPACES: dict[str, Callable[[Case, int], SearchSpace]] = {"default": default_space, "mnasnet": published_space}


@dataclass
class Bench:
    """The trainings of one case; those in the results file already are not repeated."""

    name: str
    case: Case
    dataset: Dataset

    def __post_init__(self) -> None:
        self.evaluator = ProxyEvaluator(self.dataset, threads=1)
        self.done = {
            (row["group"], row["member"], int(row["seed"]), row["split"]): float(row["accuracy"])
            for row in read_rows(RESULTS)
            if row["case"] == self.name
        }

    @property
    def final_split(self) -> str:
        return "test" if self.dataset.counts.get("test") else "val"

    def accuracy(self, group: str, member: str, arch: ArchSpec, seed: int, split: str) -> float:
        """Of one training; 0 where it failed."""
        key = (group, member, seed, split)
        if key not in self.done:
            start = time.perf_counter()
            outcome = self.evaluator.evaluate(
                Request(arch, Fidelity(self.case.epochs), seed, split), "cpu", lambda *_: True
            )
            seconds = time.perf_counter() - start
            self.done[key] = outcome.value or 0.0
            classes = self.dataset.num_classes
            macs, params = count_macs(arch, None, classes), count_params(arch, classes)
            append_row(RESULTS, FIELDS, [
                self.name, group, member, seed, split, f"{self.done[key]:.5f}", f"{seconds:.1f}", macs, params,
                arch.resolution, self.dataset.counts["train"], self.case.epochs, format_blocks(arch),
            ])  # fmt: skip
            print(f"{self.name} {group} {member} seed {seed}: {100 * self.done[key]:.2f} % of {split}, "
                  f"{macs / 1e6:.2f} M, {seconds:.0f} s", flush=True)  # fmt: skip
        return self.done[key]


def members(space: SearchSpace, target: float, classes: int) -> Iterator[ArchSpec]:
    """Random members of the space whose cost is within the band around the target, without end."""
    rng = np.random.default_rng(0)
    while True:
        with suppress(ValueError):  # no network at this target
            arch = space.decode(space.params(space.sample(rng, 1)[0]))
            if BAND[0] <= count_macs(arch, None, classes) / target <= BAND[1]:
                yield arch


def run(options: argparse.Namespace) -> None:
    """Opponents first, then members of the spaces in turn, so that a table of what is there is fair."""
    torch.set_num_threads(1)
    keep_memory()  # as in the pool's workers
    case = CASES[options.case]
    dataset = open_dataset(options.data, Path(options.cache), train_images=case.images, max_resolution=case.resolution)
    bench, classes = Bench(options.case, case, dataset), dataset.num_classes
    for name in options.opponents:
        plans = fitting_plans(
            reference_arch(name), resolutions_up_to(case.resolution), case.target_macs, num_classes=classes
        )
        tried = {plan: bench.accuracy(name, plan.words, plan.arch, 0, "val") for plan in plans}
        best = max(plans, key=tried.__getitem__)
        for seed in range(FIRST_SEED, FIRST_SEED + SEEDS):
            bench.accuracy(name, best.words, best.arch, seed, bench.final_split)
    spaces = {name: SPACES[name] for name in options.space or SPACES}
    drawn = {name: members(make(case, classes), case.target_macs, classes) for name, make in spaces.items()}
    for i in range(options.members):
        for name, archs in drawn.items():
            bench.accuracy(name, str(i), next(archs), 0, bench.final_split)


def table() -> None:
    """Print the results file as Markdown."""
    print("| case | networks | n | worst | lower quartile | median | upper quartile | best |")
    print("|---|---|---|---|---|---|---|---|")
    rows = read_rows(RESULTS)
    for case in dict.fromkeys(row["case"] for row in rows):
        for name in (*SPACES, "former"):
            found = [100 * float(row["accuracy"]) for row in rows if (row["case"], row["group"]) == (case, name)]
            if found:
                quantiles = " | ".join(f"{value:.1f}" for value in np.quantile(found, [0, 0.25, 0.5, 0.75, 1]))
                print(f"| {case} | {name}, random members | {len(found)} | {quantiles} |")
        for name in PLAIN:
            found = [
                100 * float(row["accuracy"])
                for row in rows
                if (row["case"], row["group"]) == (case, name) and int(row["seed"]) >= FIRST_SEED
            ]
            if len(found) > 1:
                mean, spread = statistics.fmean(found), statistics.stdev(found)
                print(f"| {case} | {name}, mean of seeds (deviation {spread:.1f}) | {len(found)} "
                      f"| {min(found):.1f} | | {mean:.1f} | | {max(found):.1f} |")  # fmt: skip


def _arguments(runner: argparse.ArgumentParser) -> None:
    runner.add_argument("case", choices=CASES)
    runner.add_argument("data", help="the image folder of the case")
    runner.add_argument("--cache", required=True, help="folder for decoded images")
    runner.add_argument("--members", type=int, default=20, help="random members of each space")
    runner.add_argument("--opponents", choices=PLAIN, nargs="*", default=PLAIN, help="without a name: none")
    runner.add_argument("--space", choices=SPACES, action="append", help="only of this; may be given several times")


def main() -> None:
    run_or_table("space_quality", __doc__, _arguments, run, table)


if __name__ == "__main__":
    main()
