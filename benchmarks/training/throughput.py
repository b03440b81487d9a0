"""How many images a second a short training sees on the CPU, in four ways of writing it.

    python -m benchmarks.training.throughput [--sizes 32,64,96] [--repetitions 3] [--steps 1] [--only one|whole]
    python -m benchmarks.training.throughput --against PATH [--sizes ...] [--repetitions ...] [--steps ...]

The network is EfficientNet-B0 fitted to each size at 30 M multiply-adds (at 32 pixels about half B0's width), batches
have 128 images, the optimiser is SGD with Nesterov's momentum. In one process on one thread, as a slot of the pool has
it:

    files          a DataLoader that opens JPEG files, PIL for shift and mirror, NCHW
    in memory      all images as one float tensor, mirrored, NCHW
    channels_last  the same, images and network in channels_last layout
    ours           the loop of the proxies: uint8 in memory, mirrored and shifted, the compiled operations
    ours, default  the same with the default recipe, which has another optimiser and batches of 64

Then the whole machine at the first size: the second and third in one process on all cores, and PyTorch's operations
(plain) and ours through the pool, one worker a core; building and measuring the networks is then part of the time.

With `--against`, the default recipe in batches of 64, in this checkout and in another one at PATH (`git worktree add
PATH COMMIT`, and there `python setup.py build_ext --inplace`).

Ways take turns, each in a process of its own. Printed are the median over repetitions and the range, by the wall and,
for one process, by its CPU time, which suffers less from a busy machine; ratios are of medians.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.data.feed import open_feed
from nas.data.source import open_dataset
from nas.evaluation import Fidelity, Request
from nas.kernels.fast_path import available
from nas.machine import usable_cores
from nas.pool.executor import Finished
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot, keep_memory
from nas.training.loop import Training
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import Recipe, fast
from search_spaces import ArchSpec, build_network, fit_arch, reference_arch

MACS = 30e6
BATCH = 128
CLASSES = 10
MEAN, STD = 0.5, 0.25
POOL_EPOCHS = 2

Run = Callable[[], int]
"""One repetition; returns the images seen."""


@dataclass(frozen=True)
class Task:
    """What every way trains on: the folder of images and their side, and where the decoded ones are kept."""

    folder: Path
    cache: Path
    size: int

    @property
    def arch(self) -> ArchSpec:
        return fit_arch(reference_arch("efficientnet_b0"), self.size, MACS, num_classes=CLASSES)


def write_images(folder: Path, size: int, count: int) -> None:
    """`count` coloured clouds as JPEG files in train/<class>/, and a few in val/."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", 2 * CLASSES)):
        for i in range(number):
            place = folder / split / str(i % CLASSES)
            place.mkdir(parents=True, exist_ok=True)
            cloud = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
            cloud.resize((size, size), Image.Resampling.BICUBIC).save(place / f"{i}.jpg", quality=92)


class Files(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """Images from files, shifted and mirrored by PIL."""

    def __init__(self, folder: Path) -> None:
        self.paths = sorted((folder / "train").glob("*/*.jpg"))

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path = self.paths[index]
        image = Image.open(path).convert("RGB")
        right, down = (round(float(share) * image.width / 8) for share in torch.rand(2) * 2 - 1)
        image = image.transform(image.size, Image.Transform.AFFINE, (1, 0, right, 0, 1, down))
        if torch.rand(()) < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1).float().div(255)
        return (pixels - MEAN) / STD, int(path.parent.name)


def batches_in_memory(images: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch in random order, every image mirrored or not."""
    order = torch.randperm(len(images))
    for start in range(0, len(images) - BATCH + 1, BATCH):
        rows = order[start : start + BATCH]
        batch = images[rows]
        mirrored = torch.rand(BATCH) < 0.5
        batch[mirrored] = batch[mirrored].flip(3)
        yield batch, labels[rows]


def user_loop(task: Task, layout: torch.memory_format, batches: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> Run:
    """A training loop as PyTorch's tutorials have it."""
    network: nn.Module = build_network(task.arch, CLASSES).to(memory_format=layout).train()  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)

    def run() -> int:
        seen = 0
        for images, labels in batches():
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.contiguous(memory_format=layout)), labels, label_smoothing=0.1)
            loss.backward()
            optimizer.step()
            seen += len(images)
        return seen

    return run


def from_files(task: Task) -> Run:
    loader = torch.utils.data.DataLoader(Files(task.folder), BATCH, shuffle=True, drop_last=True)
    return user_loop(task, torch.contiguous_format, lambda: loader)


