"""Tables of benchmarks/results/samplers.csv: median regret with quartiles, and evaluations saved with an interval."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.samplers import PEERS
from benchmarks.rows import read_rows

Floats = NDArray[np.float64]
Curves = dict[str, Floats]
"""For each sampler the regrets after 1, 2, ... evaluations, shape (seeds, evaluations)."""

CHECKPOINTS = (25, 50, 100, 150, 200, 300, 500)
OPPONENTS = ("tpe", "evolution", "hill_climbing")
AT = 200
SLOW = {"tpe": AT, "nsga2": AT, "ppo": AT, "random": AT} | dict.fromkeys(PEERS, 100)
"""Evaluations per run of those that are compared at so many and take long or change little."""
_RESAMPLES = 2000


def read_curves(path: Path) -> dict[tuple[str, str], Curves]:
    """The file's curves by (problem, setting). A search that found the best stays there; one that ended early, because
    it had nothing new to ask, stays where it was."""
    found: dict[tuple[str, str], dict[str, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in read_rows(path):
        steps = [(int(n), float(regret)) for n, regret in (part.split(":") for part in row["curve"].split())]
        curve = np.full(CHECKPOINTS[-1], np.nan)
        for n, regret in steps:
            curve[n - 1 :] = regret
        found[row["problem"], row["setting"]][row["sampler"]].append(curve.tolist())
    return {key: {name: np.array(curves) for name, curves in group.items()} for key, group in found.items()}


def evaluations_to_reach(curves: Floats, regret: float) -> int | None:
    """The first number of evaluations at which the median regret is at most `regret`; None if none is."""
    reached = np.flatnonzero(np.median(curves, axis=0) <= regret)
    return int(reached[0]) + 1 if len(reached) else None


def saving(ours: Floats, theirs: Floats, rng: np.random.Generator) -> tuple[float, float, float]:
    """`AT` over the evaluations that we need for the median regret that they have at `AT`, with the ends of a 95 %
    bootstrap interval over the seeds of both. 0 where we never get there."""

    def ratio(a: Floats, b: Floats) -> float:
        needed = evaluations_to_reach(a, float(np.median(b[:, AT - 1])))
        return AT / needed if needed else 0.0

    draws = [
        ratio(ours[rng.integers(len(ours), size=len(ours))], theirs[rng.integers(len(theirs), size=len(theirs))])
        for _ in range(_RESAMPLES)
    ]
    low, high = np.quantile(draws, [0.025, 0.975])
    return ratio(ours, theirs), float(low), float(high)


def upper_bound(values: Floats, rng: np.random.Generator) -> float:
    """The upper end of the 95 % bootstrap interval of the median."""
    draws = np.median(values[rng.integers(len(values), size=(_RESAMPLES, len(values)))], axis=1)
    return float(np.quantile(draws, 0.975))


def lines(path: Path, evaluations: dict[str, int]) -> Iterator[str]:
    """The tables as Markdown. `evaluations` says how far a setting's runs go."""
    for (problem, setting), curves in read_curves(path).items():
        rng = np.random.default_rng(0)
        shown = [n for n in CHECKPOINTS if n <= evaluations[setting]]
        yield f"\n**{problem}, {setting}**: median regret [quartiles] in points of score after n evaluations\n"
        yield "| sampler | seeds | " + " | ".join(map(str, shown)) + " |"
        yield "|---" * (len(shown) + 2) + "|"
        for name, curve in curves.items():
            cells = [_cell(curve[:, n - 1]) if n <= _length(name, evaluations[setting]) else "" for n in shown]
            yield f"| {name} | {len(curve)} | " + " | ".join(cells) + " |"
        yield ""
        yield from _comparisons(curves, shown, rng)


def _length(sampler: str, evaluations: int) -> int:
    return min(SLOW.get(sampler, evaluations), evaluations)


def _cell(regrets: Floats) -> str:
    low, middle, high = np.quantile(regrets, [0.25, 0.5, 0.75])
    return f"{abs(middle):.2f} [{abs(low):.2f}, {abs(high):.2f}]"


def _comparisons(curves: Curves, shown: list[int], rng: np.random.Generator) -> Iterator[str]:
    ours = curves.get("default")
    if ours is None:
        return
    for name in OPPONENTS:
        if name in curves:
            ratio, low, high = saving(ours, curves[name], rng)
            yield f"- {ratio:.1f} times [{low:.1f}, {high:.1f}] fewer evaluations than {name} at {AT}"
    if "hill_climbing" in curves:
        over = [
            n for n in shown if np.median(ours[:, n - 1]) > upper_bound(curves["hill_climbing"][:, n - 1], rng) + 1e-9
        ]
        yield f"- median above hill climbing's upper 95 % bound at n = {', '.join(map(str, over)) or 'none'}"
