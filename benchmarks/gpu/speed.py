"""Stages that measure how fast trainings are on a device, always side by side in one process or in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.place import CLASSES, Findings, Place
from benchmarks.pool.packing import measure as measure_slots
from nas.evaluation import Probe
from nas.pool.packing import choose_slots
from nas.training.loop import Training
from nas.training.numerics import BFLOAT16, FLOAT32, repeatable
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import Recipe, fast
from search_spaces import build_network

BATCH = 128
Step = Callable[[], object]


def kernels(place: Place) -> Findings:
    """Kernels of a step of the default recipe, how much of the time the device computes, and the host's time."""
    found, on_gpu = Findings(), place.torch_device.type == "cuda"
    with repeatable(0, place.torch_device):
        step = _ours(place, fast())
        for _ in range(3):
            step()
        place.synchronize()
        count = 3 if place.rehearse else 20
        begin = time.perf_counter()
        for _ in range(count):
            step()
        host = (time.perf_counter() - begin) / count
        place.synchronize()
        wall = (time.perf_counter() - begin) / count
        activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * on_gpu
        with profile(activities=activities) as seen:
            for _ in range(count):
                step()
            place.synchronize()
    found.figures |= {"host_ms": 1e3 * host, "step_ms": 1e3 * wall}
    found.lines.append(
        f"a step takes {1e3 * wall:.2f} ms, of which the host needs {1e3 * host:.2f} to ask for it (n {count})"
    )
    if on_gpu:
        launched = [each for each in seen.events() or [] if each.device_type.name == "CUDA"]
        each, busy = len(launched) / count, sum(event.device_time for event in launched) / 1e6 / count
        found.figures |= {"kernels": each, "busy_ms": 1e3 * busy, "busy_share": busy / wall}
        found.lines.append(f"{each:.0f} kernels a step, busy for {1e3 * busy:.2f} ms: {100 * busy / wall:.0f} % of it")
    return found


def throughput(place: Place) -> Findings:
    """Images a second of loops on one network and one process, in turns."""
    found, on_gpu = Findings(), place.torch_device.type == "cuda"
    like_theirs = replace(fast(), optimizer="sgd", learning_rate=0.01, weight_decay=5e-4, batch_size=BATCH, min_steps=1)
    ways: dict[str, Callable[[], Step]] = {
        "plain float32": lambda: _theirs(place),
        "plain, channels_last": lambda: _theirs(place, layout=torch.channels_last),
        "plain, channels_last, AMP": lambda: _theirs(place, layout=torch.channels_last, amp=True),
        "ours, SGD, float32": lambda: _ours(place, like_theirs),
        "ours, SGD, bfloat16": lambda: _ours(place, like_theirs, BFLOAT16),
        "ours, default, float32": lambda: _ours(place, fast()),
        "ours, default, bfloat16": lambda: _ours(place, fast(), BFLOAT16),
    }
    if on_gpu:
        ways["plain, channels_last, AMP, torch.compile"] = lambda: _theirs(
            place, layout=torch.channels_last, amp=True, compiled=True
        )
    with repeatable(0, place.torch_device):
        steps: dict[str, Step] = {}
        for name, make in ways.items():
            try:
                steps[name] = make()
                for _ in range(3):
                    steps[name]()
                place.synchronize()
            except Exception as error:
                steps.pop(name, None)
                found.lines.append(f"{name}: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
        turns = 2 if place.rehearse else 7
        each = place.seconds / (10 if place.rehearse else 3) / turns / max(1, len(steps))
        speeds: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(turns):
            for name, step in steps.items():
                speeds[name].append(_images_per_second(place, name, step, each))
    base = statistics.median(speeds["plain, channels_last, AMP"])
    for name, values in speeds.items():
        median = statistics.median(values)
        found.figures[name] = values
        spread = f"{min(values):,.0f} to {max(values):,.0f}, n {len(values)}"
        found.lines.append(f"{name}: {median:,.0f} images/s ({spread}), {median / base:.2f} x plain AMP")
    if not on_gpu:
        found.lines.append("torch.compile: left out, for it takes minutes on a CPU")
    return found


def packing(place: Place) -> Findings:
    """Images a second of 1, 2, 4 and 8 trainings side by side, and the number that a search would choose."""
    found = Findings()
    seconds = 0.1 if place.rehearse else place.seconds / 16
    most = 2 if place.rehearse else 8
    rows, measured = measure_slots(
        ProxyEvaluator(place.dataset), Probe(place.arch, seconds=seconds), place.device, most=most
    )
    found.figures["rows"] = rows
    for row in rows:
        found.lines.append(f"{row['trainings']:.0f} at a time: {row['images_per_second']:,.0f} images/s, "
                           f"{row['of_one']:.2f} x one")  # fmt: skip
    if place.torch_device.type == "cuda":
        found.figures["chosen"] = choose_slots(measured)
        found.lines.append(f"chosen: {choose_slots(measured)} at a time")
    if not measured:
        found.wrong.append("no training could be timed")
    return found


def _images_per_second(place: Place, name: str, step: Step, seconds: float) -> float:
    batch = fast().batch_for(len(place.feed(place.torch_device))) if "default" in name else BATCH
    batch = min(batch, len(place.feed(place.torch_device)))
    place.synchronize()
    begin, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - begin < seconds:
        for _ in range(1 if place.rehearse else 10):
            step()
            steps += 1
        place.synchronize()
    return batch * steps / (time.perf_counter() - begin)


def _ours(place: Place, recipe: Recipe, numerics: str = FLOAT32) -> Step:
    training = place.training(recipe, numerics=numerics)
    training.network.train()
    batches = _batches(training)
    return lambda: training.step(*next(batches))


def _batches(training: Training) -> Iterator[tuple[Tensor, Tensor]]:
    size, epoch = min(training.recipe.batch_for(len(training.train)), len(training.train)), 1
    while True:
        yield from training.batches(epoch, size)
        epoch += 1


def _theirs(
    place: Place, *, layout: torch.memory_format = torch.contiguous_format, amp: bool = False, compiled: bool = False
) -> Step:
    """A loop as PyTorch's tutorials have it, on images that lie on the device as floats, mirrored by turns."""
    device = place.torch_device
    built: nn.Module = build_network(place.arch, CLASSES).to(device).to(memory_format=layout).train()  # type: ignore[call-overload]
    network: Callable[[Tensor], Tensor] = torch.compile(built) if compiled else built
    optimizer = torch.optim.SGD(built.parameters(), lr=0.01, momentum=0.9, nesterov=True, weight_decay=5e-4)
    images, labels = next(place.feed(device).in_order(BATCH))
    images, turn = images.contiguous(memory_format=layout), [0]

    def step() -> Tensor:
        turn[0] += 1
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=amp):
            loss = F.cross_entropy(network(images.flip(3) if turn[0] % 2 else images), labels, label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step
