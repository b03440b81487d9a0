"""The trainings of benchmarks/results/recipes.csv and the tables drawn from them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from scipy import stats

from benchmarks.rows import read_rows
from nas.training.recipe import fast

RESULTS = Path(__file__).parents[1] / "results" / "recipes.csv"
FIELDS = ("network", "recipe", "rate", "epochs", "seed", "accuracy", "seconds", "images", "macs", "resolution")
LENGTHS = (1, 5, 10)
PAPER_EPOCHS = 15
SHAPES_EPOCHS = 5
FIRST_TUNING_SEED = 100
TUNING_SEEDS = {1: (100, 101, 102), 5: (100,), 10: (100,)}  # by length: single epochs are noisy
RATES = {"sgd": (0.03, 0.1, 0.25, 0.5, 1.0), "adamw": (0.0025, 0.005, 0.01, 0.02, 0.04, 0.08)}


@dataclass(frozen=True)
class Run:
    """One training: a row of the results."""

    network: str
    recipe: str
    rate: float
    epochs: int
    seed: int


Done = Mapping[Run, float]


def read_results() -> dict[Run, float]:
    """Accuracies of the trainings in the results file, if it is there."""
    return {
        Run(r["network"], r["recipe"], float(r["rate"]), int(r["epochs"]), int(r["seed"])): float(r["accuracy"])
        for r in read_rows(RESULTS)
    }


def best_rate(done: Done, network: str, name: str, epochs: int) -> float:
    """The rate of the best tuning runs of a network at this length. Raises ValueError when one of them is missing."""
    tried = {
        rate: [done[run] for seed in TUNING_SEEDS[epochs] if (run := Run(network, name, rate, epochs, seed)) in done]
        for rate in RATES[name]
    }
    whole = {rate: found for rate, found in tried.items() if len(found) == len(TUNING_SEEDS[epochs])}
    means = {rate: statistics.fmean(found) for rate, found in whole.items()}
    if len(means) < len(tried):
        raise ValueError(f"the rate of {name} for {epochs} epochs is not tuned yet: run it first")
    return max(means, key=lambda rate: means[rate])


def known_lines(done: Done, networks: Sequence[str]) -> list[str]:
    """Suite `known` as Markdown: a column for each recipe and length, then the paired differences."""
    rates = {(name, epochs): best_rate(done, networks[0], name, epochs) for epochs in LENGTHS for name in RATES}
    columns = [(name, epochs) for epochs in LENGTHS for name in ("fast", *RATES)] + [("paper", PAPER_EPOCHS)]

    def accuracies(network: str, name: str, epochs: int) -> dict[int, float]:
        return by_seed(done, network, name, epochs, rates.get((name, epochs)))

    lines = table_lines(
        networks, [f"{name}, {epochs}" for name, epochs in columns], lambda n, i: accuracies(n, *columns[i])
    )
    for name in RATES:
        lines.append(f"\n{name}: peak rate {', '.join(f'{rates[name, n]:g} at {n}' for n in LENGTHS)} epochs.")
        for epochs in LENGTHS:
            gaps = {
                network: paired(accuracies(network, "fast", epochs), accuracies(network, name, epochs))
                for network in networks
            }
            lines.append(f"fast less {name} at {epochs}, pairs of equal seeds: {gap_text(gaps)}")
    return lines


def shapes_lines(done: Done, networks: Sequence[str]) -> list[str]:
    """Suite `shapes` as Markdown: accuracies, then what each growth adds to the first network."""
    rate = fast().learning_rate
    columns: list[tuple[str, float]] = [("fast", rate), ("fast", rate / 2), ("fast", 2 * rate)]
    columns += [("fast, full branches", rate)]
    columns += [(name, best_rate(done, networks[0], name, SHAPES_EPOCHS)) for name in RATES]

    def accuracies(network: str, column: tuple[str, float]) -> dict[int, float]:
        return by_seed(done, network, column[0], SHAPES_EPOCHS, column[1])

    lines = table_lines(
        networks, [f"{name} at {rate:g}" for name, rate in columns], lambda n, i: accuracies(n, columns[i])
    )
    for column in columns:
        gaps = {way: paired(accuracies(way, column), accuracies(networks[0], column)) for way in networks[1:]}
        lines.append(f"{column[0]} at {column[1]:g}, gain over {networks[0]}: {gap_text(gaps)}")
    return lines


def table_lines(
    rows: Sequence[str], columns: Sequence[str], values: Callable[[str, int], Mapping[int, float]]
) -> list[str]:
    """A Markdown table; values(row, column number): accuracies by seed."""
    lines = ["| network | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for row in rows:
        lines.append(f"| {row} | " + " | ".join(cell(values(row, i)) for i in range(len(columns))) + " |")
    return lines


def by_seed(done: Done, network: str, name: str, epochs: int, rate: float | None) -> dict[int, float]:
    """Accuracies in percent by seed, at one rate (None: at any); tuning seeds left out."""
    return {
        run.seed: 100 * accuracy
        for run, accuracy in done.items()
        if (run.network, run.recipe, run.epochs) == (network, name, epochs)
        and run.seed < FIRST_TUNING_SEED
        and rate in (None, run.rate)
    }


def cell(values: Mapping[int, float]) -> str:
    """Mean, standard deviation and number."""
    if not values:
        return ""
    spread = f" ({statistics.stdev(values.values()):.1f})" if len(values) > 1 else ""
    return f"{statistics.fmean(values.values()):.1f}{spread}, n {len(values)}"


def paired(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Differences at equal seeds."""
    return [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]


def gap_text(gaps: Mapping[str, Sequence[float]]) -> str:
    """Mean differences with 95 % intervals of Student's t: of each, and of all together."""
    everything = {**gaps, "all": [gap for found in gaps.values() for gap in found]}
    return "; ".join(f"{name} {interval(found)}" for name, found in everything.items() if len(found) > 1)


def interval(values: Sequence[float]) -> str:
    mean, error = statistics.fmean(values), statistics.stdev(values) / math.sqrt(len(values))
    reach = float(stats.t.ppf(0.975, len(values) - 1)) * error
    return f"{mean:+.1f} ({mean - reach:+.1f} to {mean + reach:+.1f}, n {len(values)})"
