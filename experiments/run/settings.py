"""Everything a user may ask of a run, with its defaults; presets are files of the same fields."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from nas.score import Score

EXPONENTS: dict[str, tuple[float, ...]] = {"soft": (-0.07,), "hard": (0.0, -1.0), "absolute": (-0.10,)}
"""MnasNet's soft and hard forms and TuNAS's absolute one, with their published exponents."""


@dataclass(frozen=True)
class Settings:
    """What is asked. Text fields hold what the user wrote; `None` leaves the choice to the program.

    Trainings: `epochs` and `train_fraction` are the proxy of search and grid, `final_epochs` that of the frontier.
    """

    seed: int = 0
    cache: str | None = None
    benchmark: str | None = None
    train_images: int | None = None
    max_unreadable: float = 0.01
    devices: str = "auto"
    workers: int | None = None
    per_device: int | None = None
    executor: str = "local"
    ray_address: str | None = None
    tensorboard: bool = False
    storage: str | None = None
    trial_timeout: float | None = None
    resolution: str = "auto"

    plain: bool = False
    evaluator: str | None = None
    space: str = "mnasnet"
    target_macs: str = "auto"
    cost: str = "macs"
    target_cost: float | None = None
    max_cost: float | None = None
    latency_backend: str = "torch"
    latency_device: str = "cpu"
    latency_batch: int = 1
    latency_samples: int = 100
    max_macs: str | None = None
    score: str = "soft"
    exponent: tuple[float, ...] | None = None
    sampler: str = "default"
    pruner: str = "none"
    trials: int = 100
    epochs: int = 5
    train_fraction: float = 1.0
    confirm: int = 3
    confirm_seeds: int = 3

    arch: tuple[str, ...] = ()
    points: str = "matched"
    step: float = 0.05
    tolerance: float = 0.1
    seeds: int = 3
    budget: str | None = None
    lengths: tuple[int, ...] = ()
    precision: float | None = None
    plot_phi: float = 2.0

    final_epochs: int = 20
    final_seeds: int = 3
    top: int = 3
    family_phi: int = 2
    rivals: bool = False
    references: tuple[str, ...] = ("efficientnet_b0", "mnasnet_a1", "mobilenet_v2")

    def __post_init__(self) -> None:
        for name, low in (("seed", 0), ("trials", 1), ("epochs", 1), ("confirm", 0), ("confirm_seeds", 1), ("seeds", 1),
                          ("final_epochs", 1), ("final_seeds", 1), ("top", 1), ("family_phi", 0), ("workers", 1),
                          ("per_device", 1), ("trial_timeout", 1), ("latency_batch", 1), ("latency_samples", 10),
                          ("train_images", 2), ("plot_phi", 0)):  # fmt: skip
            value = getattr(self, name)
            if value is not None and not low <= value < math.inf:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {low}, not {value}")
        if self.seed >= 2**31:
            raise ValueError(f"--seed must be below {2**31}, not {self.seed}")
        for name in ("train_fraction", "max_unreadable"):
            value = getattr(self, name)
            if not 0 <= value <= 1 or (name == "train_fraction" and value == 0):
                raise ValueError(f"--{name.replace('_', '-')} must be a share from 0 to 1, not {value:g}")
        for name, known in (("executor", ("local", "inline", "ray")), ("score", tuple(EXPONENTS))):
            if getattr(self, name) not in known:
                raise ValueError(f"--{name} must be one of {', '.join(known)}, not {getattr(self, name)!r}")
        if self.budget is not None:
            parse_budget(self.budget)
        if self.ray_address is not None and self.executor != "ray":
            raise ValueError("--ray-address is for a Ray cluster: add --executor ray")
        if self.workers is not None and self.per_device is not None:
            raise ValueError("--workers is the number in all, --per-device that on each: give one of them")
        if self.exponent is not None and self.score == "hard":
            raise ValueError("--score hard has its own exponents (0 and -1): leave out --exponent, or --score")
        if self.exponent is not None and len(self.exponent) not in (1, 2):
            raise ValueError(f"--exponent takes one number or two (below and above the target), not {self.exponent}")

    def score_at(self, target_macs: float) -> Score:
        """The objective at a target. Raises ValueError on a target or exponent out of range."""
        below, *above = self.exponent or EXPONENTS[self.score]
        form = "absolute" if self.score == "absolute" else "power"
        return Score(target_macs, below, above[0] if above else None, form)

    def with_given(self, given: Mapping[str, Any]) -> Settings:
        """These settings with those replaced that were given. Raises ValueError on an unknown name or a bad value."""
        known = {field.name: str(field.type) for field in dataclasses.fields(self)}
        for name in given:
            if name not in known:
                raise ValueError(f"no setting is named {name!r}; known are {', '.join(sorted(known))}")
        for name, value in given.items():
            _check_type(name, value, known[name])
        values: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in given.items()
        }
        return dataclasses.replace(self, **values)


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


def _check_type(name: str, value: Any, declared: str) -> None:
    """Raise ValueError where a preset holds another kind of value than the field declares."""
    kinds: dict[str, tuple[type, ...]] = {
        "bool": (bool,), "int": (int,), "float": (int, float), "str": (str,), "tuple": (tuple, list)
    }  # fmt: skip
    wanted = declared.split("[", maxsplit=1)[0].split(" ", maxsplit=1)[0]
    fits = isinstance(value, kinds[wanted]) and isinstance(value, bool) == (wanted == "bool")
    if not (fits or (value is None and "None" in declared)):
        raise ValueError(f"{name} must be of type {declared}, not {value!r}")


def preset(name: str) -> Settings:
    """Settings from a preset's name or a JSON file. Raises ValueError when there is no such preset or it is wrong."""
    folder = resources.files("experiments") / "presets"
    path = Path(name)
    if path.suffix == ".json":
        if not path.is_file():
            raise ValueError(f"preset {name}: no such file")
        text = path.read_text()
    else:
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
        if name not in known:
            raise ValueError(f"unknown preset {name!r}; known are {', '.join(known)}, or give a .json file")
        text = (folder / f"{name}.json").read_text()
    try:
        return Settings().with_given(json.loads(text))
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"preset {name}: {error}") from None
