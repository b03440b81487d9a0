"""A folder with decoded images as one memory-mapped uint8 array; filled in parallel, atomic, resumable."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nas.data.dataset import DataError
from nas.files import LARGEST_JSON, read_bounded
from nas.machine import usable_cores

PENDING, READ = 0, 1
"""States of a row; from 2 on they are reasons for which its bytes give no image, for the caller to know."""
DIGEST_BYTES = 16
CHUNK = 64
_SURVEY = "survey.json"


@dataclass(frozen=True)
class Row:
    """What became of a row. state: PENDING where another try may succeed. digest: DIGEST_BYTES over its content."""

    state: int
    image: NDArray[np.uint8] | None = None
    digest: bytes = bytes(DIGEST_BYTES)


Survey = Callable[[], str]
"""survey() -> what the rows have in common and their reading depends on, as a text; made once for a cache."""
Reader = Callable[[int, str], Row]
"""read(row, the survey's text) -> what became of it."""
OnDecoded = Callable[[int, int], None]
"""on_decoded(done, total) -> None, in images; called in the caller's thread."""


@dataclass(frozen=True)
class Cache:
    """A finished cache: images (N, S, S, C) in a file, state (N,), digests (N, 16), and spans (N,): the most that the
    pixels of an image differ in one of its channels; survey: see Survey.
    """

    images_path: Path
    state: NDArray[np.uint8]
    digests: NDArray[np.uint8]
    spans: NDArray[np.uint8]
    survey: str


def open_cache(
    folder: Path, shape: tuple[int, int, int, int], survey: Survey, read: Reader, on_decoded: OnDecoded | None
) -> Cache:
    """Open the cache at `folder`, or decode what is not in it yet with one thread per core.

    While it is being filled it lies in `<folder>.partial`; a killed run leaves that behind and the next goes on with
    the rows still pending. Rows that stay pending are tried again each time. Raises DataError when the disk has no room
    or the place cannot be written.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    finished = folder.is_dir()
    try:
        if finished:
            if not _opened(folder, shape).state.all() and os.access(folder / "state.npy", os.W_OK):
                _fill(folder, read, on_decoded)
            return _opened(folder, shape)
        _create(partial, shape, survey)
        _opened(partial, shape)
        _fill(partial, read, on_decoded)
        _publish(partial, folder)
    except OSError as error:
        if finished or not folder.is_dir():  # else another process finished it in the meantime
            raise DataError(f"{error.filename or folder}: cannot write the image cache ({error.strerror})") from None
    return _opened(folder, shape)


def _opened(folder: Path, shape: tuple[int, int, int, int]) -> Cache:
    rows = shape[0]
    try:
        _mapped(folder / "images.npy", shape)  # of a file that was cut short some pages could not be read
        columns = {"state": (rows,), "digests": (rows, DIGEST_BYTES), "spans": (rows,)}
        state, digests, spans = (np.array(_mapped(folder / f"{name}.npy", wide)) for name, wide in columns.items())
        survey = read_bounded(folder / _SURVEY, LARGEST_JSON).decode()
        return Cache(folder / "images.npy", state, digests, spans, survey)
    except Exception:  # a damaged header has numpy raise almost anything
        raise DataError(f"{folder}: not a whole image cache; remove it, and it is made anew") from None


def _mapped(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """The file's array. Raises some exception where it is no regular file with one of that shape."""
    if not path.is_file():  # a pipe would be waited for
        raise ValueError("no regular file")
    array: NDArray[np.uint8] = np.load(path, mmap_mode="r")
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"{array.dtype} {array.shape}, not uint8 {shape}")
    return array


def _create(partial: Path, shape: tuple[int, int, int, int], survey: Survey) -> None:
    """Make the empty arrays under another name first, so that `partial` always has all of them."""
    if partial.is_dir():
        return
    partial.parent.mkdir(parents=True, exist_ok=True)
    rows = shape[0]
    need, free = int(np.prod(shape)) + rows * (DIGEST_BYTES + 2), shutil.disk_usage(partial.parent).free
    if need > free:
        raise DataError(
            f"{partial.parent}: the image cache needs {need / 1e6:,.2f} MB, {free / 1e6:,.2f} are free; "
            "name another place, or fewer images"
        )
    scratch = Path(tempfile.mkdtemp(prefix=".new-", dir=partial.parent))
    try:
        np.lib.format.open_memmap(scratch / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
        np.save(scratch / "state.npy", np.zeros(rows, dtype=np.uint8))
        np.save(scratch / "digests.npy", np.zeros((rows, DIGEST_BYTES), dtype=np.uint8))
        np.save(scratch / "spans.npy", np.zeros(rows, dtype=np.uint8))
        (scratch / _SURVEY).write_text(survey())
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _publish(scratch, partial)


def _publish(source: Path, target: Path) -> None:
    """Rename; where another process was first, with the same content, its folder stands."""
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        shutil.rmtree(source, ignore_errors=True)


class _Column:
    """A file with one value, a number or an array, for each row. Written beside any mapping: of a mapped page that the
    disk has no room for the process would die."""

    def __init__(self, path: Path) -> None:
        self._begin = np.load(path, mmap_mode="r").offset
        self._file = os.open(path, os.O_RDWR)

    def write(self, row: int, value: bytes) -> None:
        at = self._begin + row * len(value)
        while value:
            written = os.pwrite(self._file, value, at)
            at, value = at + written, value[written:]

    def close(self) -> None:
        os.fsync(self._file)
        os.close(self._file)


def _fill(folder: Path, read: Reader, on_decoded: OnDecoded | None) -> None:
    """Fill in the rows still pending, as far as they can be read."""
    survey = (folder / _SURVEY).read_text()
    pending = np.flatnonzero(np.load(folder / "state.npy") == PENDING)
    images, digests, spans, state = columns = [
        _Column(folder / f"{name}.npy") for name in ("images", "digests", "spans", "state")
    ]

    def fill(rows: NDArray[np.intp]) -> int:
        for row in map(int, rows):
            found = read(row, survey)
            if found.state == PENDING:
                continue
            if found.image is not None:
                images.write(row, found.image.tobytes())
                spans.write(row, _span(found.image).to_bytes())
            digests.write(row, found.digest)
            state.write(row, found.state.to_bytes())  # last: a row is done when all of it is there
        return len(rows)

    try:
        _in_threads(fill, pending, on_decoded, len(np.load(folder / "state.npy", mmap_mode="r")))
    finally:
        for column in columns:
            column.close()


def _in_threads(
    fill: Callable[[NDArray[np.intp]], int], pending: NDArray[np.intp], on_decoded: OnDecoded | None, total: int
) -> None:
    done = total - len(pending)
    with ThreadPoolExecutor(usable_cores()) as pool:
        futures = [pool.submit(fill, pending[i : i + CHUNK]) for i in range(0, len(pending), CHUNK)]
        try:
            for future in as_completed(futures):
                done += future.result()
                if on_decoded is not None:
                    on_decoded(done, total)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _span(image: NDArray[np.uint8]) -> int:
    return int((image.max(axis=(0, 1)) - image.min(axis=(0, 1))).max())
