"""Everything a user may ask of a run, with its defaults; presets are files of the same fields."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import resources
from pathlib import Path
from typing import Any

from experiments.options.declaration import Declared, declared
from experiments.options.groups import (
    DataOptions,
    FigureOptions,
    FinalOptions,
    GeneralOptions,
    GrowthOptions,
    PoolOptions,
    SearchOptions,
    TrainingOptions,
)
from nas.files import read_json
from search_spaces.json_text import parse_json


@dataclass(frozen=True)
class Settings:
    """What is asked, in groups. Text fields hold what the user wrote; `None` leaves the choice to the program.

    No two groups have a field of the same name: presets and run.json hold the fields of all groups side by side.
    """

    general: GeneralOptions = field(default_factory=GeneralOptions, metadata={"title": "The run"})
    data: DataOptions = field(default_factory=DataOptions, metadata={"title": "Data"})
    pool: PoolOptions = field(default_factory=PoolOptions, metadata={"title": "Devices and workers"})
    training: TrainingOptions = field(default_factory=TrainingOptions, metadata={"title": "Trainings"})
    search: SearchOptions = field(default_factory=SearchOptions, metadata={"title": "Search"})
    figures: FigureOptions = field(default_factory=FigureOptions, metadata={"title": "Target and costs"})
    growth: GrowthOptions = field(
        default_factory=GrowthOptions, metadata={"title": "Coefficients (grid: the baseline, scaled in many ways)"}
    )
    final: FinalOptions = field(default_factory=FinalOptions, metadata={"title": "Frontier"})

    def flat(self) -> dict[str, Any]:
        """The fields of all groups side by side, as presets and run.json have them."""
        return {name: value for group in dataclasses.asdict(self).values() for name, value in group.items()}

    def with_given(self, given: Mapping[str, Any]) -> Settings:
        """These settings with those replaced that were given, by name as in a preset; lists stand for tuples.

        Raises ValueError on an unknown name or a bad value.
        """
        known = {option.name: option for options in declared_groups().values() for option in options.values()}
        for name in given:
            if name not in known:
                raise ValueError(f"no setting is named {name!r}; known are {', '.join(sorted(known))}")
        for name, value in given.items():
            known[name].check_type(value)
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
        groups = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}
        return Settings(**{name: _with(group, values) for name, group in groups.items()})


@cache
def declared_groups() -> Mapping[str, Mapping[str, Declared]]:
    """The options of each group by the group's title, in order."""
    return {
        each.metadata["title"]: declared(type(getattr(Settings(), each.name))) for each in dataclasses.fields(Settings)
    }


def preset(name: str) -> Settings:
    """Settings from a preset's name or a JSON file. Raises ValueError when there is no such preset or it is wrong."""
    folder = resources.files("experiments") / "presets"
    path = Path(name)
    if path.suffix == ".json":
        if not path.is_file():
            raise ValueError(f"preset {name}: no such file")
        read = partial(read_json, path)
    else:
        known = sorted(entry.name.removesuffix(".json") for entry in folder.iterdir() if entry.name.endswith(".json"))
        if name not in known:
            raise ValueError(f"unknown preset {name!r}; known are {', '.join(known)}, or give a .json file")
        read = partial(parse_json, (folder / f"{name}.json").read_text())
    try:
        given = read()
        if not isinstance(given, dict):
            raise TypeError("must be an object of settings")
        return Settings().with_given(given)
    except OSError as error:
        raise ValueError(f"preset {name}: {error.strerror}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"preset {name}: {error}") from None


def _with(group: Any, values: Mapping[str, Any]) -> Any:
    """A group with those of the values that are its own."""
    own = [name for name in declared(type(group)) if name in values]
    return dataclasses.replace(group, **{name: values[name] for name in own})
