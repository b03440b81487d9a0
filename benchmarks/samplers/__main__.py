"""How many evaluations each sampler needs: runs of all of them on known problems, and the tables of docs/samplers.md.

    python -m benchmarks.samplers run --table accel_nasbench.csv.gz     (one process; goes on where it was stopped)
    python -m benchmarks.samplers tables

`--samplers smac,botorch,hebo` runs those of other projects (benchmarks.peers.samplers), where they are installed.

Each run is one row of benchmarks/results/samplers.csv: problem, setting, sampler, seed, the mean seconds per
suggestion, and the regret (points of score) of what the search would recommend after n finished evaluations.
"""

from __future__ import annotations

import argparse
import heapq
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.samplers import BaseSampler

from benchmarks.peers.samplers import PEERS
from benchmarks.rows import append_row, read_rows
from benchmarks.samplers.planted import Problem, accel_nasbench, planted_large, planted_small
from benchmarks.samplers.tables import SLOW, lines
from nas.samplers import make_sampler, recommend
from nas.samplers.grid import Rows, keys
from nas.samplers.model.surrogate import Surrogates
from nas.score import Score
from nas.study.attributes import REPEAT

RESULTS = Path(__file__).parents[1] / "results" / "samplers.csv"
FIELDS = ("problem", "setting", "sampler", "seed", "seconds", "curve")
SAMPLERS = ("default", "hill_climbing", "evolution", "tpe", "nsga2", "ppo", "random")
FIRST_SEED = 1000
ASKS = 3
"""A search ends when it has asked this many times as often as it may evaluate, answers from memory included."""


@dataclass(frozen=True)
class Setting:
    """evaluations: finished ones per run; workers: trials pending at a time; exponent of the score's cost term."""

    name: str
    evaluations: int = 300
    workers: int = 1
    noisy: bool = False
    exponent: float = -0.07


SETTINGS = (
    Setting("clean", evaluations=500),
    Setting("noisy", noisy=True),
    Setting("workers16", workers=16),
    Setting("accuracy", evaluations=500, exponent=0.0),
)


@dataclass(frozen=True, eq=False)
class Task:
    """A problem under a setting, with the best score that anybody knows."""

    problem: Problem
    setting: Setting

    @property
    def name(self) -> str:
        return f"{self.problem.name}/{self.setting.name}"

    @cached_property
    def score(self) -> Score:
        return Score(self.problem.target, self.setting.exponent)

    def points(self, rows: Rows) -> NDArray[np.float64]:
        """True score in points, shape (n,)."""
        ratio = self.problem.macs_of_rows(rows) / self.score.target_macs
        return 100 * self.problem.accuracy(rows) * ratio**self.setting.exponent

    @cached_property
    def best(self) -> float:
        """The best that 300 steepest ascents find, followed by ascents from all pairs of changes of their summit."""
        grid = self.problem.grid
        rows = grid.random(np.random.default_rng(0), 3000)
        summit = self._climb(rows[np.argsort(-self.points(rows))[:300]])
        while True:
            pairs = np.unique(np.concatenate([grid.neighbours(row) for row in grid.neighbours(summit)]), axis=0)
            points = self.points(pairs)
            if points.max() <= self.points(summit[None])[0] + 1e-9:
                return float(self.points(summit[None])[0])
            summit = self._climb(pairs[np.argsort(-points)[:10]])

    def _climb(self, rows: Rows) -> Rows:
        """The highest summit that steepest ascents from `rows` reach."""
        reached = self.points(rows)
        while True:
            near = [self.problem.grid.neighbours(row) for row in rows]
            steps = np.split(self.points(np.concatenate(near)), np.cumsum([len(rows) for rows in near])[:-1])
            better = [i for i, points in enumerate(steps) if points.max() > reached[i] + 1e-9]
            if not better:
                return np.asarray(rows[int(reached.argmax())])
            rows = rows.copy()
            for i in better:
                rows[i], reached[i] = near[i][int(steps[i].argmax())], steps[i].max()
            # Ascents that met go on as one.
            rows, first = np.unique(rows, axis=0, return_index=True)
            reached = reached[first]


