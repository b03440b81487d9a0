"""Batches prepared in a thread while those before them are computed with."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from torch import Tensor

_DEPTH = 2
_END = object()


def ahead(batches: Iterator[Tensor], *, pinned: bool) -> Iterator[Tensor]:
    """The same batches, up to two of them made before they are asked for; in page-locked memory where `pinned`, from
    which a GPU copies without being waited for.

    Raises what `batches` raises. The thread ends with the iterator, also where that is given up early.
    """
    found: queue.Queue[object] = queue.Queue(_DEPTH)
    given_up = threading.Event()

    def put(item: object) -> bool:
        while not given_up.is_set():
            try:
                found.put(item, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def prepare() -> None:
        try:
            for batch in batches:
                if not put(batch.pin_memory() if pinned else batch):
                    return
            put(_END)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=prepare, name="batches ahead", daemon=True)
    thread.start()
    try:
        while (item := found.get()) is not _END:
            if isinstance(item, BaseException):
                raise item
            assert isinstance(item, Tensor)
            yield item
    finally:
        given_up.set()
        thread.join()
