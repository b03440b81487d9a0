"""The executor of this machine: long-lived worker processes, one for each device slot."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import pickle
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from nas.evaluation import Evaluator, Failure, Outcome, Request
from nas.pool import worker as worker_process
from nas.pool.executor import Event, Finished, Reported
from nas.pool.slots import Slot, thread_environment

_TICK = 1.0  # seconds between looks at workers whose end no closed pipe has told
_MOST_STILLBORN = 5


class LocalExecutor:
    """Runs trials in worker processes on `slots`; the evaluator is pickled once and loaded once by each worker.

    A worker that dies is replaced and its trial run again, at most `retries` times; then the trial is a `crashed`
    failure. A trial that takes more than time_limit seconds on a ready worker is killed and is a `timeout` failure.

    Raises ValueError without slots, what pickle raises for an evaluator it cannot take, and from `wait` RuntimeError
    when workers cannot load the evaluator or keep dying before they are ready.
    """

    def __init__(
        self, evaluator: Evaluator, slots: Sequence[Slot], *, time_limit: float | None = None, retries: int = 1
    ) -> None:
        if not slots:
            raise ValueError("an executor needs at least one slot")
        self._evaluator_pickle = pickle.dumps(evaluator)
        self._time_limit = time_limit
        self._retries = retries
        self._events: list[Event] = []
        self._stillborn = 0
        self._workers: list[_Worker] = []
        atexit.register(self.close)
        for slot in slots:
            self._workers.append(_start_worker(self._evaluator_pickle, slot))

    @property
    def free_slots(self) -> int:
        return sum(worker.job is None for worker in self._workers)

    def submit(self, ticket: int, request: Request) -> None:
        free = next((worker for worker in self._workers if worker.job is None), None)
        if free is None:
            raise RuntimeError(f"no free slot for ticket {ticket}")
        free.run(_Job(ticket, request))

    def wait(self, timeout: float | None = None) -> list[Event]:
        end = None if timeout is None else time.monotonic() + timeout
        while not self._events and self.free_slots < len(self._workers):
            remaining = _TICK if end is None else end - time.monotonic()
            if remaining < 0:
                break
            self._collect(min(_TICK, remaining))
        events, self._events = self._events, []
        return events

    def stop(self, ticket: int) -> None:
        for worker in self._workers_of(ticket):
            worker.stop()

    def cancel(self, ticket: int) -> None:
        self._events = [event for event in self._events if event.ticket != ticket]
        for worker in self._workers_of(ticket):
            self._replace(worker)

    def close(self) -> None:
        atexit.unregister(self.close)
        for worker in self._workers:
            worker.kill()
        self._workers = []
        self._events = []

    def _workers_of(self, ticket: int) -> list[_Worker]:
        return [worker for worker in self._workers if worker.job is not None and worker.job.ticket == ticket]

    def _collect(self, timeout: float) -> None:
        if self._time_limit is not None:
            limits = [w.job.begin + self._time_limit for w in self._workers if w.ready and w.job is not None]
            timeout = max(0.0, min([timeout, *(limit - time.monotonic() for limit in limits)]))
        with_news = wait([worker.connection for worker in self._workers], timeout)
        for worker in list(self._workers):
            if worker.connection in with_news:
                self._read(worker)
            elif not worker.process.is_alive():
                self._bury(worker)
            elif self._is_overdue(worker):
                self._finish(worker, Failure("timeout", f"no result within {self._time_limit:g} s"))
                self._replace(worker)

    def _read(self, worker: _Worker) -> None:
        try:
            while worker.connection.poll():
                self._handle(worker, worker.connection.recv())
        except (EOFError, OSError):
            self._bury(worker)

    def _handle(self, worker: _Worker, message: object) -> None:
        match message:
            case worker_process.Ready():
                self._stillborn = 0
                worker.become_ready()
            case worker_process.Broken(text):
                raise RuntimeError(f"worker processes cannot load the evaluator: {text}")
            case Reported() if worker.job is not None:
                worker.job.curve.append(message.accuracy)
                self._events.append(message)
            case Finished():
                worker.job = None
                self._events.append(message)

    def _is_overdue(self, worker: _Worker) -> bool:
        if self._time_limit is None or worker.job is None or not worker.ready:
            return False
        return time.monotonic() - worker.job.begin >= self._time_limit

    def _bury(self, worker: _Worker) -> None:
        """Replace a dead worker; its trial goes on in the new one unless it has had its tries."""
        worker.process.join(_TICK)
        cause = _cause_of_death(worker.process.exitcode)
        job = worker.job
        if not worker.ready:
            self._stillborn += 1
            if self._stillborn > _MOST_STILLBORN:
                raise RuntimeError(f"worker processes die before they are ready: {cause}")
        elif job is not None:
            job.tries += 1
            if job.tries > self._retries:
                self._finish(worker, Failure("crashed", f"{cause}, {job.tries} times in a row"))
                job = None
        replacement = self._replace(worker)
        if job is not None:
            job.curve.clear()
            replacement.run(job)

    def _finish(self, worker: _Worker, failure: Failure) -> None:
        if worker.job is not None:
            job, worker.job = worker.job, None
            seconds = time.monotonic() - job.begin
            outcome = Outcome(failure=failure, seconds=seconds, device=worker.slot.device, curve=tuple(job.curve))
            self._events.append(Finished(job.ticket, outcome))

    def _replace(self, worker: _Worker) -> _Worker:
        worker.kill()
        replacement = _start_worker(self._evaluator_pickle, worker.slot)
        self._workers[self._workers.index(worker)] = replacement
        return replacement


@dataclass
class _Job:
    ticket: int
    request: Request
    begin: float = 0.0  # monotonic seconds, of the present try
    tries: int = 0  # ended by the death of a worker
    stopped: bool = False
    curve: list[float] = field(default_factory=list)


@dataclass(eq=False)
class _Worker:
    slot: Slot
    process: SpawnProcess
    connection: Connection[Any, Any]
    ready: bool = False
    job: _Job | None = None

    def run(self, job: _Job) -> None:
        self.job = job
        job.begin = time.monotonic()
        self._send(worker_process.Run(job.ticket, job.request))
        if job.stopped:
            self.stop()

    def stop(self) -> None:
        if self.job is not None:
            self.job.stopped = True
            self._send(worker_process.Stop(self.job.ticket))

    def become_ready(self) -> None:
        self.ready = True
        if self.job is not None:
            self.job.begin = time.monotonic()

    def kill(self) -> None:
        """End the process and its children; returns when it is gone."""
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # the group exists only once the process has made it
        self.process.join()
        self.connection.close()

    def _send(self, message: object) -> None:
        # A dead worker is found, and its trial taken care of, when its end of the connection is read.
        with contextlib.suppress(OSError):
            self.connection.send(message)


def _start_worker(evaluator_pickle: bytes, slot: Slot) -> _Worker:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    in_main_thread = threading.current_thread() is threading.main_thread()
    process = context.Process(
        target=worker_process.main, args=(theirs, evaluator_pickle, slot, in_main_thread), name=f"worker {slot.device}"
    )
    with _environment(thread_environment(slot.threads)), _no_signals():
        process.start()
    theirs.close()
    return _Worker(slot, process, ours)


@contextlib.contextmanager
def _no_signals() -> Iterator[None]:
    """Hold signals back, here and in processes started inside, so that a Ctrl-C meets a process whole or not at all."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes started inside."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _cause_of_death(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"the worker process was killed by {signal.Signals(-exitcode).name}"
    return f"the worker process exited with code {exitcode}"