def simulate(task: Task, sampler: str, seed: int) -> tuple[list[tuple[int, float]], float]:
    """One search: [(n, regret)] wherever the regret changes, and the mean seconds per suggestion.

    The search ends when nothing better is left. Workers finish in the order of random durations. A known point is
    answered from memory and counts nothing, unless the sampler asks for a repetition; what the search recommends is
    the best told value, or the model's choice.
    """
    problem, setting = task.problem, task.setting
    grid = problem.grid
    evaluations = min(task.setting.evaluations, SLOW.get(sampler, task.setting.evaluations))
    if sampler in PEERS:
        made: BaseSampler = PEERS[sampler](problem.distributions, seed, evaluations)
    else:
        made = make_sampler(sampler, seed=seed, macs=problem.macs, score=task.score)
    study = optuna.create_study(direction="maximize", sampler=made)
    noise = np.random.default_rng([seed, 1])
    clock = np.random.default_rng([seed, 2])
    running: list[tuple[float, int, optuna.trial.Trial]] = []
    answers: dict[bytes, float] = {}
    curve: list[tuple[int, float]] = []
    incumbent = Incumbent(task, setting.noisy and sampler == "default")
    finished, now, spent, asked = 0, 0.0, 0.0, 0
    while finished < evaluations and asked < ASKS * evaluations:
        while len(running) < setting.workers:
            start = time.perf_counter()
            trial = study.ask(problem.distributions)
            spent += time.perf_counter() - start
            asked += 1
            key = keys(grid.row(trial.params)[None])[0]
            frozen = study.get_trials(deepcopy=False)[trial.number]
            if key in answers and REPEAT not in frozen.system_attrs:
                study.tell(trial, answers[key])
                if asked >= ASKS * evaluations:
                    break
                continue
            heapq.heappush(running, (now + clock.uniform(0.5, 1.5), trial.number, trial))
        if not running:
            break
        now, _, trial = heapq.heappop(running)
        row = grid.row(trial.params)
        accuracy = float(problem.accuracy(row[None])[0])
        if setting.noisy:
            accuracy += float(noise.normal(0, problem.noise))
        value = task.score(accuracy, float(problem.macs_of_rows(row[None])[0]))
        trial.set_user_attr("accuracy", accuracy)
        answers.setdefault(keys(row[None])[0], value)
        study.tell(trial, value)
        finished += 1
        regret = incumbent.regret(study, row, value, finished)
        if not curve or regret != curve[-1][1]:
            curve.append((finished, regret))
        if regret < 1e-9 and not setting.noisy:
            break
    return curve, spent / asked


class Incumbent:
    """What a search stopped now would return: the best told value, or under noise the default's recommendation."""

    def __init__(self, task: Task, recommending: bool) -> None:
        self._task = task
        self._recommending = recommending
        self._cache = Surrogates()
        self._value = -np.inf
        self._regret = np.inf

    def regret(self, study: optuna.Study, row: Rows, value: float, finished: int) -> float:
        """The regret after one more evaluation; a recommendation is asked for at every fifth."""
        if self._recommending and finished > 10:
            if finished % 5:
                return self._regret
            found = recommend(study, macs=self._task.problem.macs, score=self._task.score, cache=self._cache)
            row = self._task.problem.grid.row(found[0].params)
        elif value <= self._value:
            return self._regret
        self._value = value
        self._regret = self._task.best - float(self._task.points(row[None])[0])
        return self._regret


def tasks(table: str | None) -> Iterator[Task]:
    """All problems under all settings; ANB only where its table is given."""
    problems = [planted_small(), planted_large()]
    if table:
        problems.insert(0, accel_nasbench(table))
    for problem in problems:
        for setting in SETTINGS:
            yield Task(problem, setting)


def run(args: argparse.Namespace) -> None:
    """Fill the results file with every run that it lacks."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    done = {(r["problem"], r["setting"], r["sampler"], int(r["seed"])) for r in read_rows(RESULTS)}
    every = [task for task in tasks(args.table) if args.only is None or task.name in args.only.split(",")]
    for seed in range(FIRST_SEED, FIRST_SEED + args.seeds):
        for sampler in args.samplers.split(","):
            for task in every:
                name = (task.problem.name, task.setting.name, sampler, seed)
                if name in done or (sampler in PEERS and task.setting.workers > 1):
                    continue
                curve, seconds = simulate(task, sampler, seed)
                text = " ".join(f"{n}:{regret:.4f}" for n, regret in curve)
                append_row(RESULTS, FIELDS, [*name, f"{seconds:.4f}", text])
                print(*name, f"{seconds * 1e3:.0f} ms per suggestion, regret {curve[-1][1]:.3f}", flush=True)


def tables(args: argparse.Namespace) -> None:  # noqa: ARG001
    """Print the results file as Markdown."""
    print("\n".join(lines(RESULTS, {setting.name: setting.evaluations for setting in SETTINGS})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--table", help="accel_nasbench.csv.gz; without it, the planted spaces only")
    runner.add_argument("--seeds", type=int, default=30)
    runner.add_argument("--samplers", default=",".join(SAMPLERS))
    runner.add_argument("--only", help="problem/setting, comma-separated")
    runner.set_defaults(command=run)
    commands.add_parser("tables").set_defaults(command=tables)
    args = parser.parse_args()
    args.command(args)


if __name__ == "__main__":
    main()
