"""Everything a user may ask of a run, with its defaults; presets are files of the same fields."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.run.groups import (
    EXPONENTS,
    DataOptions,
    FigureOptions,
    FinalOptions,
    GeneralOptions,
    GrowthOptions,
    PoolOptions,
    SearchOptions,
    TrainingOptions,
    parse_budget,
)


@dataclass(frozen=True)
class Settings:
    """What is asked, in groups. Text fields hold what the user wrote; `None` leaves the choice to the program.

    No two groups have a field of the same name: presets and run.json hold the fields of all groups side by side.
    """

    general: GeneralOptions = field(default_factory=GeneralOptions)
    data: DataOptions = field(default_factory=DataOptions)
    pool: PoolOptions = field(default_factory=PoolOptions)
    training: TrainingOptions = field(default_factory=TrainingOptions)
    search: SearchOptions = field(default_factory=SearchOptions)
    figures: FigureOptions = field(default_factory=FigureOptions)
    growth: GrowthOptions = field(default_factory=GrowthOptions)
    final: FinalOptions = field(default_factory=FinalOptions)

    def __post_init__(self) -> None:
        asked = self.flat()
        for name, low in (("seed", 0), ("trials", 1), ("epochs", 1), ("confirm", 0), ("confirm_seeds", 1), ("seeds", 1),
                          ("final_epochs", 1), ("final_seeds", 1), ("top", 1), ("family_phi", 0), ("workers", 1),
                          ("per_device", 1), ("trial_timeout", 1), ("latency_batch", 1), ("latency_samples", 10),
                          ("train_images", 2), ("plot_phi", 0)):  # fmt: skip
            value = asked[name]
            if value is not None and not low <= value < math.inf:
                raise ValueError(f"--{name.replace('_', '-')} must be at least {low}, not {value}")
        if self.general.seed >= 2**31:
            raise ValueError(f"--seed must be below {2**31}, not {self.general.seed}")
        for name in ("train_fraction", "max_unreadable"):
            value = asked[name]
            if not 0 <= value <= 1 or (name == "train_fraction" and value == 0):
                raise ValueError(f"--{name.replace('_', '-')} must be a share from 0 to 1, not {value:g}")
        for name, known in (("executor", ("local", "inline", "ray")), ("score", tuple(EXPONENTS))):
            if asked[name] not in known:
                raise ValueError(f"--{name} must be one of {', '.join(known)}, not {asked[name]!r}")
        if self.growth.budget is not None:
            parse_budget(self.growth.budget)
        if self.pool.ray_address is not None and self.pool.executor != "ray":
            raise ValueError("--ray-address is for a Ray cluster: add --executor ray")
        if self.pool.workers is not None and self.pool.per_device is not None:
            raise ValueError("--workers is the number in all, --per-device that on each: give one of them")
        exponent = self.search.exponent
        if exponent is not None and self.search.score == "hard":
            raise ValueError("--score hard has its own exponents (0 and -1): leave out --exponent, or --score")
        if exponent is not None and len(exponent) not in (1, 2):
            raise ValueError(f"--exponent takes one number or two (below and above the target), not {exponent}")

    def flat(self) -> dict[str, Any]:
        """The fields of all groups side by side, as presets and run.json have them."""
        return {name: value for group in dataclasses.asdict(self).values() for name, value in group.items()}

    def with_given(self, given: Mapping[str, Any]) -> Settings:
        """These settings with those replaced that were given, by name as in a preset.

        Raises ValueError on an unknown name or a bad value.
        """
        known = {each.name: str(each.type) for group in self._groups.values() for each in dataclasses.fields(group)}
        for name in given:
            if name not in known:
                raise ValueError(f"no setting is named {name!r}; known are {', '.join(sorted(known))}")
        for name, value in given.items():
            _check_type(name, value, known[name])
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        changed = {name: _with(group, values) for name, group in self._groups.items()}
        return Settings(**changed)

    @property
    def _groups(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}


def _with(group: Any, values: Mapping[str, Any]) -> Any:
    """A group with those of the values that are its own."""
    own = [each.name for each in dataclasses.fields(group) if each.name in values]
    return dataclasses.replace(group, **{name: values[name] for name in own})


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
