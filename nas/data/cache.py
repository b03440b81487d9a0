"""A folder with decoded images as one memory-mapped uint8 array; filled in parallel, atomic, resumable."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import DataError
from nas.machine import usable_cores

READ, UNREADABLE = 1, 2  # states of a row; 0 is pending
DIGEST_BYTES = 16
CHUNK = 64

Reader = Callable[[int], tuple[NDArray[np.uint8] | None, bytes]]
"""read(row) -> (the image, or None when it cannot be read; DIGEST_BYTES of its content's hash)."""
Writer = Callable[[int, NDArray[np.uint8]], None]
OnDecoded = Callable[[int, int], None]
"""on_decoded(done, total) -> None, in images; called in the caller's thread."""


@dataclass(frozen=True)
class Cache:
    """A finished cache: images (N, S, S, C) in a file, state (N,) of READ or UNREADABLE, digests (N, 16)."""

    images_path: Path
    state: NDArray[np.uint8]
    digests: NDArray[np.uint8]


def open_cache(folder: Path, shape: tuple[int, int, int, int], read: Reader, on_decoded: OnDecoded | None) -> Cache:
    """Open the cache at `folder`, or decode what is not in it yet with one thread per core.

    While it is being filled it lies in `<folder>.partial`; a killed run leaves that behind and the next goes on with
    the rows still pending. Raises DataError when the disk has no room or the place cannot be written.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    try:
        if not folder.is_dir():
            _create(partial, shape)
            _fill(partial, read, on_decoded)
            _publish(partial, folder)
    except OSError as error:
        if not folder.is_dir():  # else another process finished it in the meantime
            raise DataError(f"{error.filename or folder}: cannot write the image cache ({error.strerror})") from None
    return Cache(folder / "images.npy", np.load(folder / "state.npy"), np.load(folder / "digests.npy"))


def _create(partial: Path, shape: tuple[int, int, int, int]) -> None:
    """Make the empty arrays under another name first, so that `partial` always has all of them."""
    if partial.is_dir():
        return
    partial.parent.mkdir(parents=True, exist_ok=True)
    need, free = int(np.prod(shape)), shutil.disk_usage(partial.parent).free
    if need > free:
        raise DataError(
            f"{partial.parent}: the image cache needs {need / 1e9:.1f} GB, {free / 1e9:.1f} are free; "
            "name another place, or fewer images"
        )
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=partial.parent))
    _array(scratch / "images.npy", "w+", shape)
    _array(scratch / "state.npy", "w+", shape[:1])
    _array(scratch / "digests.npy", "w+", (shape[0], DIGEST_BYTES))
    _publish(scratch, partial)


def _publish(source: Path, target: Path) -> None:
    """Rename; where another process was first, with the same content, its folder stands."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(source, ignore_errors=True)


def _fill(partial: Path, read: Reader, on_decoded: OnDecoded | None) -> None:
    state, digests = (_array(partial / f"{name}.npy", "r+") for name in ("state", "digests"))
    begin = _array(partial / "images.npy", "r").offset
    with (partial / "images.npy").open("r+b") as images:

        def write(row: int, image: NDArray[np.uint8]) -> None:
            # Beside any mapping: pages that are written in one stay in this process's memory.
            os.pwrite(images.fileno(), image.tobytes(), begin + row * image.nbytes)

        _decode(write, state, digests, read, on_decoded)
        os.fsync(images.fileno())
    for array in (digests, state):
        array.flush()


def _decode(write: Writer, state: Any, digests: Any, read: Reader, on_decoded: OnDecoded | None) -> None:
    """Fill in the rows still pending."""

    def fill(rows: NDArray[np.intp]) -> int:
        for row in rows:
            image, digest = read(int(row))
            if image is not None:
                write(int(row), image)
            digests[row] = np.frombuffer(digest, dtype=np.uint8)
            state[row] = UNREADABLE if image is None else READ  # last: a row is done when all of it is there
        return len(rows)

    pending = np.flatnonzero(np.asarray(state) == 0)
    done, total = len(state) - len(pending), len(state)
    with warnings.catch_warnings(), ThreadPoolExecutor(usable_cores()) as pool:
        warnings.simplefilter("ignore")  # Pillow's remarks on odd files that it reads all the same
        futures = [pool.submit(fill, pending[i : i + CHUNK]) for i in range(0, len(pending), CHUNK)]
        try:
            for future in as_completed(futures):
                done += future.result()
                if on_decoded is not None:
                    on_decoded(done, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _array(path: Path, mode: str, shape: tuple[int, ...] | None = None) -> Any:
    return np.lib.format.open_memmap(path, mode=mode, dtype=np.uint8 if shape else None, shape=shape)
