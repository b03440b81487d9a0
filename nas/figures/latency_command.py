"""Latency on a device of one's own: a command that is given the network's file and prints milliseconds."""

from __future__ import annotations

import contextlib
import importlib
import logging
import math
import os
import re
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from nas.figures.latency import drawn, onnx_program
from search_spaces import ArchSpec

_log = logging.getLogger(__name__)

NEEDS = (
    "`latency_command` with {onnx} needs the packages onnx and onnxscript: "
    "pip install '.[export]' in the project's folder"
)
TRIES, SECONDS, PAUSE = 3, 120.0, 2.0
"""How often a command is tried for one network, how long it may take each time, and how long it is waited before the
second try; before the third twice that."""
_LONGEST = 200  # characters of what a command said
_READ, _MOST = 8192, 10**7  # bytes of its output: read of the end; written before it is ended
_NUMBER = re.compile(r"((?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?:ms\b|\s|$)")
_LOOKED = 0.02  # seconds between two looks at how much it has written


class DeviceError(ValueError):
    """A device that gave no latency: one line with the command, the network, and what it said."""


@dataclass(frozen=True)
class LatencyCommand:
    """Latencies by a command of the shell, in which `{onnx}`, `{pt2}` or `{json}` stands for a file of the network:
    ONNX, torch.export's, or the architecture alone.

    The network has random weights, which do not change how long it takes, and takes `batch` images. The last line that
    the command prints must begin with the milliseconds of one batch: `12.3`, `12.3 ms` or `12.3ms`. Raises ValueError
    for a command that is given no file, and for one that is given ONNX where a package that writes it is missing.
    """

    command: str
    batch: int = 1
    tries: int = TRIES
    seconds: float = SECONDS
    pause: float = PAUSE

    def __post_init__(self) -> None:
        if not any(place in self.command for place in _WRITERS):
            raise ValueError(
                f"`latency_command` {self.command!r} is given no network: {', '.join(_WRITERS)} stand for its file"
            )
        if "{onnx}" in self.command:
            try:
                for name in ("onnx", "onnxscript"):
                    importlib.import_module(name)
            except ImportError:
                raise ValueError(NEEDS) from None

    @property
    def words(self) -> str:
        return f"command {self.command!r}, batch {self.batch}"

    def measure(self, arch: ArchSpec, num_classes: int) -> float:
        """Milliseconds for one batch, of the first try that succeeds; those that fail are logged. Raises DeviceError
        where none succeeds."""
        with tempfile.TemporaryDirectory(prefix="scalenas-") as room:
            command = self.command
            for place, write in _WRITERS.items():
                if place in command:
                    file = Path(room) / f"{arch.id}.{place.strip('{}')}"
                    write(arch, num_classes, self.batch, file)
                    command = command.replace(place, shlex.quote(str(file)))
            for done in range(1, self.tries + 1):
                try:
                    return _milliseconds(_printed(command, self.seconds))
                except DeviceError as error:
                    if done == self.tries:
                        what = f"`latency_command` {self.command!r} gave no latency of network {arch.id}"
                        raise DeviceError(f"{what}, tried {done} times: {error}") from None
                    _log.warning("latency of network %s, try %d of %d: %s", arch.id, done, self.tries, error)
                    time.sleep(done * self.pause)
        raise AssertionError("the last try returns or raises")


def _printed(command: str, seconds: float) -> str:
    """The end of what a command has written to its standard output when it ends. With it all ends that it has started,
    and so it does when it takes too long or writes too much. Raises DeviceError."""
    # Files, not pipes: a pipe is open until the last child has ended that holds it.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command, shell=True, start_new_session=True, stdin=subprocess.DEVNULL, stdout=out, stderr=said
        )
        try:
            _wait(process, seconds, (out, said))
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode:
            raise DeviceError(f"status {process.returncode}; {_last_line(_end(said) or _end(out))}")
        return _end(out)


def _wait(process: subprocess.Popen[bytes], seconds: float, files: Sequence[IO[bytes]]) -> None:
    """Return when the process has ended. Raises DeviceError on one that does not, or whose files become too large."""
    deadline = time.monotonic() + seconds
    running = True
    while running:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LOOKED)
            running = False
        if any(os.fstat(file.fileno()).st_size > _MOST for file in files):
            raise DeviceError(f"it prints without end: more than {_MOST // 10**6} MB")
        if running and time.monotonic() > deadline:
            raise DeviceError(f"no answer within {seconds:g} s")


def _end(file: IO[bytes]) -> str:
    """The last _READ bytes; a line of which the beginning is missing begins with an ellipsis."""
    missing = max(0, os.fstat(file.fileno()).st_size - _READ)
    text = os.pread(file.fileno(), _READ, missing).decode(errors="replace")
    return f"…{text}" if missing else text


def _milliseconds(printed: str) -> float:
    """The number at the beginning of the last line. Raises DeviceError where there is none above 0."""
    line = _last_line(printed)
    found = _NUMBER.match(line)
    if found is None or not 0 < float(found[1]) < math.inf:
        raise DeviceError(f"its last line is no number of milliseconds: {line}")
    return float(found[1])


def _last_line(text: str) -> str:
    lines = re.split(r"[\r\n]", text)
    return next((line.strip()[:_LONGEST] for line in reversed(lines) if line.strip()), "nothing was printed")


def _write_onnx(arch: ArchSpec, num_classes: int, batch: int, file: Path) -> None:
    onnx_program(*drawn(arch, num_classes, batch)).save(str(file), external_data=False)


def _write_program(arch: ArchSpec, num_classes: int, batch: int, file: Path) -> None:
    import torch  # noqa: PLC0415  seconds to load

    network, images = drawn(arch, num_classes, batch)
    torch.export.save(torch.export.export(network, (images,)), str(file))


def _write_arch(arch: ArchSpec, _classes: int, _batch: int, file: Path) -> None:
    file.write_text(arch.to_json() + "\n", encoding="utf-8")


_WRITERS: Mapping[str, Callable[[ArchSpec, int, int, Path], None]] = {
    "{onnx}": _write_onnx,
    "{pt2}": _write_program,
    "{json}": _write_arch,
}
