"""How fast a slot trains: a few steps, timed, from which longer trainings can be foretold."""

from __future__ import annotations

import itertools
import math
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import torch

from nas.evaluation import Timing
from nas.machine import wait_for
from nas.training.loop import Training, images_measured
from nas.training.numerics import mixed
from nas.training.objective import Objective


@dataclass(frozen=True)
class Speed:
    """What a training costs on one slot while all slots are busy, by straight lines in multiply-adds.

    Seconds of a training step: step + per_mac * (3 * MACs of its images), forward and backward counted as three
    forward passes; of the evaluation of an image: eval_per_image + eval_per_mac * MACs; setup: seconds before the first
    step.
    """

    step: float
    per_mac: float
    eval_per_mac: float
    setup: float
    peak_bytes: float = 0.0
    eval_per_image: float | None = field(default=None, metadata={"absent": True})  # older records are without it

    def seconds(self, macs: float, epochs: int, *, batch: int, train_images: int, val_images: int) -> float:
        """The expected seconds of one training of `epochs` on so many images."""
        steps = train_images // batch
        training = steps * (self.step + self.per_mac * 3 * macs * batch)
        measured = images_measured(epochs, train_images, val_images)
        evaluation = measured * ((self.eval_per_image or 0.0) + self.eval_per_mac * macs)
        return self.setup + epochs * training + evaluation


def time_training(
    make: Callable[[], Training], device: torch.device, objective: Objective, macs: float, seconds: float
) -> Timing:
    """Train and evaluate the network of the training that `make` gives for about so many seconds, on `device`, alone in
    this process.

    macs: the network's, of one image. Raises what torch does without memory.
    """
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    begin = time.perf_counter()
    training = make()
    setup = time.perf_counter() - begin
    network, feed = training.network, training.train
    objective.place(device)
    batch = training.recipe.batch_for(len(feed))
    batches = itertools.chain.from_iterable(training.batches(epoch, batch) for epoch in itertools.count(1))
    network.train()
    step = _time(lambda: training.step(*next(batches), objective), seconds, device)
    size = min(training.eval_batch, len(feed))
    images, _ = next(iter(feed.in_order(size)))
    network.eval()
    with torch.inference_mode(), mixed(training.numerics, device):
        images = training.given(images)  # once: evaluation has a feed of the network's own
        evaluation = _time(lambda: network(images), seconds / 4, device)
    free, total = torch.cuda.mem_get_info(device) if device.type == "cuda" else (0, 0)
    peak = _peak_bytes(device)
    return Timing(macs, step, float(batch), evaluation, float(size), setup, peak, float(free), float(total))


def fit_speed(timings: Sequence[Timing]) -> Speed:
    """The lines through timings of one network or of several: through the mean of the cheaper ones and that of the
    dearer, as their MACs lie below or above the geometric mean of the least and the greatest.

    On a GPU a step of a small network takes as long as launching its kernels, whatever its MACs. Raises ValueError
    without timings.
    """
    if not timings:
        raise ValueError("no timings to fit a speed to")
    networks = [_middle([t for t in timings if t.macs == macs]) for macs in sorted({t.macs for t in timings})]
    between = math.sqrt(networks[0].macs * networks[-1].macs)
    cheap = [t for t in networks if t.macs <= between]
    dear = [t for t in networks if t.macs > between] or cheap
    step, per_mac = _line(*(_center((3 * t.macs * t.batch, t.train_step) for t in part) for part in (cheap, dear)))
    per_image, eval_per_mac = _line(
        *(_center((t.macs, t.eval_batch / t.eval_batch_size) for t in part) for part in (cheap, dear))
    )
    return Speed(
        step=step,
        per_mac=per_mac,
        eval_per_mac=eval_per_mac,
        setup=min(t.setup for t in timings),  # the first of a process also loads what later ones find loaded
        peak_bytes=max(t.peak_bytes for t in timings),
        eval_per_image=per_image,
    )


def _line(low: tuple[float, float], high: tuple[float, float]) -> tuple[float, float]:
    """Constant and slope of the line nearest to two points (work, seconds), by least squares, neither negative.

    One point tells no constant from a slope: then it is all in proportion to the work.
    """
    (less, first), (more, second) = low, high
    slope = (second - first) / (more - less) if less < more else math.inf
    if slope <= 0:
        return (first + second) / 2, 0.0
    constant = first - slope * less
    return (constant, slope) if constant >= 0 else (0.0, (less * first + more * second) / (less**2 + more**2))


def _center(points: Iterable[tuple[float, float]]) -> tuple[float, float]:
    x, y = zip(*points, strict=True)
    return statistics.fmean(x), statistics.fmean(y)


def _middle(timings: Sequence[Timing]) -> Timing:
    """The one of the median step, of those of several slots."""
    return sorted(timings, key=lambda t: t.train_step)[len(timings) // 2]


def _time(once: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Seconds of one call, the mean of as many as fit into the time; the first of all is not timed."""
    once()
    wait_for(device)
    begin, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - begin < seconds:
        once()
        wait_for(device)
        calls += 1
    return (time.perf_counter() - begin) / calls


def _peak_bytes(device: torch.device) -> float:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    unit = 1 if sys.platform == "darwin" else 1024
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)
