"""Do an average of the weights, or mixed images, improve the trainings of a frontier: measured on val.

    python -m benchmarks.training.averages_and_mixup run DATA ARCH --cache DIR [--epochs 10] [--weights FILE]
    python -m benchmarks.training.averages_and_mixup table

ARCH: an architecture's file or a run folder; it is trained from nothing by the recipe `fast`, or from the weights of
FILE by `fine_tune`. Mixup (Zhang et al. 2018, "mixup: Beyond Empirical Risk Minimization", equation 1): every batch is
a blend of itself and of itself in another order, in shares drawn from Beta(alpha, alpha), and its loss the same blend.
Averages do not change a training: of each training several, and the last weights, are measured. Each is a row of
benchmarks/results/averages_and_mixup.csv; goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows
from benchmarks.training.networks import network_arguments, open_network
from nas.data.feed import open_feed
from nas.pool.slots import keep_memory
from nas.training.loop import Training, predict
from nas.training.numerics import FLOAT32, repeatable
from nas.training.objective import ACCURACY, FROM_SCRATCH, Objective
from nas.training.optimizer import Average
from nas.training.proxy import ProxyEvaluator
from search_spaces import ArchSpec, count_macs

RESULTS = Path(__file__).parents[1] / "results" / "averages_and_mixup.csv"
FIELDS = ("data", "network", "macs", "images", "recipe", "epochs", "mixup", "seed", "weights", "accuracy")
ALPHAS = (0.0, 0.2)
DECAYS = (0.95, 0.99, 0.9999)
"""In trainings of less than some 890 steps the last two are not reached: both averages span the last ninth of the steps
(see Average)."""


@dataclass
class Mixed(Training):
    """A training on blended batches, unless `alpha` is 0, beside which averages of its weights are kept."""

    alpha: float = 0.0
    averages: dict[float, Average] = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.averages = {decay: Average(self.network, decay) for decay in DECAYS}
        self.draws = np.random.default_rng(self.seed)

    def step(self, images: Tensor, labels: Tensor, objective: Objective = FROM_SCRATCH) -> Tensor:
        """One step on the blend."""
        if self.alpha:
            share = float(self.draws.beta(self.alpha, self.alpha))
            order = torch.from_numpy(self.draws.permutation(len(images)))
            blend, others = share * images + (1 - share) * images[order], labels[order]
        else:
            share, blend, others = 1.0, images, labels
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.network(blend)
        loss = objective.loss_of(logits, blend, labels, self.recipe.label_smoothing)
        if self.alpha:
            loss = share * loss + (1 - share) * objective.loss_of(logits, blend, others, self.recipe.label_smoothing)
        loss.backward()
        self.optimizer.step()
        for average in self.averages.values():
            average.update(self.network)
        return loss.detach()


def run(options: argparse.Namespace) -> None:
    keep_memory()
    arch, evaluator = open_network(options)
    dataset = evaluator.dataset
    case = (
        dataset.name.rpartition("/")[2], Path(options.arch).stem, count_macs(arch, None, dataset.num_classes),
        dataset.counts["train"], evaluator.recipe.name, options.epochs,
    )  # fmt: skip
    done = {tuple(row[name] for name in FIELDS[:8]) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for alpha in ALPHAS:
            key = (*case, alpha, seed)
            if tuple(map(str, key)) not in done:
                for weights, accuracy in trained(evaluator, arch, options.epochs, alpha, seed).items():
                    append_row(RESULTS, FIELDS, (*key, weights, f"{accuracy:.5f}"))
                    print(*key, weights, f"{accuracy:.5f}", flush=True)


def trained(evaluator: ProxyEvaluator, arch: ArchSpec, epochs: int, alpha: float, seed: int) -> dict[str, float]:
    """Accuracy on val by whose weights it is: those of the last step, or an average's."""
    cpu = torch.device("cpu")
    with repeatable(seed, cpu, FLOAT32):
        network = evaluator.network(arch, epochs, cpu)
        train, val = (
            open_feed(
                evaluator.dataset, split, cpu, share=1.0, resolution=arch.resolution, channels=arch.input_channels
            )
            for split in ("train", "val")
        )
        training = Mixed(network, evaluator.recipe, train, epochs, seed, evaluator.dataset.flip, alpha=alpha)
        for epoch in range(1, epochs + 1):
            training.run_epoch(epoch, evaluator.objective)
        networks = {"last": network} | {f"average {decay}": of.network for decay, of in training.averages.items()}
        return {
            name: ACCURACY.of(predict(each, val, training.eval_batch), val.labels) for name, each in networks.items()
        }


def table() -> None:
    """Mean and spread over seeds of each way, and its difference from the last weights without mixup, paired."""
    cases: dict[tuple[str, ...], dict[tuple[str, str], dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in read_rows(RESULTS):
        ways = cases[tuple(row[name] for name in FIELDS[:6])]
        ways[row["mixup"], row["weights"]][row["seed"]] = 100 * float(row["accuracy"])
    for (data, network, macs, images, recipe, epochs), ways in cases.items():
        print(f"{data}, {images} images; {network}, {int(macs) / 1e6:.1f} M, recipe {recipe}, {epochs} epochs")
        plain = ways[str(ALPHAS[0]), "last"]
        for (alpha, weights), values in ways.items():
            gains = [value - plain[seed] for seed, value in values.items() if seed in plain]
            spread = f" (sd {statistics.stdev(values.values()):.1f})" if len(values) > 1 else ""
            error = f" (SE {statistics.stdev(gains) / len(gains) ** 0.5:.1f})" if len(gains) > 1 else ""
            print(
                f"  mixup {alpha}, {weights:14}: val {statistics.fmean(values.values()):.1f} %{spread}, "
                f"n {len(values)}, {statistics.fmean(gains):+.1f}{error}"
            )


if __name__ == "__main__":
    run_or_table("training.averages_and_mixup", __doc__, network_arguments, run, table)
