"""The loop that all searches share, with an executor that plays back events."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from nas.evaluation import Outcome, Request
from nas.pool.drive import drive
from nas.pool.executor import Event, Finished, Judge, Reported
from tests.helpers.evaluators import request


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
    rounds: list[list[Event]] = [[Reported(0, 1, 0.1), Reported(0, 2, 0.2), Reported(1, 1, 0.1)], [end(1)], [end(2)]]
    executor = Playback(2, rounds)
    told: list[Event] = []

    def on_event(event: Event) -> tuple[int, ...]:
        told.append(event)
        return (0,) if event.ticket == 0 else ()

    drive(((ticket, request()) for ticket in range(3)), executor, on_event)
    assert executor.cancelled == [0]
    assert told == [Reported(0, 1, 0.1), Reported(1, 1, 0.1), end(1), end(2)]
    assert executor.rounds == []


@pytest.mark.timeout(60)
def test_a_silent_trial_is_cancelled_before_its_ticket_is_submitted_again() -> None:
    running: list[int] = []

    class Strict(Playback):
        def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:
            assert ticket not in running
            running.append(ticket)
            super().submit(ticket, request, judge)

        def cancel(self, ticket: int) -> None:
            running.remove(ticket)
            super().cancel(ticket)

    executor = Strict(2, [[end(1)], [end(0)]])
    drive(((ticket, request()) for ticket in (0, 1, 0)), executor, lambda event: (0,) if event.ticket == 1 else ())
    assert executor.cancelled == [0]
