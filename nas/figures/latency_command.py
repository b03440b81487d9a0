"""Latency on a device of one's own: a command that is given the network's file and prints milliseconds."""

from __future__ import annotations

import importlib
import math
import os
import shlex
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.figures.latency import drawn, onnx_program
from search_spaces import ArchSpec

NEEDS = (
    "`latency_command` with {onnx} needs the packages onnx and onnxscript: "
    "pip install '.[export]' in the project's folder"
)
TRIES, SECONDS, PAUSE = 3, 120.0, 2.0
"""How often a command is tried for one network, how long it may take each time, and how long it is waited before the
second try; before the third twice that."""
_LONGEST = 200  # characters of what a command said


class DeviceError(ValueError):
    """A device that gave no latency: one line with the command, the network, and what it said."""


@dataclass(frozen=True)
class LatencyCommand:
    """Latencies by a command of the shell, in which `{onnx}`, `{pt2}` or `{json}` stands for a file of the network:
    ONNX, torch.export's, or the architecture alone.

    The network has random weights, which do not change how long it takes, and takes `batch` images. What the command
    prints last must be the milliseconds of one batch, with or without their unit. Raises ValueError for a command that
    is given no file, and for one that is given ONNX where a package that writes it is missing.
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
        """Milliseconds for one batch, of the first try that succeeds. Raises DeviceError where none does."""
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
                    time.sleep(done * self.pause)
        raise AssertionError("the last try returns or raises")


def _printed(command: str, seconds: float) -> str:
    """What a command writes to its standard output; ended with all that it has started when it takes too long. Raises
    DeviceError."""
    process = subprocess.Popen(
        command, shell=True, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        out, said = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        raise DeviceError(f"no answer within {seconds:g} s") from None
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise DeviceError(f"status {process.returncode}; {_last_line(said or out)}")
    return out


def _milliseconds(printed: str) -> float:
    """The number at the beginning of the last line. Raises DeviceError where there is none above 0."""
    line = _last_line(printed)
    try:
        value = float(line.split()[0])
    except (IndexError, ValueError):
        value = math.nan
    if not 0 < value < math.inf:
        raise DeviceError(f"its last line is no number of milliseconds: {line}")
    return value


def _last_line(text: str) -> str:
    lines = text.split("\n")
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
