"""A search as its own process, for tests that kill it: FOLDER SAMPLER TRIALS SLOTS (0: inline) DELAY."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from evaluators import FIDELITY, TINY, Formula

from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.samplers import make_sampler
from nas.score import Score
from nas.search import discover
from nas.store import open_study, run_lock
from search_spaces import ArchSpec, count_macs, count_params

SCORE = Score(target_macs=5e6)


def cost(arch: ArchSpec) -> tuple[int, int]:
    return count_macs(arch), count_params(arch)


def run(folder: Path, sampler: str, trials: int, slots: int, delay: float) -> None:
    evaluator = Formula(delay, str(folder / "trainings.log"))
    with run_lock(folder):
        made = make_sampler(sampler, seed=0)
        study = open_study(folder / "discover.journal", "discover", ["maximize"], made, SCORE)
        executor = LocalExecutor(evaluator, [Slot()] * slots) if slots else InlineExecutor(evaluator)
        with contextlib.closing(executor):
            discover(TINY, SCORE, made, executor, study, trials=trials, fidelity=FIDELITY, seed=0, cost=cost)


if __name__ == "__main__":
    folder, sampler, trials, slots, delay = sys.argv[1:]
    run(Path(folder), sampler, int(trials), int(slots), float(delay))
