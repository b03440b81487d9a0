"""How well latencies are predicted from a few that are measured, on the devices of a table of measured networks.

    python -m benchmarks.figures.latency_model accel_nasbench.csv.gz [--measured 25 50] [--seeds 10]

For each device and seed a few networks of the table are measured, drawn at random or chosen from six times as many as
the search chooses them, and a thousand others are predicted. Prints Spearman's rank correlation between predicted and
measured latency over these, the mean over seeds and the least, the median error, and both figures as the model states
them of the networks that it was fitted to. Columns `latency_ms_*` are taken as they are, `images_per_s_*` as their
inverse; a device that has both is taken by the first.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from benchmarks.machine import machine
from experiments.run.pricing import DRAWN_FOR_EACH
from nas.benchmark_table import BenchmarkTable, load_table
from nas.figures.latency import Latency, LatencyBook
from search_spaces import ArchSpec

LATENCY, THROUGHPUT = "latency_ms_", "images_per_s_"


@dataclass(frozen=True)
class TableDevice:
    """A device of the table in place of one that measures: milliseconds by network id."""

    words: str
    known: Mapping[str, float]

    def measure(self, arch: ArchSpec, _num_classes: int) -> float:
        return self.known[arch.id]


class Found(NamedTuple):
    """Rank correlation and median error over other networks, and as the model states them."""

    rank: float
    error: float
    stated_rank: float
    stated_error: float


def devices(table: BenchmarkTable) -> dict[str, str]:
    """The column of each device, by its name."""
    columns = [str(name) for name in table.frame]
    return {
        name.removeprefix(prefix): name
        for prefix in (THROUGHPUT, LATENCY)
        for name in columns
        if name.startswith(prefix)
    }


def few_shot(table: BenchmarkTable, column: str, measured: int, tested: int, seed: int, *, chosen: bool) -> Found:
    """What a model says of `tested` networks that knows `measured` others, drawn at random or chosen from more."""
    rows = np.flatnonzero(table.frame[column].notna().to_numpy())
    rows = np.random.default_rng(seed).permutation(rows)[: tested + DRAWN_FOR_EACH * measured]
    archs = [_arch(table, int(row)) for row in rows]
    figures = table.frame[column].to_numpy(float)[rows]
    times = figures if column.startswith(LATENCY) else 1000 / figures
    device = TableDevice(column, {arch.id: float(time) for arch, time in zip(archs, times, strict=True)})
    pool = archs[tested:] if chosen else archs[tested : tested + measured]
    with tempfile.TemporaryDirectory() as room:
        book = LatencyBook(Path(room) / "latency.json", device, 1000)
        model = Latency.fit(book, pool, measured, lambda _: None).model
    predicted = model.predict(archs[:tested])
    rank = float(spearmanr(predicted, times[:tested]).statistic)
    return Found(rank, float(np.median(np.abs(predicted / times[:tested] - 1))), model.rank, model.error)


def _arch(table: BenchmarkTable, row: int) -> ArchSpec:
    names = [choice.name for choice in table.space.choices]
    return table.space.decode({name: int(table.frame[name].iloc[row]) for name in names})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--measured", type=int, nargs="+", default=[25, 50])
    parser.add_argument("--tested", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=10)
    args = parser.parse_args()
    print(f"command: python -m benchmarks.figures.latency_model {' '.join(sys.argv[1:])}; {machine()}; n {args.seeds}")
    table = load_table(args.table)
    for measured in args.measured:
        for chosen in (False, True):
            print(f"{measured} networks measured, {'chosen' if chosen else 'drawn at random'}:")
            for device, column in devices(table).items():
                found = [
                    few_shot(table, column, measured, args.tested, seed, chosen=chosen) for seed in range(args.seeds)
                ]
                mean = Found(*np.mean(found, axis=0).tolist())
                print(
                    f"  {device}: Spearman {mean.rank:.3f} (least {min(each.rank for each in found):.3f}), "
                    f"median error {100 * mean.error:.1f} %; as stated {mean.stated_rank:.3f} and "
                    f"{100 * mean.stated_error:.1f} %"
                )


if __name__ == "__main__":
    main()
