"""One of several drivers of a study in PostgreSQL, for tests: FOLDER URL TRIALS DELAY [DEAD_AFTER]."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.search import SearchPlan, discover
from nas.study import shared as shared_study
from nas.study.shared import open_shared_study
from tests.helpers.evaluators import FIDELITY, Formula
from tests.helpers.search_driver import FIGURES, SCORE, WIDE, RestartableRandom


def run(folder: Path, url: str, trials: int, delay: float) -> None:
    evaluator = Formula(delay, str(folder.parent / "trainings.log"))
    sampler = RestartableRandom()
    with (
        open_shared_study(url, folder.parent.name, folder.name, sampler) as shared,
        contextlib.closing(LocalExecutor(evaluator, [Slot()] * 2)) as executor,
    ):
        discover(SearchPlan(WIDE, SCORE, FIDELITY, trials, FIGURES), sampler, executor, shared)


if __name__ == "__main__":
    folder, url, trials, delay, *dead_after = sys.argv[1:]
    for seconds in dead_after:
        shared_study.DEAD_AFTER, shared_study.BEAT_EVERY = float(seconds), float(seconds) / 10
    run(Path(folder), url, int(trials), float(delay))
