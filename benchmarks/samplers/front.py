"""How much of the best known front of accuracy against log MACs a search covers after 200 evaluations.

    python -m benchmarks.samplers.front --table accel_nasbench.csv.gz [--seeds 10] [--samplers default,tpe,nsga2,random]

The share is of hypervolume. Its reference point is the worst of 5,000 uniform networks on each axis. The best known
front is what repeated moves to all single changes of its members end at. Results: benchmarks/results/front.csv.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray

from benchmarks.rows import append_row, read_rows
from benchmarks.samplers.planted import Problem, accel_nasbench, planted_large, planted_small
from nas.pareto import pareto_front
from nas.samplers import make_sampler
from nas.samplers.grid import Rows

RESULTS = Path(__file__).parents[1] / "results" / "front.csv"
FIELDS = ("problem", "sampler", "seed", "share")
EVALUATIONS = 200
Floats = NDArray[np.float64]


def hypervolume(cost: Floats, value: Floats, worst_cost: float, worst_value: float) -> float:
    """The area between the front's staircase and the reference point."""
    kept = (cost < worst_cost) & (value > worst_value)
    cost, value = cost[kept], value[kept]
    front = pareto_front(cost.tolist(), value.tolist())
    widths = np.diff(np.append(cost[front], worst_cost))
    return float((widths * (value[front] - worst_value)).sum())


def best_front(problem: Problem) -> tuple[Floats, Floats]:
    """Log costs and accuracies of the best known front."""
    grid = problem.grid
    rows = grid.random(np.random.default_rng(1), 5000)
    rows = _front_of(problem, rows)
    while True:
        near = np.concatenate([rows, *(grid.neighbours(row) for row in rows)])
        better = _front_of(problem, np.unique(near, axis=0))
        if len(better) == len(rows) and (better == rows).all():
            return np.log(problem.macs_of_rows(rows)), problem.accuracy(rows)
        rows = better


def _front_of(problem: Problem, rows: Rows) -> Rows:
    front = pareto_front(problem.macs_of_rows(rows).tolist(), problem.accuracy(rows).tolist())
    return np.asarray(rows[front])


def share(problem: Problem, sampler: str, seed: int, worst: tuple[float, float], best: float) -> float:
    """The share that one search covers."""
    made = make_sampler(sampler, seed=seed, macs=problem.macs)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=made)
    for _ in range(EVALUATIONS):
        trial = study.ask(problem.distributions)
        row = problem.grid.row(trial.params)[None]
        study.tell(trial, (float(problem.accuracy(row)[0]), float(np.log(problem.macs_of_rows(row)[0]))))
    values = np.array([trial.values for trial in study.get_trials(deepcopy=False)])
    return hypervolume(values[:, 1], values[:, 0], *worst) / best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--samplers", default="default,tpe,nsga2,random")
    parser.add_argument("--problems", default="anb,planted-small,planted-large")
    args = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    done = {(r["problem"], r["sampler"], int(r["seed"])): float(r["share"]) for r in read_rows(RESULTS)}
    problems = [p for p in (accel_nasbench(args.table), planted_small(), planted_large()) if p.name in args.problems]
    for problem in problems:
        uniform = problem.grid.random(np.random.default_rng(2), 5000)
        worst = float(np.log(problem.macs_of_rows(uniform)).max()), float(problem.accuracy(uniform).min())
        best = hypervolume(*best_front(problem), *worst)
        for sampler in args.samplers.split(","):
            for seed in range(1000, 1000 + args.seeds):
                if (problem.name, sampler, seed) not in done:
                    done[problem.name, sampler, seed] = share(problem, sampler, seed, worst, best)
                    append_row(
                        RESULTS, FIELDS, [problem.name, sampler, seed, f"{done[problem.name, sampler, seed]:.4f}"]
                    )
            shares = [done[problem.name, sampler, seed] for seed in range(1000, 1000 + args.seeds)]
            low, middle, high = np.quantile(shares, [0.25, 0.5, 0.75])
            print(f"| {problem.name} | {sampler} | {len(shares)} | {middle:.3f} [{low:.3f}, {high:.3f}] |", flush=True)


if __name__ == "__main__":
    main()
