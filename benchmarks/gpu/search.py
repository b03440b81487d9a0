"""The stage that searches: the command as a user gives it, against its own forecast."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.gpu.images import unpack
from benchmarks.gpu.place import Findings, Place

IMAGES, TRIALS, EPOCHS = 10_000, 200, 5


def discover(place: Place) -> Findings:
    """`scalenas discover` on the packed images until the stage's time ends: trials a minute, foretold and measured."""
    found = Findings()
    data = "digits" if place.data is None else str(unpack(place.data, place.scratch / "images"))
    run = place.scratch / "run"
    trials, images, epochs = (3, 60, 1) if place.rehearse else (TRIALS, IMAGES, EPOCHS)
    options = ["--trials", trials, "--epochs", epochs, "--train-images", images, "--confirm", 0]
    options += ["--devices", place.device, "--target-macs", "100k" if place.rehearse else "2M"]
    command = [sys.executable, "-m", "scalenas", "discover", data, "--run", str(run), *map(str, options)]
    # Two trainings to time by, and packing, are part of what a user waits for, and are kept for the search.
    begin = time.perf_counter()
    foretold = json.loads(_output([*command, "--dry-run", "--json"]))
    found.figures |= {"forecast": foretold, "calibration_seconds": time.perf_counter() - begin}
    calibrated = time.perf_counter()
    left = max(1.0, place.seconds - (calibrated - begin))
    _run_for(command, None if place.rehearse else left, run)
    seconds = time.perf_counter() - calibrated
    done = 0
    if (run / "discover.journal").exists():
        status = json.loads(_output([sys.executable, "-m", "scalenas", "status", str(run), "--json"]))
        done = status["studies"]["discover"]["states"]["complete"]
    found.figures |= {"seconds": seconds, "trials": done}
    found.lines.append(f"{done} of {trials} trials of {epochs} epochs on {images:,} images in {seconds:.0f} s "
                       f"(with the pool's start)")  # fmt: skip
    total = foretold.get("seconds")
    if total:
        found.lines.append(f"foretold: {total:.1f} s for {trials}, {total * done / trials:.1f} s for {done}")
    if not done:
        found.wrong.append("no trial ended")
    return found


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _run_for(command: list[str], seconds: float | None, run: Path) -> None:
    """Run the command; after so many seconds, if any, ask it to end, which stores what has finished."""
    with (run.parent / "discover.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGINT)
            process.wait(30)
