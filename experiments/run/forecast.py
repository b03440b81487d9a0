"""What a step of a run will cost: trainings, multiply-adds, time, disk and memory; and how much of it is left."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from experiments.wording import DAY, HOUR, duration, size
from nas.evaluation import Fidelity
from nas.training.loop import images_measured
from nas.training.speed import Speed

FEWEST_TRIALS = 50
JOURNAL_BYTES = 15_000  # of a trial
PATIENCE, SHORTEST_LIMIT = 20.0, 600.0
SMALLEST_TARGET = 1e5


@dataclass(frozen=True)
class Images:
    """How many images there are to train on, in batches of `batch_size`, and to measure on."""

    train: int
    val: int
    batch_size: int


@dataclass(frozen=True)
class Work:
    """So many trainings of networks of `macs` multiply-adds each, on average."""

    name: str
    trainings: int
    macs: float
    fidelity: Fidelity
    images: Images

    @property
    def total_macs(self) -> float:
        """Multiply-adds of all of it; forward and backward counted as three forward passes."""
        train, epochs = self.images.train * self.fidelity.train_fraction, self.fidelity.epochs
        images = 3 * epochs * train + images_measured(epochs, round(train), self.images.val)
        return self.trainings * images * self.macs

    def seconds(self, speed: Speed) -> float:
        """Expected seconds of all of it on one slot."""
        return self.trainings * training_seconds(speed, self.macs, self.fidelity, self.images)


@dataclass(frozen=True)
class Forecast:
    """The cost of a list of work on so many slots, the answers that are there already left out."""

    work: tuple[Work, ...]
    speed: Speed | None
    slots: int
    disk_bytes: float
    device: str

    @property
    def trainings(self) -> int:
        return sum(work.trainings for work in self.work)

    @property
    def macs(self) -> float | None:
        """Multiply-adds of all trainings; None where they are not the built-in ones."""
        total = sum(work.total_macs for work in self.work)
        return None if self.work and not total else total

    @property
    def seconds(self) -> float | None:
        """Wall seconds with all slots busy; None where trainings are not the built-in one."""
        return None if self.speed is None else sum(work.seconds(self.speed) for work in self.work) / self.slots

    @property
    def pace(self) -> Pace | None:
        """For the time left over the first of the works."""
        if self.speed is None or not self.work:
            return None
        return Pace(self.work[0].seconds(self.speed) / self.work[0].trainings, self.slots)

    @property
    def record(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "trainings": self.trainings,
            "macs": self.macs,
            "seconds": self.seconds,
            "slots": self.slots,
            "device": self.device,
            "disk_bytes": self.disk_bytes,
            "memory_bytes_per_slot": None if self.speed is None else self.speed.peak_bytes,
            "work": [
                {"name": work.name, "trainings": work.trainings, "macs_each": work.macs,
                 "epochs": work.fidelity.epochs}
                for work in self.work
            ],
        }  # fmt: skip

    @property
    def lines(self) -> list[str]:
        """The same for people."""
        if not self.work:
            return ["forecast: nothing is left to train"]
        parts = ", ".join(f"{work.trainings} x {work.fidelity.epochs} epochs ({work.name})" for work in self.work)
        first = f"forecast: {self.trainings} trainings ({parts})"
        if self.macs is not None:
            first += f", {self.macs:.2g} MACs"
        if self.speed is None or self.seconds is None:
            unknown = "time" if self.macs is not None else "multiply-adds and time"
            return [first, f"  disk {size(self.disk_bytes)}; {unknown} unknown: it is not the built-in training"]
        return [
            first,
            f"  about {duration(self.seconds)} on {self.slots} slot(s) of {self.device}, by a short calibration",
            f"  disk {size(self.disk_bytes)}, memory {size(self.speed.peak_bytes)} a slot",
        ]


def total_seconds(forecasts: Iterable[Forecast]) -> float | None:
    """Wall seconds of all of them, one after another; None where one of them is not known."""
    seconds = [each.seconds for each in forecasts if each.trainings]
    return None if None in seconds else sum(each for each in seconds if each is not None)


def training_seconds(speed: Speed, macs: float, fidelity: Fidelity, images: Images) -> float:
    """Expected seconds of one training of a network of `macs`."""
    train = max(1, round(images.train * fidelity.train_fraction))
    return speed.seconds(
        macs, fidelity.epochs, batch=min(images.batch_size, train), train_images=train, val_images=images.val
    )


def time_limit(expected: float) -> float:
    """The seconds after which a training that was expected to take so many is taken for hanging."""
    return max(SHORTEST_LIMIT, PATIENCE * expected)


def fit_into(speed: Speed, slots: int, work: Work, target_macs: float, seconds: float = HOUR) -> tuple[float, int]:
    """A target and a number of trials for which `work`, whose networks then cost in proportion, fits into the time.

    The target asked for is halved until FEWEST_TRIALS trials (or all of them, if they are fewer) fit in, down to
    SMALLEST_TARGET; then comes what fits.
    """
    wanted = min(FEWEST_TRIALS, work.trainings)
    target = target_macs
    while True:
        each = training_seconds(speed, work.macs * target / target_macs, work.fidelity, work.images)
        trials = int(seconds * slots / each)
        if trials >= wanted or target / 2 < SMALLEST_TARGET:
            return target, max(1, min(trials, work.trainings))
        target /= 2


def advice(forecast: Forecast, work: Work, target_macs: float, option: str) -> str | None:
    """What to say where the forecast exceeds a day; option: the one that bounds the number of trainings."""
    if forecast.speed is None or forecast.seconds is None or forecast.seconds <= DAY:
        return None
    target, trials = fit_into(forecast.speed, forecast.slots, work, target_macs)
    return (
        f"warning: that is more than a day; {trials} trainings at {target / 1e6:.3g} M MACs would fit into an hour: "
        f"--target-macs {target / 1e6:.3g}M {option} {trials}"
    )


@dataclass
class Pace:
    """The seconds left, by the forecast corrected by what trainings really took.

    each: expected seconds of a training on one slot, on average over those to come.
    """

    each: float
    slots: int
    expected: float = 0.0
    measured: float = 0.0

    def note(self, expected: float, measured: float) -> None:
        """A training that was expected to take so many seconds took so many."""
        self.expected += expected
        self.measured += measured

    def seconds(self, trainings: int) -> float:
        """Wall seconds for so many more."""
        correction = self.measured / self.expected if self.expected else 1.0
        return trainings * self.each * correction / self.slots


def spread(macs: Sequence[float]) -> tuple[int, int]:
    """Which two of the networks to time: near the cheap and near the dear end (the 10 % and 90 % quantiles)."""
    order = sorted(range(len(macs)), key=lambda i: macs[i])
    return order[len(order) // 10], order[-1 - len(order) // 10]


def mean(values: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return statistics.fmean(values) if values else 0.0
