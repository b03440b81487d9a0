"""How long counting takes: one network cold, many encodings by table, and fvcore on the same networks.

    python -m benchmarks.figures.counting

Prints the command, the machine, n, median and spread (quartiles); nothing is asserted. Cold means that each network
is a random member that was never counted before, its layers built anew.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import numpy as np
import torch
from fvcore.nn import FlopCountAnalysis

from benchmarks.machine import machine
from search_spaces import ArchSpec, StagedSpace, build_network, cost_table, count_macs, mbconv_space, mnasnet_space

CLASSES = 1000
Value = TypeVar("Value")


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the counting of multiply-adds.")
    parser.add_argument("--networks", type=int, default=300, help="networks counted one by one (default 300)")
    parser.add_argument("--encodings", type=int, default=100_000, help="encodings counted by table (default 100000)")
    parser.add_argument("--repeats", type=int, default=7, help="repeats of the table (default 7)")
    parser.add_argument("--fvcore", type=int, default=7, help="networks given to fvcore as well (default 7)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)

    print(f"command: python -m benchmarks.figures.counting {' '.join(sys.argv[1:])}".rstrip())
    print(f"machine: {machine()}, one thread, load {os.getloadavg()[0]:.1f}")
    for space in (mnasnet_space(), mbconv_space()):
        archs = members(space, options.networks)
        report(f"{space.name}: count_macs, one network, cold", timed(count_macs, archs))
        tables = timed(partial(count_by_table, space, options.encodings), range(options.repeats))
        report(f"{space.name}: {options.encodings} encodings by table, filling included", tables)
        report(f"{space.name}: fvcore, network built beforehand", timed_fvcore(archs[: options.fvcore]))


def members(space: StagedSpace, n: int) -> list[ArchSpec]:
    """Random members of the space."""
    return [space.decode(space.params(row)) for row in space.sample(np.random.default_rng(0), n)]


def count_by_table(space: StagedSpace, n: int, seed: int) -> np.ndarray:
    """Fill the table, then count `n` random encodings; drawing them is part of it."""
    return cost_table(space, CLASSES).count(space.sample(np.random.default_rng(seed), n))


def timed_fvcore(archs: list[ArchSpec]) -> list[float]:
    """Seconds of fvcore's count of each network, whose building is not counted."""
    jobs = [
        (build_network(arch, CLASSES).eval(), torch.zeros(1, 3, arch.resolution, arch.resolution)) for arch in archs
    ]

    def count(job: tuple[torch.nn.Module, torch.Tensor]) -> int:
        analysis = FlopCountAnalysis(*job).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        return int(analysis.total())

    with torch.no_grad():
        return timed(count, jobs)


def timed(function: Callable[[Value], object], values: Iterable[Value]) -> list[float]:
    """Seconds of each call."""
    seconds = []
    for value in values:
        start = time.perf_counter()
        function(value)
        seconds.append(time.perf_counter() - start)
    return seconds


def report(name: str, seconds: list[float]) -> None:
    """One line: n, median, quartiles, worst."""
    low, median, high = (1000 * q for q in np.quantile(seconds, (0.25, 0.5, 0.75)))
    worst = 1000 * max(seconds)
    print(
        f"{name}: n {len(seconds)}, median {median:.3f} ms, quartiles {low:.3f} to {high:.3f} ms, worst {worst:.3f} ms"
    )


if __name__ == "__main__":
    main()
