"""Stopping trials early under a sampler that learns: searches of a planted space with made-up learning curves.

    python -m benchmarks.pool.pruning_guided [--seeds 8]      (prints a table of docs/pool.md)

The space is `planted_small` (see benchmarks/samplers/planted.py). After epoch e a network of accuracy a shows a - gap
+ noise, with the noise so large that over random networks the correlation with a is CORRELATIONS[e - 1], near those of
the recorded curves of benchmarks/pool/pruning.py; the last epoch's has a standard deviation of 0.4 points. What counts
is the true score, without noise, of the network with the best told score.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.pruners import BasePruner, SuccessiveHalvingPruner
from optuna.trial import TrialState

from benchmarks.samplers.planted import Problem, planted_small
from nas.evaluation import Fidelity, Outcome, Report, Request
from nas.figures import Figure, Parameters
from nas.pool.inline import InlineExecutor
from nas.samplers import make_sampler
from nas.samplers.base import HistorySampler
from nas.samplers.grid import Rows
from nas.score import Score
from nas.search import SearchPlan, discover
from nas.study.pruning import make_pruner
from search_spaces import ArchSpec, StageSpec

CORRELATIONS = (0.4, 0.7, 0.85, 0.9, 0.98)
EPOCHS = len(CORRELATIONS) + 1
GAPS = np.linspace(0.3, 0.0, EPOCHS)
TRIALS = 60


@dataclass(frozen=True, eq=False)
class Numbered:
    """The problem's networks as architectures: the number of a row of choices is the channels of one stage, less 1."""

    problem: Problem

    def distributions(self) -> dict[str, Any]:
        return self.problem.distributions

    def decode(self, params: Mapping[str, Any]) -> ArchSpec:
        number = int(np.ravel_multi_index(tuple(self.problem.grid.row(params)), tuple(self.problem.grid.sizes)))
        return ArchSpec(stages=(StageSpec(channels=number + 1),))

    def row(self, arch: ArchSpec) -> Rows:
        return np.array(np.unravel_index(arch.stages[0].channels - 1, tuple(self.problem.grid.sizes)))[None]


@dataclass(frozen=True, eq=False)
class PlantedMacs(Figure):
    """Multiply-adds by the problem's own word."""

    space: Numbered
    name = "macs"
    words = "multiply-adds of the planted problem"

    def of(self, arch: ArchSpec) -> int:
        return int(self.space.problem.macs_of_rows(self.space.row(arch))[0])


@dataclass(frozen=True, eq=False)
class MadeUp:
    """Shows the curve of a network, the same whenever it is asked."""

    space: Numbered
    noise: NDArray[np.float64]  # standard deviation after each epoch
    seed: int

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        rng = np.random.default_rng([zlib.crc32(request.key.encode()), self.seed])
        problem = self.space.problem
        final = float(problem.accuracy(self.space.row(request.arch))[0]) + rng.normal(0, problem.noise)
        curve = np.clip(final - GAPS + self.noise * rng.normal(size=EPOCHS), 0, 1)
        done = 0
        for epoch, accuracy in enumerate(curve.tolist(), 1):
            done = epoch
            if not report(epoch, accuracy):
                break
        return Outcome(accuracy=float(curve[done - 1]), seconds=float(done))


def search(sampler: str, pruner: BasePruner | None, seed: int, *, estimates: bool = True) -> tuple[int, float]:
    """Epochs trained and the true score, in points, of what is found. estimates: the sampler sees what stopped trials
    would have come to, not only that they were stopped."""
    space = Numbered(planted_small())
    problem = space.problem
    spread = problem.accuracy(problem.grid.random(np.random.default_rng(0), 4000)).std()
    noise = spread * np.array([*((1 / r**2 - 1) ** 0.5 for r in CORRELATIONS), 0.0])
    score = Score(problem.target)
    made = make_sampler(sampler, seed=seed, macs=problem.macs, score=score)
    if isinstance(made, HistorySampler) and not estimates:
        made._reader.read = functools.partial(made._reader.read, estimates=False)  # type: ignore[method-assign]
    study = optuna.create_study(study_name=f"seed {seed}", direction="maximize", sampler=made)
    macs = PlantedMacs(space)
    plan = SearchPlan(space, score, Fidelity(EPOCHS), TRIALS, (macs, Parameters()), pruner=pruner)
    found = discover(plan, made, InlineExecutor(MadeUp(space, noise, seed)), study)
    best = found[0].arch
    spent = sum(len(t.intermediate_values) for t in study.trials if t.state != TrialState.RUNNING)
    return spent, 100 * score(float(problem.accuracy(space.row(best))[0]), macs.of(best))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=8)
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows: dict[str, tuple[str, Any, bool]] = {
        "default, none": ("default", lambda: None, True),
        "default, halving": ("default", lambda: make_pruner("halving", EPOCHS), True),
        "default, halving, without estimates": ("default", lambda: make_pruner("halving", EPOCHS), False),
        "default, hyperband": ("default", lambda: make_pruner("hyperband", EPOCHS), True),
        "default, halving by 2": ("default", lambda: SuccessiveHalvingPruner(1, reduction_factor=2), True),
        "random, none": ("random", lambda: None, True),
        "random, halving": ("random", lambda: make_pruner("halving", EPOCHS), True),
    }
    print(f"searches of {TRIALS} trials of {EPOCHS} epochs, n = {args.seeds}\n")
    print("| sampler, pruner | epochs, share | true score of what is found, points (SE) |")
    print("|---|---|---|")
    for name, (sampler, pruner, estimates) in rows.items():
        found = [search(sampler, pruner(), seed, estimates=estimates) for seed in range(args.seeds)]
        scores = [score for _, score in found]
        share = statistics.fmean(epochs for epochs, _ in found) / (TRIALS * EPOCHS)
        error = statistics.stdev(scores) / len(scores) ** 0.5
        print(f"| {name} | {100 * share:.0f} % | {statistics.fmean(scores):.2f} ({error:.2f}) |", flush=True)


if __name__ == "__main__":
    main()
