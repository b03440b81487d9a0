"""The default sampler against random search and TPE on real trainings: what each finds in equally many.

    python -m benchmarks.samplers.proxies run cifar10 --runs DIR      (goes on where it was stopped)
    python -m benchmarks.samplers.proxies table

Each search is a run of `scalenas discover` with the preset cifar10_cpu: 40 trainings, then the best three again at
three fresh seeds each; the score of the one that is best then is a row of benchmarks/results/proxy_samplers.csv. The
seed also decides which images are drawn, so samplers are compared at equal seeds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks.commands import run_or_table
from benchmarks.rows import append_row, read_rows

RESULTS = Path(__file__).parents[1] / "results" / "proxy_samplers.csv"
FIELDS = ("sampler", "seed", "trials", "score", "accuracy", "accuracy_std", "n", "macs", "arch_id")
SAMPLERS = ("default", "random", "tpe")


def run(options: argparse.Namespace) -> None:
    """Fill the results file with every search that it lacks."""
    done = {(row["sampler"], int(row["seed"])) for row in read_rows(RESULTS)}
    for seed in range(options.seeds):
        for sampler in options.samplers.split(","):
            if (sampler, seed) in done:
                continue
            folder = Path(options.runs) / f"{sampler}_{seed}"
            command = [sys.executable, "-m", "experiments", "discover", options.data, "--run", str(folder), "--preset",
                       "cifar10_cpu", "--sampler", sampler, "--seed", str(seed), "--json"]  # fmt: skip
            if options.workers:
                command += ["--workers", str(options.workers)]
            found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
            trials = json.loads((folder / "run.json").read_text())["steps"]["discover"]["settings"]["trials"]
            append_row(RESULTS, FIELDS, [
                sampler, seed, trials, f"{found['score']:.5f}", f"{found['accuracy']:.5f}",
                f"{found['accuracy_std']:.5f}", found["n"], found["macs"], found["id"],
            ])  # fmt: skip
            print(sampler, seed, f"score {100 * found['score']:.2f}, {found['macs']:,} MACs", flush=True)


def table() -> None:
    """Print the results file as Markdown."""
    rows = read_rows(RESULTS)
    scores = {(row["sampler"], int(row["seed"])): 100 * float(row["score"]) for row in rows}
    seeds = sorted({seed for _, seed in scores})
    print("| sampler | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean (standard deviation) |")
    print("|---" * (len(seeds) + 2) + "|")
    for sampler in SAMPLERS:
        values = [scores[sampler, seed] for seed in seeds if (sampler, seed) in scores]
        cells = [f"{scores[sampler, seed]:.2f}" if (sampler, seed) in scores else "" for seed in seeds]
        spread = f" ({statistics.stdev(values):.2f})" if len(values) > 1 else ""
        mean = f"{statistics.fmean(values):.2f}{spread}" if values else ""
        print(f"| {sampler} | {' | '.join(cells)} | {mean} |")


def _arguments(runner: argparse.ArgumentParser) -> None:
    runner.add_argument("data", help="CIFAR-10 as an image folder")
    runner.add_argument("--runs", required=True, help="folder for the runs")
    runner.add_argument("--seeds", type=int, default=3)
    runner.add_argument("--samplers", default=",".join(SAMPLERS))
    runner.add_argument("--workers", type=int, help="trainings at a time")


def main() -> None:
    run_or_table("samplers.proxies", __doc__, _arguments, run, table)


if __name__ == "__main__":
    main()
