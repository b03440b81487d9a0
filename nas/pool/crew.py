"""What executors with workers share, wherever those run: slots, tries, time limits, and memory that runs out."""

from __future__ import annotations

import abc
import atexit
import logging
import time
from collections.abc import Sequence

from nas.evaluation import Failure, Outcome, Probe, Request, Timing
from nas.pool.executor import Event, Finished, Judge, Reported, TimeLimit, WorkersError, limit_of
from nas.pool.memory import lighter, out_of_memory_for_good
from nas.pool.messages import Broken, Go, Lost, Message, Probed, Ready, Released, Run, RunProbe, Stop
from nas.pool.seat import Seat, Submission, Worker, WorkerDiedError, emptied
from nas.pool.slots import Slot

_TICK = 1.0  # seconds between looks at the clock
START_LIMIT = 300.0
"""Seconds in which a worker must be ready: it has libraries to import and an evaluator to load, which takes seconds,
and a minute or two where many begin at once on a slow disk."""
RELEASE_LIMIT = 60.0
"""Seconds in which a worker must have given back the memory that it keeps."""
_MOST_STILLBORN = 5
_MOST_LOSSES = 3
_log = logging.getLogger(__name__)


class WorkerExecutor(abc.ABC):
    """An executor over long-lived workers, one for each slot; how they are started is a subclass's business.

    A worker that dies, hangs past the time limit or loses its device is replaced, and its trial tried again, at most
    `retries` times; then the trial is a `crashed` or `timeout` failure. A trial that runs out of memory beside others,
    or where idle workers keep memory, is tried again with the device for itself: nothing else runs there, and its
    workers have given back what they keep (see Releases). Then it is tried with its batches in parts (see
    Request.micro_batches), then it is an `oom` failure. A device that three trials in a row were lost with is given up,
    with all its slots, while there are others; so is a slot of which six workers in a row died or hung before they were
    ready. Both are told in one line. A probe is not tried again: what is timed then is not what was asked for, so many
    side by side.

    Raises ValueError without slots, and from `wait` and `probe` WorkersError when workers cannot load or
    prepare the evaluator or those of the
    last slot keep dying or hanging before they are ready.
    """

    start_limit: float | None = START_LIMIT

    def __init__(self, slots: Sequence[Slot], time_limit: TimeLimit, retries: int) -> None:
        if not slots:
            raise ValueError("an executor needs at least one slot")
        self._time_limit = time_limit
        self._retries = retries
        self._events: list[Event] = []
        self._probed: dict[int, Timing | Failure] = {}
        self._waiting: list[Submission] = []  # for a slot of its own kind; those just submitted get theirs at once
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
        queued = sum(submission.alone_at is None for submission in self._waiting)
        return max(0, sum(self._is_open(seat) for seat in self._seats) - queued)

    def submit(self, ticket: int, request: Request, judge: Judge | None = None) -> None:
        if not self.free_slots:
            raise RuntimeError(f"no free slot for ticket {ticket}")
        self._waiting.append(Submission(ticket, request, judge))
        self._assign()

    def wait(self, timeout: float | None = None) -> list[Event]:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._events and self._is_busy:
            remaining = _TICK if end is None else end - time.monotonic()
            self._collect(max(0.0, min(_TICK, remaining)))  # also without any time: what has arrived is not left behind
            if remaining <= 0:
                break
        events, self._events = self._events, []
        return events

    def probe(self, probe: Probe, times: int = 1) -> list[Timing | Failure]:
        if self._is_busy or not self._seats:
            raise RuntimeError("trials are running" if self._is_busy else "the executor is closed")
        self._waiting += [Submission(number, probe) for number in range(times)]
        self._assign()
        while self._is_busy:
            self._collect(_TICK)
        probed, self._probed = self._probed, {}
        return [probed[number] for number in range(times)]

    def stop(self, ticket: int) -> None:
        for submission in self._waiting:
            submission.stopped |= submission.ticket == ticket
        for seat in self._seats:
            if seat.running is not None and seat.running.ticket == ticket:
                seat.running.stopped = True
                if seat.ready:
                    seat.worker.send(Stop(ticket))

    def cancel(self, ticket: int) -> None:
        self._events = [event for event in self._events if event.ticket != ticket]
        self._waiting = [submission for submission in self._waiting if submission.ticket != ticket]
        for seat in self._seats:
            if seat.running is not None and seat.running.ticket == ticket:
                self._replace_worker(seat)
        self._assign()

    def close(self) -> None:
        atexit.unregister(self.close)
        for seat in self._seats:
            seat.worker.kill()
        self._seats, self._waiting, self._events = [], [], []

    @property
    def _is_busy(self) -> bool:
        return bool(self._waiting) or any(seat.running for seat in self._seats)

    # --- Who runs where ------------------------------------------------------------------------------------------

    def _is_open(self, seat: Seat) -> bool:
        """Whether a submission that may have neighbours could begin there."""
        running = [other.running for other in self._seats if other.running is not None]
        return seat.running is None and all(
            submission.alone_at != seat.place for submission in (*self._waiting, *running)
        )

    def _assign(self) -> None:
        """Give what waits its seat; a submission whose worker is not ready yet moves where one is."""
        for seat in self._seats:
            if seat.running is not None and not seat.ready and any(s.ready and self._is_open(s) for s in self._seats):
                self._waiting.insert(0, seat.running)
                seat.running = None
        for submission in list(self._waiting):
            found = self._seat_for(submission)
            if found is not None:
                self._waiting.remove(submission)
                self._run(found, submission)

    def _seat_for(self, submission: Submission) -> Seat | None:
        if submission.alone_at is not None:
            there = [seat for seat in self._seats if seat.place == submission.alone_at]
            if there:
                return None if any(seat.running for seat in there) else emptied(there, time.monotonic())
            submission.alone_at = None  # that place was given up
        elsewhere = [seat for seat in self._seats if seat.place != submission.avoid]
        fitting = [seat for seat in elsewhere or self._seats if self._is_open(seat)]
        return min(fitting, key=lambda seat: not seat.ready, default=None)

    def _run(self, seat: Seat, submission: Submission) -> None:
        others = [other for other in self._seats if other.place == seat.place and other is not seat]
        neighbours = [other.running for other in others if other.running is not None]
        for neighbour in neighbours:
            neighbour.crowded = True
        submission.crowded = bool(neighbours) or any(other.keeps for other in others)
        submission.limit = limit_of(self._time_limit, submission.asked)
        submission.curve.clear()
        seat.running = submission
        if seat.ready:
            self._send(seat, submission)

    def _send(self, seat: Seat, submission: Submission) -> None:
        seat.keeps, submission.begin = True, time.monotonic()
        ticket, asked = submission.ticket, submission.asked
        seat.worker.send(
            RunProbe(ticket, asked) if isinstance(asked, Probe) else Run(ticket, asked, submission.judge is not None)
        )
        if submission.stopped:
            seat.worker.send(Stop(submission.ticket))

    # --- What comes back -----------------------------------------------------------------------------------------

    def _collect(self, timeout: float) -> None:
        running = [seat.running for seat in self._seats if seat.ready and seat.running is not None]
        ends = [each.begin + each.limit - time.monotonic() for each in running if each.limit is not None]
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
                if seat.running is not None:
                    self._send(seat, seat.running)
            case Broken(text):
                raise WorkersError(f"worker processes {text}")
            case Released():
                seat.asked, seat.keeps = None, seat.running is not None
            case Lost(text):
                self._on_loss(seat, text)
            case Reported() if seat.running is not None:
                seat.running.curve.append(message.value)
                self._events.append(message)
                if seat.running.judge is not None:
                    seat.worker.send(Go(message.ticket) if seat.running.judge(message) else Stop(message.ticket))
            case Finished(_, outcome) if seat.running is not None:
                self._on_end(seat, seat.running, outcome)
            case Probed(_, result) if seat.running is not None:
                self._on_end(seat, seat.running, result)

    def _on_end(self, seat: Seat, submission: Submission, result: Outcome | Timing | Failure) -> None:
        seat.running = None
        failure = result.failure if isinstance(result, Outcome) else result if isinstance(result, Failure) else None
        if failure is None:
            self._losses.pop(seat.place, None)
        elif failure.kind == "oom" and isinstance(submission.asked, Request):
            alone = submission.alone_at is not None or not submission.crowded
            again = lighter(submission.asked) if alone else submission.asked
            if again is not None:
                submission.alone_at, submission.asked = seat.place, again
                self._waiting.insert(0, submission)
                return
            if isinstance(result, Outcome):
                result = out_of_memory_for_good(result, submission.asked)
        self._tell_end(submission.ticket, result)

    def _tell_end(self, ticket: int, result: Outcome | Timing | Failure) -> None:
        if isinstance(result, Outcome):
            self._events.append(Finished(ticket, result))
        else:
            self._probed[ticket] = result

    def _on_death(self, seat: Seat, cause: str) -> None:
        submission, was_ready = seat.running, seat.ready
        seat.stillborn += not was_ready
        if seat.stillborn <= _MOST_STILLBORN:
            self._replace_worker(seat)
        elif len(self._seats) > 1:
            self._give_up([seat], f"{seat.stillborn} workers in a row were not ready: {cause}")
            return
        else:
            raise WorkersError(f"workers end before they are ready, {seat.stillborn} in a row: {cause}")
        if submission is not None:
            self._try_again(seat, submission, "crashed", cause, counts=was_ready)

    def _on_loss(self, seat: Seat, cause: str) -> None:
        submission, place = seat.running, seat.place
        seat.running = None
        lost = self._losses.setdefault(place, set())
        if submission is not None:
            lost.add(submission.ticket)
            submission.avoid = place
        if len(lost) >= _MOST_LOSSES and any(other.place != place for other in self._seats):
            self._give_up([other for other in self._seats if other.place == place], cause)
        else:
            self._replace_worker(seat)
        if submission is not None:
            self._try_again(seat, submission, "crashed", cause)

    def _give_up(self, seats: Sequence[Seat], cause: str) -> None:
        """Leave slots for good; what still runs there begins anew elsewhere."""
        _log.warning("gave up %d of %d slots, on %s: %s", len(seats), len(self._seats), seats[0].place, cause)
        self._seats = [seat for seat in self._seats if seat not in seats]
        for seat in seats:
            seat.worker.kill()
            if seat.running is not None:
                self._waiting.insert(0, seat.running)

    def _check_time(self, seat: Seat) -> None:
        submission = seat.running
        if seat.asked is not None and time.monotonic() - seat.asked > RELEASE_LIMIT:
            self._on_death(seat, f"memory not given back within {RELEASE_LIMIT:g} s")
            return
        if not seat.ready:
            if self.start_limit is not None and time.monotonic() - seat.begin > self.start_limit:
                self._on_death(seat, f"not ready within {self.start_limit:g} s")
            return
        if submission is None or submission.limit is None or time.monotonic() - submission.begin < submission.limit:
            return
        self._replace_worker(seat)
        self._try_again(seat, submission, "timeout", f"no result within {submission.limit:g} s")

    def _try_again(self, seat: Seat, submission: Submission, kind: str, cause: str, *, counts: bool = True) -> None:
        submission.tries += counts
        if submission.tries <= (self._retries if isinstance(submission.asked, Request) else 0):
            self._waiting.insert(0, submission)
            return
        message = f"{cause}, {submission.tries} times in a row" if submission.tries > 1 else cause
        failure, seconds = Failure(kind, message), time.monotonic() - submission.begin
        outcome = Outcome(failure=failure, seconds=seconds, device=seat.place, curve=tuple(submission.curve))
        self._tell_end(submission.ticket, failure if isinstance(submission.asked, Probe) else outcome)

    def _replace_worker(self, seat: Seat) -> None:
        seat.worker.kill()
        seat.worker = self._start_worker(seat.slot)
        seat.begin, seat.ready, seat.running = time.monotonic(), False, None
        seat.keeps, seat.asked = False, None
