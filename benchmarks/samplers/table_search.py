"""What `scalenas discover --benchmark` finds in a published table under a hard bound: EfficientNet-B0's own MACs.

    python -m benchmarks.samplers.table_search --table accel_nasbench.csv.gz [--seeds 20] [--trials 100]

Each seed is one run of the command, in a folder that is thrown away; its row in benchmarks/results/table_search.csv has
the network found, the fit's accuracy for it and for B0 in percent, and its multiply-adds. Goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from benchmarks.rows import append_row, read_rows
from nas.benchmark_table import load_table
from search_spaces import count_macs, reference_arch

RESULTS = Path(__file__).parents[1] / "results" / "table_search.csv"
FIELDS = ("seed", "trials", "accuracy", "b0_accuracy", "macs", "arch_id")
FIRST_SEED = 1000


def find(table: str, seed: int, trials: int) -> dict[str, object]:
    """The network that one run of the command names, as its baseline.json tells it."""
    with tempfile.TemporaryDirectory() as folder:
        asked = f"--target-macs b0 --max-macs b0 --trials {trials} --seed {seed} --json".split()
        command = [sys.executable, "-m", "experiments", "discover", "--benchmark", table, "--run", folder, *asked]
        found: dict[str, object] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", required=True)
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    options = parser.parse_args()
    b0 = reference_arch("efficientnet_b0")
    table = load_table(options.table)
    b0_accuracy = 100 * table.accuracy(table.params_of(b0))
    seeds = range(FIRST_SEED, FIRST_SEED + options.seeds)
    done = {int(row["seed"]) for row in read_rows(RESULTS) if int(row["trials"]) == options.trials}
    for seed in seeds:
        if seed not in done:
            found = find(options.table, seed, options.trials)
            accuracy = f"{100 * float(str(found['accuracy'])):.4f}"
            append_row(
                RESULTS, FIELDS, [seed, options.trials, accuracy, f"{b0_accuracy:.4f}", found["macs"], found["id"]]
            )
    rows = [r for r in read_rows(RESULTS) if int(r["seed"]) in seeds and int(r["trials"]) == options.trials]
    gains = np.array([float(row["accuracy"]) - float(row["b0_accuracy"]) for row in rows])
    macs = np.array([int(row["macs"]) for row in rows])
    low, middle, high = np.quantile(gains, [0.25, 0.5, 0.75])
    print(f"command: python -m benchmarks.samplers.table_search {' '.join(sys.argv[1:])}\nmachine: {machine()}")
    print(f"{len(rows)} searches of {options.trials} evaluations, at most {count_macs(b0):,} MACs (B0's)")
    print(f"accuracy of B0 by the fit: {b0_accuracy:.2f}")
    print(f"gain over B0 in points: median {middle:+.2f}, quartiles {low:+.2f} and {high:+.2f}, "
          f"range {gains.min():+.2f} to {gains.max():+.2f}")  # fmt: skip
    print(f"MACs: {macs.min():,} to {macs.max():,}")


if __name__ == "__main__":
    main()
