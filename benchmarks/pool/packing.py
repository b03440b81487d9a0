"""How many trainings share a GPU best: images a second, memory and utilisation of 1, 2, 4, 8 and 16 at a time.

    python -m benchmarks.pool.packing [DATA] [--device cuda:0] [--target-macs 20M] [-o benchmarks/results/packing.csv]

Each training is a process of its own, as in a search, on a B0-like network at 32x32 fitted to the target. DATA is an
image folder (default: random images, which cost the same). Also prints the number that `discover` would choose, and
whether its throughput is within 10 % of the best. Without a GPU it says so and ends.
"""

from __future__ import annotations

import argparse
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import closing
from pathlib import Path

import pandas as pd
import torch

from benchmarks.noise import write_noise
from nas.data.source import open_dataset
from nas.evaluation import Probe
from nas.machine import usable_cores
from nas.pool.local import LocalExecutor
from nas.pool.packing import MOST_SLOTS, Packed, choose_slots, measure_together
from nas.pool.slots import Slot
from nas.training.proxy import ProxyEvaluator
from search_spaces import fit_arch, reference_arch

RESOLUTION = 32
IMAGES_EACH = 500  # of ten classes


class Utilisation:
    """What nvidia-smi says of the GPU while trainings run, four times a second."""

    def __init__(self, device: str) -> None:
        self.samples: list[tuple[float, float]] = []  # per cent of the time busy, MiB used
        self._end = threading.Event()
        self._index = device.partition(":")[2] or "0"
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Utilisation:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        if shutil.which("nvidia-smi") is None:
            return
        command = ["nvidia-smi", f"--id={self._index}", "--query-gpu=utilization.gpu,memory.used"]
        while not self._end.wait(0.25):
            told = subprocess.run(
                [*command, "--format=csv,noheader,nounits"], capture_output=True, text=True, check=False
            )
            if told.returncode == 0:
                busy, used = told.stdout.split(",")
                self.samples.append((float(busy), float(used)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?")
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--target-macs", type=float, default=20e6)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("-o", "--output", type=Path)
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no GPU was found here: nothing to measure")
    name = torch.cuda.get_device_name(asked.device)
    print(f"command: python -m benchmarks.pool.packing {' '.join(sys.argv[1:])}")
    print(f"machine: {name}, {platform.machine()}, {usable_cores()} cores, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as scratch:
        data = asked.data or str(write_noise(Path(scratch) / "images", RESOLUTION, IMAGES_EACH))
        dataset = open_dataset(data, Path(scratch) / "cache", max_resolution=RESOLUTION)
        base = reference_arch("efficientnet_b0")
        arch = fit_arch(base, RESOLUTION, asked.target_macs, num_classes=dataset.num_classes)
        rows, measured = measure(ProxyEvaluator(dataset), Probe(arch, seconds=asked.seconds), asked.device)
    table = pd.DataFrame(rows)
    print(table.to_string(index=False, float_format="%.3g"))
    chosen = choose_slots(measured)
    speeds = {each.slots: each.images_per_second for each in measured}
    share = speeds[chosen] / max(speeds.values())
    gain = max(speeds.values()) / speeds[1]
    print(f"chosen: {chosen} at a time, {100 * share:.0f} % of the best; the best is {gain:.2f} times one")
    if asked.output:
        table.assign(gpu=name).to_csv(asked.output, index=False)


def measure(
    evaluator: ProxyEvaluator, probe: Probe, device: str, most: int = MOST_SLOTS
) -> tuple[list[dict[str, float]], list[Packed]]:
    """One row and one measurement for each number of trainings up to `most`, from fresh processes each."""
    rows, measured = [], []
    slots = 1
    while slots <= most:
        slot = Slot(device, max(1, usable_cores() // slots))
        with closing(LocalExecutor(evaluator, [slot] * slots)) as executor, Utilisation(device) as seen:
            found = measure_together(executor, probe, slots)
        if found is None:
            print(f"{slots} at a time: a training failed")
            break
        measured.append(found)
        busy = sorted(sample[0] for sample in seen.samples)
        rows.append({
            "trainings": slots,
            "images_per_second": found.images_per_second,
            "of_one": found.images_per_second / measured[0].images_per_second,
            "memory_used_gb": (found.total_bytes - found.free_bytes) / 1e9,
            "busy_percent_upper_quartile": busy[3 * len(busy) // 4] if busy else float("nan"),
        })  # fmt: skip
        slots *= 2
    return rows, measured


if __name__ == "__main__":
    main()
