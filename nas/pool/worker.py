"""The worker process: loads the evaluator once, then runs one request after another until its driver is gone."""

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

from nas.evaluation import Outcome
from nas.pool.executor import Finished, Reported, evaluate_safely, one_line
from nas.pool.messages import Broken, Go, Lost, Ready, Run, Stop
from nas.pool.slots import Slot, keep_memory, pin_threads

_PR_SET_PDEATHSIG = 1
_MOST_WILLING = "1000"  # the kernel's scale of which process to end first where memory runs out

_LOST_DEVICE = ("CUDA error", "CUDA unknown error", "No CUDA GPUs are available", "cudaGetDeviceCount")
"""Texts of errors after which CUDA answers nothing more in this process."""


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
        connection.send(Broken(one_line(error)))
        return
    pin_threads(slot.threads)
    keep_memory()
    connection.send(Ready(slot.device))
    while True:
        message = connection.recv()
        if isinstance(message, Run):
            report = _Reporter(connection, message)
            outcome = evaluate_safely(evaluator, message.request, slot.device, report)
            lost = lost_device(outcome)
            if lost is not None:
                connection.send(lost)
                return
            connection.send(Finished(message.ticket, outcome))


def lost_device(outcome: Outcome) -> Lost | None:
    """What to tell where the outcome is a failure of the device that only a new process, if any, gets over."""
    failure = outcome.failure
    if failure is not None and failure.kind == "crashed" and any(text in failure.message for text in _LOST_DEVICE):
        return Lost(failure.message)
    return None


class _Reporter:
    """Sends a trial's epochs to the driver and learns from it whether to go on."""

    def __init__(self, connection: Connection[Any, Any], job: Run) -> None:
        self._connection = connection
        self._ticket = job.ticket
        self._waits = job.waits
        self._go_on = True

    def __call__(self, epoch: int, accuracy: float) -> bool:
        self._connection.send(Reported(self._ticket, epoch, accuracy))
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
