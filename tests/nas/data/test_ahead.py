"""Batches made in a thread of their own are those that would have come anyway."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from nas.data.ahead import ahead


def some(count: int, made: list[int] | None = None) -> Iterator[Tensor]:
    for i in range(count):
        if made is not None:
            made.append(i)
        yield torch.tensor(i)


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == "batches ahead"]


@pytest.mark.parametrize("count", [0, 1, 7])
def test_all_come_in_their_order_and_the_thread_ends(count: int) -> None:
    assert [int(batch) for batch in ahead(some(count), pinned=False)] == list(range(count))
    assert not threads()


def test_no_more_are_made_than_a_few_ahead() -> None:
    made: list[int] = []
    batches = ahead(some(100, made), pinned=False)
    assert int(next(batches)) == 0
    assert len(made) <= 5
    batches.close()  # type: ignore[attr-defined]
    assert not threads()


def test_what_goes_wrong_is_raised_where_batches_are_asked_for() -> None:
    def failing() -> Iterator[Tensor]:
        yield torch.tensor(0)
        raise OSError("the file is gone")

    batches = ahead(failing(), pinned=False)
    assert int(next(batches)) == 0
    with pytest.raises(OSError, match="the file is gone"):
        next(batches)
    assert not threads()
