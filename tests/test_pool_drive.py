"""The loop that all searches share, with an executor that plays back events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from evaluators import request

from nas.evaluation import Outcome, Request
from nas.pool.drive import drive
from nas.pool.executor import Event, Finished, Judge, Reported


class Playback:
    """Gives the events of `rounds`, one round for each wait."""

    def __init__(self, slots: int, rounds: Sequence[Sequence[Event]]) -> None:
        self.free_slots = slots
        self.rounds = list(rounds)
        self.cancelled: list[int] = []

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:  # noqa: ARG002
        self.free_slots -= 1

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        events = list(self.rounds.pop(0))
        self.free_slots += sum(isinstance(event, Finished) for event in events)
        return events

    def cancel(self, ticket: int) -> None:
        self.cancelled.append(ticket)
        self.free_slots += 1

    def stop(self, ticket: int) -> None: ...

    def close(self) -> None: ...


def end(ticket: int) -> Finished:
    return Finished(ticket, Outcome(accuracy=0.5))


@pytest.mark.timeout(60)
def test_a_trial_that_is_not_wanted_any_more_is_cancelled_and_the_others_go_on() -> None:
    rounds = [[Reported(0, 1, 0.1), Reported(0, 2, 0.2), Reported(1, 1, 0.1)], [end(1)], [end(2)]]
    executor = Playback(2, rounds)
    told: list[Event] = []

    def on_event(event: Event) -> bool:
        told.append(event)
        return event.ticket != 0

    drive(((ticket, request()) for ticket in range(3)), executor, on_event)
    assert executor.cancelled == [0]
    assert told == [Reported(0, 1, 0.1), Reported(1, 1, 0.1), end(1), end(2)]
    assert executor.rounds == []
