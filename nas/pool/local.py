"""The executor of this machine: long-lived worker processes, one for each device slot."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

from nas.evaluation import Evaluator
from nas.pool import worker as worker_process
from nas.pool.crew import WorkerExecutor
from nas.pool.executor import TimeLimit, WorkersError, prepare_run
from nas.pool.messages import Message, Order, pickled
from nas.pool.seat import Worker, WorkerDiedError
from nas.pool.slots import Slot, thread_environment

_PATIENCE = 1.0  # seconds for the exit code of a process whose pipe is closed
DEATH_LIMIT = 10.0
"""Seconds in which a killed worker must be gone: one with much memory of a GPU to give back may take a few."""
UNGUARDED = 77
"""Exit code of a worker that found its driver's script to start workers wherever it is imported."""
_log = logging.getLogger(__name__)


class LocalExecutor(WorkerExecutor):
    """Runs trials in worker processes on `slots`; the evaluator is pickled once, and loaded and
    prepared once by each worker.

    See WorkerExecutor for tries, limits and failures. Raises UnpicklableError too. A script that starts one must do so
    under `if __name__ == "__main__":`, since each worker imports the script; else `wait` raises WorkersError.
    """

    def __init__(
        self, evaluator: Evaluator, slots: Sequence[Slot], *, time_limit: TimeLimit = None, retries: int = 1
    ) -> None:
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # This is a worker that is being started: it runs the script again, which would start workers of its own.
            os._exit(UNGUARDED)
        prepare_run(evaluator)
        self._evaluator_pickle = pickled(evaluator)
        super().__init__(slots, time_limit, retries)

    def _start_worker(self, slot: Slot) -> Worker:
        return _start_process(self._evaluator_pickle, slot)

    def _wait_for_news(self, workers: Sequence[Worker], timeout: float) -> list[Worker]:
        sources = {source: worker for worker in workers if isinstance(worker, _Process) for source in worker.sources}
        return [sources[source] for source in wait(list(sources), timeout)]  # type: ignore[index]


@dataclass(eq=False)
class _Process:
    process: SpawnProcess
    connection: Connection[Any, Any]

    @property
    def sources(self) -> tuple[Connection[Any, Any], int]:
        """The pipe, and what tells the end of a process whose pipe is held open by its children."""
        return self.connection, self.process.sentinel

    def send(self, message: Order) -> None:
        with contextlib.suppress(OSError):
            self.connection.send(message)

    def receive(self) -> list[Message]:
        messages: list[Message] = []
        with contextlib.suppress(EOFError, OSError):
            while self.connection.poll():
                messages.append(self.connection.recv())
            if self.process.is_alive():
                return messages
        if messages:
            return messages  # and the end is told the next time
        self.process.join(_PATIENCE)
        if self.process.exitcode == UNGUARDED:
            raise WorkersError(
                "the script starts workers wherever it is imported, and each worker imports it: put what starts them "
                'under `if __name__ == "__main__":`'
            )
        raise WorkerDiedError(_cause_of_death(self.process.exitcode))

    def kill(self) -> None:
        """End the process and whatever it has started; returns when it is gone, or is found to hang in the system.

        A process that waits for a device within its driver is not ended by any signal until the driver answers. It is
        left behind then, with whatever it holds of the device, and told.
        """
        if self.process.pid is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()  # the group exists only once the process has made it
        self.process.join(DEATH_LIMIT)
        if self.process.is_alive():
            _log.warning("%s, process %d, does not end: left behind", self.process.name, self.process.pid)
            # All that multiprocessing knows of are joined, without limit, when this process ends.
            multiprocessing.process._children.discard(self.process)  # type: ignore[attr-defined]
        self.connection.close()


def _start_process(evaluator_pickle: bytes, slot: Slot) -> _Process:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    in_main_thread = threading.current_thread() is threading.main_thread()
    process = context.Process(
        target=worker_process.main, args=(theirs, evaluator_pickle, slot, in_main_thread), name=f"worker {slot.device}"
    )
    with _environment(thread_environment(slot.threads)), _no_signals():
        process.start()
    theirs.close()
    return _Process(process, ours)


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
