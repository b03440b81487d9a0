"""Is the training engine right on a GPU, and how fast: one command for one card and ten minutes, without a network.

    python -m benchmarks.gpu -o OUT [--budget 540] [--device cuda:0] [--data FILE]
    python -m benchmarks.gpu -o OUT --rehearse

Each stage is a process of its own with its own part of the budget (seconds), and writes OUT/STAGE.json when it ends:
what it found, or that it failed, ran out of its time or was skipped. OUT/summary.txt has all in lines for people. The
search takes its images from FILE (see images.py; without it the built-in digits). A rehearsal runs on a CPU every stage
that can run there, with sizes that take seconds: it shows that the stages work, and its figures say nothing.

The status is 0 when every stage ended and found nothing wrong, else 1.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import correctness, search, speed
from benchmarks.gpu.place import Findings, Place, SkippedError
from benchmarks.machine import machine


@dataclass(frozen=True)
class Stage:
    """run: what it does. share: its part of the budget."""

    run: Callable[[Place], Findings]
    share: float


STAGES: Mapping[str, Stage] = {
    "recipes": Stage(correctness.recipes, 0.12),
    "parity": Stage(correctness.parity, 0.08),
    "kernels": Stage(speed.kernels, 0.06),
    "memory": Stage(correctness.memory, 0.08),
    "faults": Stage(correctness.faults, 0.08),
    "throughput": Stage(speed.throughput, 0.2),
    "packing": Stage(speed.packing, 0.18),
    "discover": Stage(search.discover, 0.2),
}
"""In the order of running. What a stage leaves of its part goes to the last."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--budget", type=float, default=540.0, help="seconds for all stages")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--data", type=Path, help="packed images for the search")
    parser.add_argument("--rehearse", action="store_true")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=float, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.rehearse:
        asked.device = "cpu"
    if asked.stage:
        _write(asked.output / f"{asked.stage}.json", run_stage(asked))
        return
    asked.output.mkdir(parents=True, exist_ok=True)
    sys.exit(run_all(asked))


def run_all(asked: argparse.Namespace) -> int:
    """Run the stages one after another; the status."""
    begin = time.monotonic()
    card = torch.cuda.get_device_name(asked.device) if torch.cuda.is_available() and not asked.rehearse else "no GPU"
    lines = [f"command: python -m benchmarks.gpu {' '.join(sys.argv[1:])}",
             f"machine: {card}; {machine()}; torch {torch.__version__}"]  # fmt: skip
    print(*lines, sep="\n", flush=True)
    wrong = False
    for name, stage in STAGES.items():
        left = asked.budget - (time.monotonic() - begin)
        all_of_it = asked.rehearse or name == list(STAGES)[-1]
        seconds = left if all_of_it else min(left, stage.share * asked.budget)
        record = _run_process(name, seconds, asked.output)
        _write(asked.output / f"{name}.json", record)
        wrong |= record["status"] not in ("ok", "skipped")
        told = [f"{name}: {record['status']}, {record['seconds']:.0f} s", *(f"  {line}" for line in record["lines"]),
                *(f"  WRONG: {line}" for line in record["wrong"])]  # fmt: skip
        print(*told, sep="\n", flush=True)
        lines += told
        (asked.output / "summary.txt").write_text("\n".join(lines) + "\n")
    return int(wrong)


def _run_process(name: str, seconds: float, output: Path) -> dict[str, Any]:
    """The stage's record from its process, or what became of that."""
    file, begin = output / f"{name}.json", time.monotonic()
    file.unlink(missing_ok=True)
    command = [sys.executable, "-m", "benchmarks.gpu", *sys.argv[1:], "--stage", name, "--seconds", f"{seconds:.1f}"]
    status, lines = "failed", list[str]()
    try:
        ended = subprocess.run(command, timeout=max(1.0, seconds), capture_output=True, text=True, check=False)
        lines = ended.stderr.splitlines()[-3:]
    except subprocess.TimeoutExpired:
        status = "ran out of its time"
    record: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {
        "status": status, "lines": [], "figures": {}, "wrong": lines,
    }  # fmt: skip
    return {**record, "seconds": time.monotonic() - begin}


def run_stage(asked: argparse.Namespace) -> dict[str, Any]:
    """What the stage found, as its file holds it."""
    with tempfile.TemporaryDirectory() as scratch:
        # What a stage starts and stops needs some of its time.
        seconds = min(0.8 * asked.seconds, 20.0 if asked.rehearse else math.inf)
        place = Place(asked.device, seconds, Path(scratch), asked.data, asked.rehearse)
        try:
            if not asked.rehearse and not torch.cuda.is_available():
                raise SkippedError("no GPU was found here")
            found = STAGES[asked.stage].run(place)
        except SkippedError as reason:
            return {"status": "skipped", **asdict(Findings([str(reason)]))}
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            line = f"{type(error).__name__}: {error} ({Path(where.filename).name}:{where.lineno})"
            return {"status": "failed", **asdict(Findings(wrong=[line]))}
    return {"status": "wrong" if found.wrong else "ok", **asdict(found)}


def _write(file: Path, record: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
