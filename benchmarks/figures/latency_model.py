"""How well latencies are ranked by a model fitted to a few of them, on the devices of a table of measured networks.

    python -m benchmarks.figures.latency_model accel_nasbench.csv.gz

Kendall's tau between predicted and measured latency over other networks than those fitted. Columns `latency_ms_*` are
taken as they are, `images_per_s_*` as their inverse.
"""

from __future__ import annotations

import argparse

import numpy as np
from scipy.stats import kendalltau

from nas.benchmark_table import BenchmarkTable, load_table
from nas.figures.latency_model import features, fit_regressor
from search_spaces import ArchSpec

CHOICES = ("expand", "kernel", "layers", "se")


def device_taus(table: BenchmarkTable, fitted: int, tested: int, seed: int) -> dict[str, float]:
    """Kendall's tau of each device column, from `fitted` networks over `tested` others."""
    rng = np.random.default_rng(seed)
    columns = [str(name) for name in table.frame if str(name).startswith(("latency_ms_", "images_per_s_"))]
    cache: dict[int, np.ndarray] = {}
    taus = {}
    for column in columns:
        known = np.flatnonzero(table.frame[column].notna().to_numpy())
        chosen = rng.permutation(known)[: fitted + tested]
        rows = np.array([_features(table, int(row), cache) for row in chosen])
        figures = table.frame[column].to_numpy(float)[chosen]
        latency = np.log(figures if column.startswith("latency") else 1 / figures)
        model = fit_regressor(rows[:fitted], latency[:fitted])
        taus[column] = float(kendalltau(model.predict(rows[fitted:]), latency[fitted:]).statistic)
    return taus


def _features(table: BenchmarkTable, row: int, cache: dict[int, np.ndarray]) -> np.ndarray:
    if row not in cache:
        arch = _arch(table, row)
        cache[row] = features(arch, 1000, len(arch.stages))
    return cache[row]


def _arch(table: BenchmarkTable, row: int) -> ArchSpec:
    names = [choice.name for choice in table.space.choices]
    return table.space.decode({name: int(table.frame[name].iloc[row]) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--fitted", type=int, default=200)
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    table = load_table(args.table)
    found = [device_taus(table, args.fitted, args.tested, seed) for seed in range(args.seeds)]
    for column in found[0]:
        values = [taus[column] for taus in found]
        print(f"{column}: tau {np.mean(values):.3f} ({', '.join(f'{value:.3f}' for value in values)})")


if __name__ == "__main__":
    main()
