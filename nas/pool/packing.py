"""How many trials share one GPU: as many as are measured to pay, in the memory that they are measured to need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from nas.evaluation import Failure, Probe, Timing
from nas.pool.executor import ProbingExecutor, WorkersError
from nas.pool.slots import Slot

MOST_SLOTS = 16
ENOUGH = 0.95
"""The share of the best throughput that is good enough: fewer slots leave each trial more memory."""
RESERVE = 0.1
"""The share of a GPU's memory that must stay free: trials differ, and allocators fragment."""


@dataclass(frozen=True)
class Packed:
    """`slots` trials at a time on one device: images a second of all together, the least bytes that stayed free."""

    slots: int
    images_per_second: float
    free_bytes: float
    total_bytes: float


def choose_slots(measured: Sequence[Packed]) -> int:
    """The fewest slots that give ENOUGH of the best throughput, among those that leave RESERVE of the memory free.

    1 where nothing fits or nothing was measured.
    """
    fitting = [each for each in measured if each.free_bytes >= RESERVE * each.total_bytes]
    if not fitting:
        return 1
    best = max(each.images_per_second for each in fitting)
    return min(each.slots for each in fitting if each.images_per_second >= ENOUGH * best)


def worth_trying(measured: Sequence[Packed], slots: int) -> bool:
    """Whether `slots`, more than any measured, may still be better: memory by the last step's growth, and the last
    step was a gain.
    """
    if not measured:
        return True
    last = measured[-1]
    each = (last.total_bytes - last.free_bytes) / last.slots
    fits = last.total_bytes - each * slots >= RESERVE * last.total_bytes
    gained = len(measured) == 1 or last.images_per_second > measured[-2].images_per_second / ENOUGH
    return fits and gained


def measure_packing(
    open_executor: Callable[[Sequence[Slot]], ProbingExecutor], slot: Slot, probe: Probe, most: int = MOST_SLOTS
) -> list[Packed]:
    """Measure 1, 2, 4 ... trainings at a time on the slot's device, up to `most`, while that may still be better.

    Each number has an executor of its own, so that no more workers are started than are measured. Ends before a number
    at which a training fails or, beyond 1, workers cannot be had.
    """
    measured: list[Packed] = []
    slots = 1
    while slots <= most and worth_trying(measured, slots):
        try:
            with closing(open_executor([slot] * slots)) as executor:
                found = measure_together(executor, probe, slots)
        except WorkersError:
            if not measured:
                raise
            break
        if found is None:
            break
        measured.append(found)
        slots *= 2
    return measured


def measure_together(executor: ProbingExecutor, probe: Probe, slots: int) -> Packed | None:
    """So many trainings side by side, after a round that lets all begin together; None when one, in either round, or a
    slot fails: what the others do meanwhile is no throughput of so many.
    """
    first, results = executor.probe(probe, slots), executor.probe(probe, slots)
    timings = [result for result in results if isinstance(result, Timing)]
    if executor.free_slots < slots or len(timings) < slots or any(isinstance(each, Failure) for each in first):
        return None
    return Packed(
        slots,
        sum(timing.images_per_second for timing in timings),
        min(timing.free_bytes for timing in timings),
        max(timing.total_bytes for timing in timings),
    )
