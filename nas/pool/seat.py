"""A slot as its executor sees it: the worker that serves it, and what that does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from nas.evaluation import Probe, Request
from nas.pool.executor import Judge
from nas.pool.messages import Message, Order, Release
from nas.pool.slots import Slot


class WorkerDiedError(Exception):
    """A worker is gone; the text says how."""


class Worker(Protocol):
    """One worker, as its driver sees it. It serves one request at a time."""

    def send(self, message: Order) -> None:
        """Never fails: that a worker is dead is found by `receive`."""
        ...

    def receive(self) -> list[Message]:
        """What has come since the last call, without waiting. Raises WorkerDiedError when nothing more will come."""
        ...

    def kill(self) -> None:
        """End the worker; it gives no further message. Killing it twice is fine."""
        ...


@dataclass
class Submission:
    """What was asked, a request's training or a probe, and what has become of it so far."""

    ticket: int
    asked: Request | Probe
    judge: Judge | None = None
    tries: int = 0  # ended by the death of a worker, a hang or the loss of a device
    begin: float = 0.0  # monotonic seconds, of the present try
    limit: float | None = None
    stopped: bool = False
    crowded: bool = False  # others ran on its device during this try, or kept memory there
    alone_at: str | None = None  # the device it must have for itself
    avoid: str | None = None  # the device it was last lost with
    curve: list[float] = field(default_factory=list)


@dataclass(eq=False)
class Seat:
    """A slot, the worker that serves it now, and what runs there."""

    slot: Slot
    worker: Worker
    place: str
    begin: float  # monotonic seconds, of the present worker
    ready: bool = False
    stillborn: int = 0  # workers in a row that were never ready
    running: Submission | None = None
    keeps: bool = False  # memory of what the present worker has served
    asked: float | None = None  # when it was asked to give that back; monotonic seconds


def emptied(seats: Sequence[Seat], now: float) -> Seat | None:
    """One of the seats of a place where nothing runs, once no worker there keeps memory; those that do are asked to
    give it back.
    """
    keeping = [seat for seat in seats if seat.keeps]
    for seat in keeping:
        if seat.asked is None:
            seat.asked = now
            seat.worker.send(Release())
    return None if keeping else min(seats, key=lambda seat: not seat.ready)