def in_memory(task: Task, layout: torch.memory_format = torch.contiguous_format) -> Run:
    files = Files(task.folder)
    pixels = np.stack([np.array(Image.open(path).convert("RGB")) for path in files.paths])
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div(255) - MEAN) / STD
    images = images.contiguous(memory_format=layout)
    labels = torch.tensor([int(path.parent.name) for path in files.paths])
    return user_loop(task, layout, lambda: batches_in_memory(images, labels))


def channels_last(task: Task) -> Run:
    return in_memory(task, torch.channels_last)


def like_the_others() -> Recipe:
    """The default recipe with the optimiser and the batches of the other ways."""
    return replace(fast(), optimizer="sgd", learning_rate=0.01, weight_decay=5e-4, batch_size=BATCH, min_steps=1)


def evaluator(task: Task, recipe: Recipe, *, plain: bool = False) -> ProxyEvaluator:
    dataset = open_dataset(str(task.folder), task.cache, max_resolution=task.size)
    return ProxyEvaluator(dataset, recipe, plain=plain)


def ours(task: Task, recipe: Recipe | None = None) -> Run:
    keep_memory()  # as in the pool's workers
    device = torch.device("cpu")
    trial = evaluator(task, recipe or like_the_others())
    feed = open_feed(trial.dataset, "train", device, share=1.0, resolution=task.size, channels=3)
    training = Training(trial.network(task.arch, 1, device), trial.recipe, feed, 1, seed=0, flip=True)

    def run() -> int:
        training.run_epoch(1)
        return len(feed)

    return run


def ours_default(task: Task) -> Run:
    return ours(task, fast())


WAYS: dict[str, Callable[[Task], Run]] = {
    "files": from_files,
    "in memory": in_memory,
    "channels_last": channels_last,
    "ours": ours,
    "ours, default": ours_default,
}
_RUN: list[Run] = []
"""What this process repeats."""


def prepare(way: str, task: Task, threads: int) -> None:
    """Get a process ready for `measure`: everything loaded, one repetition done."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    _RUN.append(WAYS[way](task))
    _RUN[0]()


def measure() -> tuple[float, float]:
    """Images a second of one repetition: by the wall, by the CPU time of this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    images = _RUN[0]()
    return images / (time.perf_counter() - wall), images / (time.process_time() - cpu)


def race(ways: Iterable[str], task: Task, threads: int, repetitions: int) -> dict[str, list[tuple[float, float]]]:
    """The measurements of each way, taken in turns."""
    with ExitStack() as stack:
        processes = {}
        for way in ways:
            processes[way] = stack.enter_context(ProcessPoolExecutor(1, get_context("spawn")))
            processes[way].submit(prepare, way, task, threads).result()
        found: dict[str, list[tuple[float, float]]] = {way: [] for way in processes}
        for _ in range(repetitions):
            for way, process in processes.items():
                found[way].append(process.submit(measure).result())
    return found


class Checkout:
    """A process that repeats trainings by the default recipe with the code of a checkout of this repository."""

    code = """
import sys
from dataclasses import replace
from pathlib import Path
from benchmarks.training.throughput import WAYS, Task, fast, measure, ours, prepare
folder, cache, size = sys.argv[1:]
WAYS["batches of 64"] = lambda task: ours(task, replace(fast(), min_steps=1))
prepare("batches of 64", Task(Path(folder), Path(cache), int(size)), 1)
print("ready", flush=True)
for _ in sys.stdin:
    print(*measure(), flush=True)
"""

    def __init__(self, path: Path, task: Task) -> None:
        command = [sys.executable, "-c", self.code, str(task.folder), str(task.cache), str(task.size)]
        self.process = subprocess.Popen(
            command, cwd=path, env=os.environ | {"PYTHONPATH": str(path)}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        self._read()

    def measure(self) -> tuple[float, float]:
        assert self.process.stdin is not None
        self.process.stdin.write("again\n")
        self.process.stdin.flush()
        wall, cpu = self._read().split()
        return float(wall), float(cpu)

    def _read(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"the training in {self.process.args!r} ended")
        return line

    def close(self) -> None:
        self.process.communicate()


def race_checkouts(paths: dict[str, Path], task: Task, repetitions: int) -> dict[str, list[tuple[float, float]]]:
    """The measurements of the default recipe by each checkout's code, taken in turns."""
    with ExitStack() as stack:
        checkouts = {
            name: stack.enter_context(closing(Checkout(path, replace(task, cache=task.cache / name))))
            for name, path in paths.items()
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in checkouts}
        for _ in range(repetitions):
            for name, checkout in checkouts.items():
                found[name].append(checkout.measure())
    return found


def race_pools(task: Task, workers: int, repetitions: int) -> dict[str, list[tuple[float, float]]]:
    """Images a second by the wall, of all workers together, through the pool; measured in turns."""
    recipe = like_the_others()
    with ExitStack() as stack:
        pools = {
            name: stack.enter_context(closing(LocalExecutor(evaluator(task, recipe, plain=plain), [Slot()] * workers)))
            for name, plain in (("pool, plain", True), ("pool, ours", False))
        }
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in pools}
        for repetition in range(repetitions + 1):
            for name, pool in pools.items():
                start = time.perf_counter()
                images = run_trials(pool, task, workers)
                if repetition:  # the first starts the workers
                    found[name].append((images / (time.perf_counter() - start), 0.0))
    return found


