"""A search as its own process, for tests that kill it: FOLDER TRIALS SLOTS (0: inline) DELAY."""

from __future__ import annotations

import contextlib
import sys
import zlib
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from nas.figures import counts
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.score import Score
from nas.search import SearchPlan, discover
from nas.study.store import open_study, run_lock
from search_spaces import Choice, SearchSpace
from tests.helpers.evaluators import FIDELITY, TINY, Formula, decode

SCORE = Score(target_macs=5e6)
FIGURES = MACS, PARAMS = counts(1000)
WIDE = SearchSpace("wide", (Choice("channels", tuple(range(8, 808, 8))), *TINY.choices[1:]), decode)


class RestartableRandom(RandomSampler):
    """Draws by trial number. The package's own samplers do too, but they load torch: seconds at every start."""

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        inner = RandomSampler(seed=zlib.crc32(f"{trial.number} {param_name}".encode()))
        return inner.sample_independent(study, trial, param_name, param_distribution)


def run(folder: Path, trials: int, slots: int, delay: float) -> None:
    evaluator = Formula(delay, str(folder / "trainings.log"))
    with run_lock(folder):
        sampler = RestartableRandom()
        study = open_study(folder / "discover.journal", "discover", ["maximize"], sampler, SCORE)
        executor = LocalExecutor(evaluator, [Slot()] * slots) if slots else InlineExecutor(evaluator)
        with contextlib.closing(executor):
            discover(SearchPlan(WIDE, SCORE, FIDELITY, trials, FIGURES), sampler, executor, study)


if __name__ == "__main__":
    folder, trials, slots, delay = sys.argv[1:]
    run(Path(folder), int(trials), int(slots), float(delay))
