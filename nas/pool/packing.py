"""How many trials share one GPU: as many as are measured to pay, in the memory that they are measured to need."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass

from nas.evaluation import Outcome, Request
from nas.pool.crew import WorkersError
from nas.pool.executor import Executor, Finished
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
    open_executor: Callable[[Sequence[Slot]], Executor], slot: Slot, request: Request, most: int = MOST_SLOTS
) -> list[Packed]:
    """Measure 1, 2, 4 ... trials at a time on the slot's device, up to `most`, while that may still be better.

    request: answered by the executor's evaluator with the metrics images_per_second, free_bytes and total_bytes (see
    nas.training.speed). Each number has an executor of its own, so that no more workers are started than are measured.
    Ends before a number at which a trial fails or, beyond 1, workers cannot be had.
    """
    measured: list[Packed] = []
    slots = 1
    while slots <= most and worth_trying(measured, slots):
        try:
            with closing(open_executor([slot] * slots)) as executor:
                found = measure_together(executor, request, slots)
        except WorkersError:
            if not measured:
                raise
            break
        if found is None:
            break
        measured.append(found)
        slots *= 2
    return measured


def measure_together(executor: Executor, request: Request, slots: int) -> Packed | None:
    """So many trials side by side, after a round that lets all begin together; None when one, or a slot, fails."""
    ask_all(executor, [request] * slots)
    outcomes = ask_all(executor, [request] * slots)
    if executor.free_slots < slots or any(outcome.failure is not None for outcome in outcomes):
        return None
    figures = [outcome.metrics for outcome in outcomes]
    return Packed(
        slots,
        sum(each["images_per_second"] for each in figures),
        min(each["free_bytes"] for each in figures),
        max(each["total_bytes"] for each in figures),
    )


def ask_all(executor: Executor, requests: Sequence[Request]) -> list[Outcome]:
    """Run the requests side by side, as far as there are free slots; their outcomes in the same order."""
    waiting = list(enumerate(requests))
    outcomes: dict[int, Outcome] = {}
    while len(outcomes) < len(requests):
        while waiting and executor.free_slots:
            executor.submit(*waiting.pop(0))
        finished = (event for event in executor.wait() if isinstance(event, Finished))
        outcomes |= {event.ticket: event.outcome for event in finished}
    return [outcomes[ticket] for ticket in range(len(requests))]
