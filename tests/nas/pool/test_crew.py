"""Slots, starts and lost devices, with made-up workers and a clock of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field

import pytest

from nas.evaluation import Failure, Outcome, Probe, Timing
from nas.pool import crew
from nas.pool.crew import RELEASE_LIMIT, START_LIMIT, WorkerExecutor
from nas.pool.executor import Finished, WorkersError
from nas.pool.messages import Lost, Message, Order, Probed, Ready, Release, Released, Run, RunProbe
from nas.pool.packing import measure_together
from nas.pool.seat import Worker
from nas.pool.slots import Slot
from tests.helpers.evaluators import request

TIMING = Timing(1e6, 0.1, 32, 0.1, 64, 0.0, 1.0, 60e9, 80e9)


@dataclass(eq=False)
class Actor:
    """A worker that is never ready ("hangs"), or answers each request at once ("works"), with the loss of its device
    ("loses"), or not at all ("dwells"). Those that keep memory after each request run out of it while another on
    the device keeps any; asked to release it, they do ("keeps") or never answer ("clings"). One that is "squeezed" has
    no memory for a probe.
    """

    slot: Slot
    part: str
    others: Sequence[Actor] = ()
    keeps: bool = False
    news: list[Message] = field(default_factory=list)
    killed: bool = False

    def __post_init__(self) -> None:
        if self.part != "hangs":
            self.news.append(Ready(self.slot.device))

    def send(self, message: Order) -> None:
        if isinstance(message, Run) and self.part == "works":
            self.news.append(Finished(message.ticket, Outcome(accuracy=0.5, device=self.slot.device)))
        if isinstance(message, RunProbe) and self.part != "loses":
            squeezed = self.part == "squeezed"
            self.news.append(Probed(message.ticket, Failure("oom", "no room") if squeezed else TIMING))
        if isinstance(message, Run | RunProbe) and self.part == "loses":
            self.news.append(Lost("CUDA error: gone"))
        if isinstance(message, Run) and self.part in ("keeps", "clings"):
            self.keeps = True
            crowd = [other for other in self.others if other.keeps and other.slot == self.slot and other is not self]
            no_room = Outcome(failure=Failure("oom", f"micro_batches {message.request.micro_batches}"))
            self.news.append(Finished(message.ticket, no_room if crowd else Outcome(accuracy=0.5)))
        if isinstance(message, Release) and self.part == "keeps":
            self.keeps = False
            self.news.append(Released())

    def receive(self) -> list[Message]:
        news, self.news = self.news, []
        return news

    def kill(self) -> None:
        self.killed, self.keeps = True, False


class Stage(WorkerExecutor):
    """Workers that play the parts of a list, one after another; each wait for news takes its time at once."""

    def __init__(self, slots: Sequence[Slot], parts: Sequence[str]) -> None:
        self.parts = list(parts)
        self.actors: list[Actor] = []
        self.now = 0.0
        super().__init__(slots, None, retries=1)

    def monotonic(self) -> float:
        return self.now

    def _start_worker(self, slot: Slot) -> Worker:
        self.actors.append(Actor(slot, self.parts.pop(0), self.actors))
        return self.actors[-1]

    def _wait_for_news(self, workers: Sequence[Worker], timeout: float) -> list[Worker]:
        with_news: list[Worker] = [worker for worker in workers if isinstance(worker, Actor) and worker.news]
        self.now += 0 if with_news else timeout
        return with_news

    def outcomes(self) -> Iterator[tuple[int, Outcome]]:
        for event in self.wait():
            assert isinstance(event, Finished)
            yield event.ticket, event.outcome


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> type[Stage]:
    class Timed(Stage):
        def __init__(self, slots: Sequence[Slot], parts: Sequence[str]) -> None:
            monkeypatch.setattr(crew, "time", self)
            super().__init__(slots, parts)

    return Timed


def test_a_worker_that_hangs_at_its_start_is_replaced_and_its_trial_keeps_its_tries(stage: type[Stage]) -> None:
    with closing(stage([Slot()], ["hangs", "hangs", "works"])) as executor:
        executor.submit(7, request())
        assert [(ticket, outcome.accuracy) for ticket, outcome in executor.outcomes()] == [(7, 0.5)]
        assert 2 * START_LIMIT <= executor.now <= 2 * START_LIMIT + 5
        assert [actor.killed for actor in executor.actors] == [True, True, False]


def test_a_run_ends_when_no_worker_gets_ready(stage: type[Stage]) -> None:
    with closing(stage([Slot()], ["hangs"] * 6)) as executor:
        executor.submit(0, request())
        with pytest.raises(
            WorkersError, match=r"^workers end before they are ready, 6 in a row: not ready within 300 s$"
        ):
            executor.wait()


BAD, GOOD = Slot("bad"), Slot("good")


def test_a_slot_whose_workers_are_never_ready_is_given_up_and_the_others_go_on(
    stage: type[Stage], caplog: pytest.LogCaptureFixture
) -> None:
    with closing(stage([BAD, GOOD], ["hangs", "dwells", *["hangs"] * 5])) as executor:
        executor.submit(0, request())
        assert executor.wait(START_LIMIT * 5.5) == []
        assert executor.free_slots == 1
        assert executor.wait(START_LIMIT) == []
        assert executor.free_slots == 0
        assert [actor.slot for actor in executor.actors if not actor.killed] == [GOOD]
        told = "gave up 1 of 2 slots, on bad: 6 workers in a row were not ready: not ready within 300 s"
        assert [record.getMessage() for record in caplog.records] == [told]


def test_a_worker_that_gets_ready_ends_the_count_of_its_slot_alone(stage: type[Stage]) -> None:
    parts = ["hangs", "dwells", *["hangs"] * 4, "dwells", *["hangs"] * 5, "works"]
    with closing(stage([BAD, GOOD], parts)) as executor:
        executor.submit(0, request(8))  # dwells
        executor.wait(START_LIMIT * 5.5)
        executor.submit(1, request(16))
        executor.cancel(1)  # which ends the worker
        executor.submit(2, request(16))
        assert [(ticket, outcome.accuracy) for ticket, outcome in executor.outcomes()] == [(2, 0.5)]
        assert executor.free_slots == 1


def test_losses_are_counted_by_device_and_all_its_slots_given_up(stage: type[Stage]) -> None:
    with closing(stage([BAD, BAD, BAD, GOOD], [*["loses"] * 3, "works", *["loses"] * 2])) as executor:
        for ticket in range(4):
            executor.submit(ticket, request(8 + ticket))
        found: dict[int, Outcome] = {}
        while len(found) < 4:
            found |= dict(executor.outcomes())
        assert {outcome.device for outcome in found.values()} == {"good"}
        assert executor.free_slots == 1
        assert [actor.slot for actor in executor.actors if not actor.killed] == [GOOD]


def test_what_runs_on_a_device_that_is_given_up_begins_anew_elsewhere(stage: type[Stage]) -> None:
    with closing(stage([BAD, BAD, GOOD], ["dwells", "loses", "works", "loses", "loses"])) as executor:
        executor.submit(0, request(8))
        found: dict[int, Outcome] = {}
        for ticket in range(1, 6):
            while not executor.free_slots:
                found |= dict(executor.outcomes())
            executor.submit(ticket, request(8 + ticket))
        while len(found) < 6:
            found |= dict(executor.outcomes())
        assert {outcome.device for outcome in found.values()} == {"good"}
        assert executor.free_slots == 1


def test_the_only_device_keeps_all_its_slots(stage: type[Stage]) -> None:
    with closing(stage([BAD] * 2, ["loses"] * 100)) as executor:
        for ticket in range(5):
            executor.submit(ticket, request())
            ((_, outcome),) = executor.outcomes()
            assert outcome.failure == Failure("crashed", "CUDA error: gone, 2 times in a row")
            assert executor.free_slots == 2


def test_a_trial_has_its_device_alone_once_all_neighbours_have_released_memory(stage: type[Stage]) -> None:
    with closing(stage([GOOD, BAD, GOOD], ["keeps"] * 3)) as executor:
        for ticket in range(3):
            executor.submit(ticket, request(8 + ticket))
        found: dict[int, Outcome] = {}
        while len(found) < 3:
            found |= dict(executor.outcomes())
        assert [found[ticket].accuracy for ticket in range(3)] == [0.5] * 3  # on GOOD the second had no room at first
        assert [actor.keeps for actor in executor.actors].count(True) == 2  # that of BAD was not asked


def test_a_worker_that_does_not_release_memory_is_replaced(stage: type[Stage]) -> None:
    with closing(stage([GOOD, GOOD], ["keeps", "clings", "works"])) as executor:
        executor.submit(0, request(8))
        executor.submit(1, request(16))
        found: dict[int, Outcome] = {}
        while len(found) < 2:
            found |= dict(executor.outcomes())
        assert [found[ticket].accuracy for ticket in range(2)] == [0.5] * 2
        assert [actor.killed for actor in executor.actors] == [False, True, False]
        assert RELEASE_LIMIT <= executor.now <= RELEASE_LIMIT + 5


def test_a_trial_that_is_cancelled_while_memory_is_released_leaves_the_slots_open(stage: type[Stage]) -> None:
    with closing(stage([GOOD, GOOD], ["keeps", "clings", "works"])) as executor:
        executor.submit(0, request(8))
        executor.submit(1, request(16))
        assert [ticket for ticket, _ in executor.outcomes()] == [0]
        executor.cancel(1)
        assert executor.free_slots == 2
        executor.submit(2, request(24))  # has no room at first either
        assert [(ticket, outcome.accuracy) for ticket, outcome in executor.outcomes()] == [(2, 0.5)]
        assert executor.free_slots == 2


@pytest.mark.parametrize("part", ["squeezed", "loses"])
def test_trainings_of_which_one_fails_have_no_throughput(stage: type[Stage], part: str) -> None:
    probe = Probe(request().arch)
    with closing(stage([GOOD] * 4, ["works"] * 4)) as executor:
        packed = measure_together(executor, probe, 4)
        assert packed is not None
        assert packed.images_per_second == pytest.approx(4 * 320)
    with closing(stage([GOOD] * 4, [*["works"] * 3, part, *["works"] * 9])) as executor:
        assert measure_together(executor, probe, 4) is None  # though it would fit, or work, if tried again by itself
        assert executor.free_slots == 4
