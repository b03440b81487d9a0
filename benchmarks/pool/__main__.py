"""What the pool costs beside the trainings: the driver's time per trial, idle slots, and starting up.

    python -m benchmarks.pool [--trials 5000] [--slots 64]

Prints the driver's time per trial with simulated slots that answer at once, so that all that is measured is asking,
counting, storing and telling; how busy slots are with 2-second trials on 2 real worker processes; and the seconds from
the start of a pool to the end of the first epoch of its first trial, and of a later trial on a warm worker.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import random
import statistics
import tempfile
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import optuna

from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Outcome, Report, Request
from nas.figures import counts
from nas.machine import usable_cores
from nas.pool.executor import Event, Executor, Finished, Judge, Reported
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot
from nas.samplers import make_sampler
from nas.score import Score
from nas.search import SearchPlan, TrialEvent, discover
from nas.study.store import open_study
from nas.training.proxy import ProxyEvaluator
from search_spaces import fit_arch, mnasnet_space, reference_arch

TARGET = 20e6
RESOLUTION = 32
IMAGES = 64  # few, so that it is the start that is measured


@dataclass(frozen=True)
class Sleeper:
    """A trial of a stated length."""

    seconds: float

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        time.sleep(self.seconds)
        return Outcome(accuracy=0.5)


class SimulatedSlots:
    """An executor whose trials take no time: reports and outcomes of running trials come in random order."""

    def __init__(self, slots: int, reports: int) -> None:
        self._free = slots
        self._reports = reports
        self._random = random.Random(0)
        self._running: list[tuple[int, deque[float]]] = []

    @property
    def free_slots(self) -> int:
        return self._free

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:  # noqa: ARG002
        self._free -= 1
        curve = sorted(self._random.random() for _ in range(self._reports))
        self._running.append((ticket, deque(curve)))

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        if not self._running:
            return []
        i = self._random.randrange(len(self._running))
        ticket, left = self._running[i]
        if len(left) > 1 or (left and self._random.random() < 0.5):
            epoch = self._reports - len(left) + 1
            return [Reported(ticket, epoch, left.popleft())]
        self._running[i] = self._running[-1]
        self._running.pop()
        self._free += 1
        return [Finished(ticket, Outcome(accuracy=self._random.random(), seconds=1.0, device="simulated"))]

    def stop(self, ticket: int) -> None: ...

    def cancel(self, ticket: int) -> None: ...

    def close(self) -> None: ...


def search(executor: Executor, folder: Path, trials: int, epochs: int) -> list[tuple[float, float]]:
    """Run a search with random sampling; wall and CPU time at each trial's end."""
    ends: list[tuple[float, float]] = []

    def note(event: TrialEvent) -> None:
        if event.finished:
            ends.append((time.perf_counter(), time.process_time()))

    space = mnasnet_space(TARGET, RESOLUTION, num_classes=10)
    score = Score(target_macs=TARGET)
    sampler = make_sampler("random", seed=0, score=score)
    study = open_study(folder / "discover.journal", "discover", sampler=sampler, score=score)
    plan = SearchPlan(space, score, Fidelity(epochs), trials, counts(10))
    discover(plan, sampler, executor, study, on_event=note)
    return ends


def overhead(trials: int, slots: int, reports: int) -> None:
    """Print the driver's milliseconds per trial, by the wall and of CPU: all, around trial 100 and around the last."""
    with tempfile.TemporaryDirectory() as folder:
        start = (time.perf_counter(), time.process_time())
        ends = search(SimulatedSlots(slots, reports), Path(folder), trials, reports)
        size = (Path(folder) / "discover.journal").stat().st_size
    for clock, name in enumerate(("wall", "CPU")):
        marks = [mark[clock] for mark in (start, *ends)]
        each = [1000 * (b - a) for a, b in itertools.pairwise(marks)]
        early, late = each[50:150], each[-100 - slots : -slots]  # the very last are told, but none asked after them
        for part, what in ((each, "all"), (early, "trials 50 to 150"), (late, "the last 100")):
            quarter = statistics.quantiles(part, n=4)
            print(
                f"driver's {name} ms per trial, {what}: mean {statistics.fmean(part):.1f}, median {quarter[1]:.1f} "
                f"(quartiles {quarter[0]:.1f} to {quarter[2]:.1f}), n {len(part)}"
            )
        ratio = statistics.fmean(late) / statistics.fmean(early)
        print(f"the last 100 over trials 50 to 150, by {name} means: {ratio:.2f}")
    print(f"journal: {size / 1e6:.1f} MB, {size / trials / 1000:.1f} kB a trial")


def busy_share(trials: int, seconds: float, slots: int) -> None:
    """Print the share of slots' time spent in trials, once the first have begun."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(LocalExecutor(Sleeper(seconds), [Slot()] * slots)) as executor,
    ):
        warm(executor, slots)
        start = time.perf_counter()
        search(executor, Path(folder), trials, 1)
        share = trials * seconds / slots / (time.perf_counter() - start)
    print(f"busy share of {slots} slots, {trials} trials of {seconds:g} s: {100 * share:.1f} %")


def warm(executor: Executor, slots: int) -> None:
    """Wait until every worker has answered once."""
    for ticket in range(slots):
        executor.submit(-1 - ticket, Request(reference_arch("efficientnet_b0"), Fidelity(1)))
    left = slots
    while left:
        left -= sum(isinstance(event, Finished) for event in executor.wait())


def first_epochs() -> None:
    """Print the seconds to the end of the first epoch, of the first trial and of later ones."""
    arch = fit_arch(reference_arch("efficientnet_b0"), 8, 5e5, num_classes=10)
    with tempfile.TemporaryDirectory() as folder:
        dataset = open_dataset("digits", Path(folder), train_images=IMAGES)
        evaluator = ProxyEvaluator(dataset)
        times = []
        start = time.perf_counter()
        with closing(LocalExecutor(evaluator, [Slot()])) as executor:
            for ticket in range(6):
                executor.submit(ticket, Request(arch, Fidelity(1), seed=ticket))
                while not any(isinstance(event, Reported) for event in executor.wait()):
                    pass
                times.append(time.perf_counter() - start)
                while not executor.free_slots:
                    executor.wait()
                start = time.perf_counter()
    later = statistics.median(times[1:])
    print(
        f"seconds to the end of the first epoch (digits, {IMAGES} images): first trial {times[0]:.2f}, later ones "
        f"{later:.3f} (median of {len(times) - 1}); {times[0] / later:.0f} times less"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=5000)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--only", choices=["overhead", "busy", "start"])
    asked = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    print(
        f"{platform.machine()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f}, "
        f"Python {platform.python_version()}, optuna {optuna.__version__}"
    )
    if asked.only in (None, "overhead"):
        overhead(asked.trials, asked.slots, reports=5)
    if asked.only in (None, "busy"):
        busy_share(40, 2.0, 2)
    if asked.only in (None, "start"):
        first_epochs()


if __name__ == "__main__":
    main()
