"""What becomes of a trial that memory was too small for."""

from __future__ import annotations

from dataclasses import replace

from nas.evaluation import Failure, Outcome, Request

MICRO_BATCHES = (1, 2, 4)
"""Into how many parts each batch of a trial is divided, try after try."""


def lighter(request: Request) -> Request | None:
    """The same request in batches of more parts; None when they were as many as are tried."""
    more = [parts for parts in MICRO_BATCHES if parts > request.micro_batches]
    return replace(request, micro_batches=more[0]) if more else None


def out_of_memory_for_good(outcome: Outcome, request: Request) -> Outcome:
    """The last try's outcome, with what had been tried in its message."""
    assert outcome.failure is not None
    message = f"{outcome.failure.message} (the last of several tries: each batch in {request.micro_batches} parts)"
    return replace(outcome, failure=Failure(outcome.failure.kind, message))