def run_trials(pool: LocalExecutor, task: Task, workers: int) -> int:
    """One trial on every worker at once; returns the training images seen."""
    for ticket in range(workers):
        pool.submit(ticket, Request(task.arch, Fidelity(POOL_EPOCHS), seed=ticket))
    left = workers
    while left:
        for event in pool.wait():
            if isinstance(event, Finished):
                if event.outcome.value is None:
                    sys.exit(f"a trial failed: {event.outcome.failure}")
                left -= 1
    return workers * POOL_EPOCHS * len(Files(task.folder))


def show(title: str, found: dict[str, list[tuple[float, float]]], base: tuple[str, ...]) -> None:
    """Print one line a way: images a second, and the ratios to the ways in `base`."""
    print(f"\n{title}")
    for clock, name in enumerate(("wall", "CPU")):
        medians = {way: statistics.median(pair[clock] for pair in pairs) for way, pairs in found.items()}
        if not all(medians.values()):
            continue
        for way, pairs in found.items():
            rates = [pair[clock] for pair in pairs]
            ratios = ", ".join(f"{medians[way] / medians[other]:.2f} x {other}" for other in base if other != way)
            print(
                f"  {name:4s} {way:14s} {medians[way]:7.0f} images/s ({min(rates):.0f} to {max(rates):.0f}, "
                f"n {len(rates)})  {ratios}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="32,64,96")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1, help="of 128 images, in one repetition")
    parser.add_argument("--only", choices=["one", "whole"])
    parser.add_argument("--against", type=Path, metavar="PATH", help="another checkout, compiled")
    asked = parser.parse_args()
    sizes = [int(size) for size in asked.sizes.split(",")]
    cores = usable_cores()
    print(f"command: python -m benchmarks.training.throughput {' '.join(sys.argv[1:])}".rstrip())
    print(
        f"machine: {processor()}, {cores} cores, load {os.getloadavg()[0]:.1f}, {platform.system()}, "
        f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"compiled operations {'used' if available() else 'not there'}"
    )
    with tempfile.TemporaryDirectory() as name:
        tasks = [Task(Path(name) / str(size), Path(name) / f"cache{size}", size) for size in sizes]
        for task in tasks:
            write_images(task.folder, task.size, BATCH * asked.steps)
        if asked.against is not None:
            paths = {"there": asked.against.resolve(), "here": Path(__file__).parents[2]}
            for task in tasks:
                found = race_checkouts(paths, task, asked.repetitions)
                show(f"{task.size} pixels, default recipe, one process on one thread", found, ("there",))
        elif asked.only != "whole":
            for task in tasks:
                found = race(WAYS, task, 1, asked.repetitions)
                show(f"{task.size} pixels, one process on one thread", found, ("in memory", "channels_last"))
        if asked.against is None and asked.only != "one":
            found = race(("in memory", "channels_last"), tasks[0], cores, asked.repetitions)
            found |= race_pools(tasks[0], cores, asked.repetitions)
            found = {way: [(wall, 0.0) for wall, _ in pairs] for way, pairs in found.items()}
            show(f"{tasks[0].size} pixels, the whole machine", found, ("in memory", "channels_last", "pool, plain"))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}")


def processor() -> str:
    """The processor's name, and the vector instructions that matter here."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    about = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = [flag for flag in ("avx2", "fma", "avx512f", "amx_bf16") if flag in about.get("flags", "").split()]
    return " ".join([about.get("model name", platform.machine()), *flags])


if __name__ == "__main__":
    main()
