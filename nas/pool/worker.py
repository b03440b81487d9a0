"""The worker process: loads and prepares the evaluator, then serves one request after another as long as its driver."""

from __future__ import annotations

import contextlib
import ctypes
import multiprocessing
import multiprocessing.connection
import os
import pickle
import signal
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from nas.evaluation import Evaluator, Failure, Report
from nas.pool.executor import (
    Finished,
    Reported,
    evaluate_safely,
    is_lost_device,
    one_line,
    prepare_worker,
    probe_safely,
    release_memory,
)
from nas.pool.messages import Broken, Go, Lost, Probed, Ready, Release, Released, Run, RunProbe, Stop
from nas.pool.slots import Slot, keep_memory, pin_threads

_PR_SET_PDEATHSIG = 1
_MOST_WILLING = "1000"  # the kernel's scale of which process to end first where memory runs out


def main(connection: Connection[Any, Any], evaluator_pickle: bytes, slot: Slot, watch_thread: bool) -> None:
    """Serve `connection` on `slot`. watch_thread: the driver's thread that started this process lives as long as it."""
    os.setsid()  # a Ctrl-C at the terminal is the driver's to handle, and killing the group takes grandchildren along
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))  # held back by the driver until here
    _die_with_driver(watch_thread)
    _die_before_driver()
    try:
        evaluator = pickle.loads(evaluator_pickle)
    except Exception as error:
        connection.send(Broken(f"cannot load the evaluator: {one_line(error)}"))
        return
    pin_threads(slot.threads)
    keep_memory()
    unprepared = prepare_worker(evaluator, slot.device)
    connection.send(Ready(slot.device) if unprepared is None else Broken(unprepared))
    while unprepared is None:
        order = connection.recv()
        answer: Finished | Probed | Released | Lost
        if isinstance(order, Run | RunProbe):
            answer = serve(order, evaluator, slot.device, _Reporter(connection, order))
        elif isinstance(order, Release):
            answer = release(evaluator, slot.device)
        else:
            continue  # meant for a trial that has ended
        connection.send(answer)
        if isinstance(answer, Lost):
            return


def serve(order: Run | RunProbe, evaluator: Evaluator, device: str, report: Report) -> Finished | Probed | Lost:
    """Do what is asked and return what to tell. report: for the epochs of a trial."""
    answer: Finished | Probed
    if isinstance(order, Run):
        outcome = evaluate_safely(evaluator, order.request, device, report)
        answer, failure = Finished(order.ticket, outcome), outcome.failure
    else:
        result = probe_safely(evaluator, order.probe, device)
        answer, failure = Probed(order.ticket, result), result if isinstance(result, Failure) else None
    return Lost(failure.message) if failure is not None and is_lost_device(failure) else answer


def release(evaluator: Evaluator, device: str) -> Released | Lost:
    """Give back the memory kept between trials and return what to tell."""
    failure = release_memory(evaluator, device)
    return Released() if failure is None else Lost(failure.message)  # a new worker keeps nothing either


class _Reporter:
    """Sends a trial's epochs to the driver and learns from it whether to go on."""

    def __init__(self, connection: Connection[Any, Any], order: Run | RunProbe) -> None:
        self._connection = connection
        self._ticket = order.ticket
        self._waits = isinstance(order, Run) and order.waits
        self._go_on = True

    def __call__(self, epoch: int, value: float) -> bool:
        self._connection.send(Reported(self._ticket, epoch, value))
        waiting = self._waits and self._go_on
        while waiting or self._connection.poll():
            # Nothing but answers and requests to stop can arrive while a trial runs; old ones may be for another.
            message = self._connection.recv()
            self._go_on &= message != Stop(self._ticket)
            waiting &= message not in (Stop(self._ticket), Go(self._ticket))
        return self._go_on


def _die_with_driver(watch_thread: bool) -> None:
    """End this process when the driver ends, however that happens and whatever this process is busy with."""
    driver = multiprocessing.parent_process()
    if driver is None:
        return

    def end_when_driver_ends() -> None:
        multiprocessing.connection.wait([driver.sentinel])
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_when_driver_ends, daemon=True).start()
    if sys.platform == "linux" and watch_thread:
        # The kernel's signal also reaches a process stuck in native code that never lets the thread above run; it is
        # sent at the end of the thread, not the process, that started this one.
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != driver.pid:
            os.killpg(0, signal.SIGKILL)


def _die_before_driver() -> None:
    """Where the machine's memory runs out, have the kernel end this process, whose trial is then tried once more."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text(_MOST_WILLING)
