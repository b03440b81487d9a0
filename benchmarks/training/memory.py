"""How much memory a large data set takes: many generated images, cached and trained on.

    python -m benchmarks.training.memory [--images 200000] [--size 64] [--folder DIR]

Writes JPEGs into an image folder in a temporary place (removed at the end), runs `scalenas discover` on it with one
worker for one trial of one epoch, and looks at the memory of the driver and all its descendants four times a second:

- resident: the sum of their PSS (/proc/PID/smaps_rollup), which counts a page that several of them map once, and pages
  of mapped files as far as they are resident in a process;
- anonymous: the part of it that no file backs, which the system cannot take back without swap.

Pages that the system's file cache holds, and no process maps, are in neither.
"""

from __future__ import annotations

import argparse
import io
import shlex
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.machine import machine

CLASSES = 10
PICTURES = 5000
EVERY = 0.25  # seconds
OPTIONS = "--devices cpu --workers 1 --trials 1 --epochs 1 --confirm 0 --sampler random --target-macs 2M"


def generate(folder: Path, images: int, size: int) -> None:
    """Smooth random pictures in class folders, a tint for each class; beyond PICTURES they repeat, as other files."""
    rng = np.random.default_rng(0)
    for label in range(CLASSES):
        (folder / f"class{label}").mkdir(parents=True)
    tints = rng.integers(0, 128, (CLASSES, 3))
    encoded = []
    for i in range(min(images, PICTURES)):
        seed = rng.integers(0, 128, (8, 8, 3)) + tints[i % CLASSES]
        file = io.BytesIO()
        picture = Image.fromarray(seed.astype(np.uint8)).resize((size, size), Image.Resampling.BILINEAR)
        picture.save(file, "JPEG", quality=80)
        encoded.append(file.getvalue())
    for i in range(images):
        # What follows the end of a JPEG is not part of the picture.
        content = encoded[i % PICTURES] + i.to_bytes(8, "big")
        (folder / f"class{i % CLASSES}" / f"{i:06d}.jpg").write_bytes(content)


@dataclass
class Peaks:
    """Largest sums over the processes in bytes, while images are decoded (until a journal is there) and after."""

    resident: dict[str, int] = field(default_factory=dict)
    anonymous: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def look(self, root: int, phase: str, seconds: float) -> None:
        """Take in how much the process `root` and its descendants use now."""
        found = [memory_of(pid) for pid in descendants(root)]
        for peaks, name in ((self.resident, "Pss"), (self.anonymous, "Pss_Anon")):
            peaks[phase] = max(peaks.get(phase, 0), sum(each.get(name, 0) for each in found))
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds


def descendants(root: int) -> list[int]:
    """The process and all that it has started, directly or not."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:
                continue  # gone meanwhile
    found = [root]
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def memory_of(pid: int) -> dict[str, int]:
    """smaps_rollup in bytes, nothing for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    except OSError:
        return {}
    return {name: 1024 * int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def run(folder: Path, data: Path) -> Peaks:
    """Run the command and watch it; its own messages go to standard error."""
    command = [sys.executable, "-m", "experiments", "discover", str(data), "--run", str(folder / "run")]
    command += shlex.split(OPTIONS)
    print(f"command: scalenas {shlex.join(command[3:])}", flush=True)
    peaks = Peaks()
    with subprocess.Popen(command) as process:
        last = time.monotonic()
        while process.poll() is None:
            time.sleep(EVERY)
            now = time.monotonic()
            phase = "train" if (folder / "run" / "discover.journal").exists() else "cache"
            peaks.look(process.pid, phase, now - last)
            last = now
    if process.returncode:
        raise SystemExit(f"the command ended with status {process.returncode}")
    return peaks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200_000)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--folder", help="where the temporary folder is made")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as scratch:
        data = Path(scratch) / "images"
        begin = time.monotonic()
        generate(data, args.images, args.size)
        decoded = args.images * args.size**2 * 3
        print(f"{args.images:,} images of {args.size} pixels, {decoded / 1e9:.2f} GB decoded, "
              f"written in {time.monotonic() - begin:.0f} s")  # fmt: skip
        print(f"machine: {machine()}")
        peaks = run(Path(scratch), data)
        for phase in peaks.resident:
            print(f"{phase}: peak resident {peaks.resident[phase] / 1e9:.2f} GB, of which anonymous at most "
                  f"{peaks.anonymous[phase] / 1e9:.2f} GB; {peaks.seconds[phase]:.0f} s")  # fmt: skip


if __name__ == "__main__":
    main()
