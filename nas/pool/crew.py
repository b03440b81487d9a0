"""What executors with workers share, wherever those run: slots, tries, time limits, and memory that runs out."""

from __future__ import annotations

import abc
import atexit
import logging
import time
from collections.abc import Sequence

from nas.evaluation import Failure, Outcome, Request
from nas.pool.executor import Event, Finished, Judge, Reported, TimeLimit, limit_of
from nas.pool.memory import lighter, out_of_memory_for_good
from nas.pool.messages import Broken, Go, Lost, Message, Ready, Run, Stop
from nas.pool.seat import Job, Seat, Worker, WorkerDiedError
from nas.pool.slots import Slot

_TICK = 1.0  # seconds between looks at the clock
START_LIMIT = 300.0
"""Seconds in which a worker must be ready: it has libraries to import and an evaluator to load, which takes seconds,
and a minute or two where many begin at once on a slow disk."""
_MOST_STILLBORN = 5
_MOST_LOSSES = 3
_log = logging.getLogger(__name__)


class WorkersError(RuntimeError):
    """No worker can be had; the message is one line for people."""


class WorkerExecutor(abc.ABC):
    """An executor over long-lived workers, one for each slot; how they are started is a subclass's business.

    A worker that dies, hangs past the time limit or loses its device is replaced, and its trial tried again, at most
    `retries` times; then the trial is a `crashed` or `timeout` failure. A trial that runs out of memory beside others
    is tried again when it has the device for itself, then with its batches in parts (see Request.splits), then it is an
    `oom` failure. A device that three trials in a row were lost with is given up, with all its slots, while there are
    others; so is a slot of which six workers in a row died or hung before they were ready. Both are told in one line.

    Raises ValueError without slots, and from `wait` WorkersError when workers cannot load the evaluator or those of the
    last slot keep dying or hanging before they are ready.
    """

    start_limit: float | None = START_LIMIT

    def __init__(self, slots: Sequence[Slot], time_limit: TimeLimit, retries: int) -> None:
        if not slots:
            raise ValueError("an executor needs at least one slot")
        self._time_limit = time_limit
        self._retries = retries
        self._events: list[Event] = []
        self._waiting: list[Job] = []  # for a slot of its own kind; those just submitted get theirs at once
        self._losses: dict[str, set[int]] = {}  # by place: tickets lost there, since one last ended well
        self._seats: list[Seat] = []
        atexit.register(self.close)
        for slot in slots:
            self._seats.append(Seat(slot, self._start_worker(slot), slot.device, time.monotonic()))

    @abc.abstractmethod
    def _start_worker(self, slot: Slot) -> Worker:
        """A new worker; it tells that it is ready by a message."""

    @abc.abstractmethod
    def _wait_for_news(self, workers: Sequence[Worker], timeout: float) -> list[Worker]:
        """Those of the workers that have sent something or died, after at most `timeout` seconds."""

    @property
    def free_slots(self) -> int:
        queued = sum(job.alone_at is None for job in self._waiting)
        return max(0, sum(self._is_open(seat) for seat in self._seats) - queued)

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:
        if not self.free_slots:
            raise RuntimeError(f"no free slot for ticket {ticket}")
        self._waiting.append(Job(ticket, request, judge))
        self._assign()

    def wait(self, timeout: float | None = None) -> list[Event]:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._events and (self._waiting or any(seat.job for seat in self._seats)):
            remaining = _TICK if end is None else end - time.monotonic()
            self._collect(max(0.0, min(_TICK, remaining)))  # also without any time: what has arrived is not left behind
            if remaining <= 0:
                break
        events, self._events = self._events, []
        return events

    def stop(self, ticket: int) -> None:
        for job in self._waiting:
            job.stopped |= job.ticket == ticket
        for seat in self._seats:
            if seat.job is not None and seat.job.ticket == ticket:
                seat.job.stopped = True
                if seat.ready:
                    seat.worker.send(Stop(ticket))

    def cancel(self, ticket: int) -> None:
        self._events = [event for event in self._events if event.ticket != ticket]
        self._waiting = [job for job in self._waiting if job.ticket != ticket]
        for seat in self._seats:
            if seat.job is not None and seat.job.ticket == ticket:
                self._replace_worker(seat)
        self._assign()

    def close(self) -> None:
        atexit.unregister(self.close)
        for seat in self._seats:
            seat.worker.kill()
        self._seats, self._waiting, self._events = [], [], []

    # --- Who runs where ------------------------------------------------------------------------------------------

    def _is_open(self, seat: Seat) -> bool:
        """Whether a job that may have neighbours could begin there."""
        running = [other.job for other in self._seats if other.job is not None]
        return seat.job is None and all(job.alone_at != seat.place for job in (*self._waiting, *running))

    def _assign(self) -> None:
        """Give waiting jobs their seats; a job whose worker is not ready yet moves where one is."""
        for seat in self._seats:
            if seat.job is not None and not seat.ready and any(s.ready and self._is_open(s) for s in self._seats):
                self._waiting.insert(0, seat.job)
                seat.job = None
        for job in list(self._waiting):
            found = self._seat_for(job)
            if found is not None:
                self._waiting.remove(job)
                self._run(found, job)

    def _seat_for(self, job: Job) -> Seat | None:
        if job.alone_at is not None:
            there = [seat for seat in self._seats if seat.place == job.alone_at]
            if there:
                return None if any(seat.job for seat in there) else there[0]
            job.alone_at = None  # that place was given up
        elsewhere = [seat for seat in self._seats if seat.place != job.avoid]
        fitting = [seat for seat in elsewhere or self._seats if self._is_open(seat)]
        return min(fitting, key=lambda seat: not seat.ready, default=None)

    def _run(self, seat: Seat, job: Job) -> None:
        neighbours = [other.job for other in self._seats if other.place == seat.place and other.job is not None]
        for neighbour in neighbours:
            neighbour.crowded = True
        job.crowded = bool(neighbours)
        job.limit = limit_of(self._time_limit, job.request)
        job.curve.clear()
        seat.job = job
        if seat.ready:
            self._send(seat, job)

    def _send(self, seat: Seat, job: Job) -> None:
        job.begin = time.monotonic()
        seat.worker.send(Run(job.ticket, job.request, job.judge is not None))
        if job.stopped:
            seat.worker.send(Stop(job.ticket))

    # --- What comes back -----------------------------------------------------------------------------------------

    def _collect(self, timeout: float) -> None:
        running = [(seat.job.begin, seat.job.limit) for seat in self._seats if seat.ready and seat.job is not None]
        ends = [begin + limit - time.monotonic() for begin, limit in running if limit is not None]
        with_news = set(self._wait_for_news([seat.worker for seat in self._seats], max(0.0, min([timeout, *ends]))))
        for seat in list(self._seats):
            if seat not in self._seats:
                continue  # its device was just given up
            try:
                for message in seat.worker.receive() if seat.worker in with_news else ():
                    self._handle(seat, message)
            except WorkerDiedError as error:
                self._on_death(seat, str(error))
            if seat in self._seats:
                self._check_time(seat)
        self._assign()

    def _handle(self, seat: Seat, message: Message) -> None:
        match message:
            case Ready(place):
                seat.ready, seat.place, seat.stillborn = True, place, 0
                if seat.job is not None:
                    self._send(seat, seat.job)
            case Broken(text):
                raise WorkersError(f"worker processes cannot load the evaluator: {text}")
            case Lost(text):
                self._on_loss(seat, text)
            case Reported() if seat.job is not None:
                seat.job.curve.append(message.accuracy)
                self._events.append(message)
                if seat.job.judge is not None:
                    seat.worker.send(Go(message.ticket) if seat.job.judge(message) else Stop(message.ticket))
            case Finished() if seat.job is not None:
                self._on_outcome(seat, seat.job, message.outcome)

    def _on_outcome(self, seat: Seat, job: Job, outcome: Outcome) -> None:
        seat.job = None
        if outcome.failure is None:
            self._losses.pop(seat.place, None)
        elif outcome.failure.kind == "oom":
            alone = job.alone_at is not None or not job.crowded
            request = lighter(job.request) if alone else job.request
            if request is not None:
                job.alone_at, job.request = seat.place, request
                self._waiting.insert(0, job)
                return
            outcome = out_of_memory_for_good(outcome, job.request)
        self._events.append(Finished(job.ticket, outcome))

    def _on_death(self, seat: Seat, cause: str) -> None:
        job, was_ready = seat.job, seat.ready
        seat.stillborn += not was_ready
        if seat.stillborn <= _MOST_STILLBORN:
            self._replace_worker(seat)
        elif len(self._seats) > 1:
            self._give_up([seat], f"{seat.stillborn} workers in a row were not ready: {cause}")
            return
        else:
            raise WorkersError(f"workers end before they are ready, {seat.stillborn} in a row: {cause}")
        if job is not None:
            self._try_again(seat, job, "crashed", cause, counts=was_ready)

    def _on_loss(self, seat: Seat, cause: str) -> None:
        job, place = seat.job, seat.place
        seat.job = None
        lost = self._losses.setdefault(place, set())
        if job is not None:
            lost.add(job.ticket)
            job.avoid = place
        if len(lost) >= _MOST_LOSSES and any(other.place != place for other in self._seats):
            self._give_up([other for other in self._seats if other.place == place], cause)
        else:
            self._replace_worker(seat)
        if job is not None:
            self._try_again(seat, job, "crashed", cause)

    def _give_up(self, seats: Sequence[Seat], cause: str) -> None:
        """Leave slots for good; what still runs there begins anew elsewhere."""
        _log.warning("gave up %d of %d slots, on %s: %s", len(seats), len(self._seats), seats[0].place, cause)
        self._seats = [seat for seat in self._seats if seat not in seats]
        for seat in seats:
            seat.worker.kill()
            if seat.job is not None:
                self._waiting.insert(0, seat.job)

    def _check_time(self, seat: Seat) -> None:
        job = seat.job
        if not seat.ready:
            if self.start_limit is not None and time.monotonic() - seat.begin > self.start_limit:
                self._on_death(seat, f"not ready within {self.start_limit:g} s")
            return
        if job is None or job.limit is None or time.monotonic() - job.begin < job.limit:
            return
        self._replace_worker(seat)
        self._try_again(seat, job, "timeout", f"no result within {job.limit:g} s")

    def _try_again(self, seat: Seat, job: Job, kind: str, cause: str, *, counts: bool = True) -> None:
        job.tries += counts
        if job.tries <= self._retries:
            self._waiting.insert(0, job)
            return
        message = f"{cause}, {job.tries} times in a row" if job.tries > 1 else cause
        seconds = time.monotonic() - job.begin
        outcome = Outcome(failure=Failure(kind, message), seconds=seconds, device=seat.place, curve=tuple(job.curve))
        self._events.append(Finished(job.ticket, outcome))

    def _replace_worker(self, seat: Seat) -> None:
        seat.worker.kill()
        seat.worker = self._start_worker(seat.slot)
        seat.begin, seat.ready, seat.job = time.monotonic(), False, None
