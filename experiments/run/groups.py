"""The settings of a run, in groups: what it is of, its data, what trains, and what each step is asked for."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.score import Score

EXPONENTS: dict[str, tuple[float, ...]] = {"soft": (-0.07,), "hard": (0.0, -1.0), "absolute": (-0.10,)}
"""MnasNet's soft and hard forms and TuNAS's absolute one, with their published exponents."""


@dataclass(frozen=True)
class GeneralOptions:
    """What concerns a run as a whole. arch: names, files or runs; the baseline, or what is to be compared."""

    seed: int = 0
    arch: tuple[str, ...] = ()
    tensorboard: bool = False


@dataclass(frozen=True)
class DataOptions:
    """Images, or a published table in their place (`benchmark`)."""

    cache: str | None = None
    benchmark: str | None = None
    train_images: int | None = None
    max_unreadable: float = 0.01
    resolution: str = "auto"


@dataclass(frozen=True)
class PoolOptions:
    """What trains, and how much at a time."""

    devices: str = "auto"
    workers: int | None = None
    per_device: int | None = None
    executor: str = "local"
    ray_address: str | None = None
    trial_timeout: float | None = None


@dataclass(frozen=True)
class TrainingOptions:
    """The short training of search and grid."""

    epochs: int = 5
    train_fraction: float = 1.0
    plain: bool = False
    evaluator: str | None = None


@dataclass(frozen=True)
class SearchOptions:
    """The search for a baseline."""

    trials: int = 100
    space: str = "mnasnet"
    sampler: str = "default"
    pruner: str = "none"
    score: str = "soft"
    exponent: tuple[float, ...] | None = None
    confirm: int = 3
    confirm_seeds: int = 3
    storage: str | None = None

    def score_at(self, target: float) -> Score:
        """The objective at a target. Raises ValueError on a target or exponent out of range."""
        below, *above = self.exponent or EXPONENTS[self.score]
        form = "absolute" if self.score == "absolute" else "power"
        return Score(target, below, above[0] if above else None, form)


@dataclass(frozen=True)
class FigureOptions:
    """What networks cost: the target, the bounds, and the figure that the score charges for."""

    target_macs: str = "auto"
    max_macs: str | None = None
    cost: str = "macs"
    target_cost: float | None = None
    max_cost: float | None = None
    latency_backend: str = "torch"
    latency_device: str = "cpu"
    latency_batch: int = 1
    latency_samples: int = 100


@dataclass(frozen=True)
class GrowthOptions:
    """The search for scaling coefficients, and the scaling plot."""

    points: str = "matched"
    step: float = 0.05
    tolerance: float = 0.1
    seeds: int = 3
    lengths: tuple[int, ...] = ()
    budget: str | None = None
    precision: float | None = None
    plot_phi: float = 2.0


@dataclass(frozen=True)
class FinalOptions:
    """The frontier: how its points are trained, and which there are."""

    final_epochs: int = 20
    final_seeds: int = 3
    top: int = 3
    family_phi: int = 2
    rivals: bool = False
    references: tuple[str, ...] = ("efficientnet_b0", "mnasnet_a1", "mobilenet_v2")


@dataclass(frozen=True)
class Budget:
    """What a coefficient search may spend on its grid: a number of trainings, or hours on all devices together."""

    trainings: int | None = None
    hours: float | None = None

    def part(self, of: int) -> Budget:
        """The budget of one of so many equal parts."""
        return Budget(
            None if self.trainings is None else self.trainings // of, None if self.hours is None else self.hours / of
        )


def parse_budget(text: str) -> Budget:
    """`90` is 90 trainings, `1.5h` an hour and a half. Raises ValueError on anything else."""
    number = text.strip().lower()
    try:
        budget = Budget(hours=float(number[:-1])) if number.endswith("h") else Budget(trainings=int(number))
    except ValueError:
        raise ValueError(
            f"--budget takes a number of trainings such as 90 or hours such as 1.5h, not {text!r}"
        ) from None
    if not 0 < (budget.trainings or budget.hours or 0) < math.inf:
        raise ValueError(f"--budget must be above 0, not {text}")
    return budget
