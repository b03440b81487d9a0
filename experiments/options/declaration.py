"""What is declared of an option: its type and default by a dataclass field, all else by that field's metadata."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Required, TypedDict


@dataclass(frozen=True)
class Range:
    """The numbers that are allowed: from `low` to `high`, without `low` where `above` and without `high` where `below`.

    Every number has an upper bound: beyond it nothing sensible can be meant, and what is made of it would not end.
    hint: what to do instead of what is out of the range.
    """

    low: float
    high: float
    above: bool = False
    below: bool = False
    hint: str = ""

    @property
    def words(self) -> str:
        """The range as a sentence has it: "must be ..."."""
        low, high = f"{self.low:.12g}", f"{self.high:.12g}"
        if self.above and self.below:
            return f"between {low} and {high}"
        return f"above {low} and at most {high}" if self.above else f"from {low} to {high}"

    def __contains__(self, value: float) -> bool:
        enough = value > self.low if self.above else value >= self.low
        return enough and (value < self.high if self.below else value <= self.high)


MOST_EPOCHS, MOST_SEEDS, LARGEST_PHI, SMALLEST_PHI = 100_000, 1000, 16, -4
MOST_PIXELS, MOST_CLASSES, MOST_MACS = 16_384, 1_000_000, 10**15
MOST_MEMBERS = 100
"""Of a list."""
EPOCHS, SEEDS = Range(1, MOST_EPOCHS), Range(1, MOST_SEEDS)
SHARE = Range(0, 1, above=True)


@dataclass(frozen=True)
class With:
    """The option has an effect only where the option `name` has one of the values (none given: any value at all).

    commands: those for which that holds; none: all.
    """

    name: str
    values: tuple[Any, ...] = ()
    commands: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """Where the option has no effect."""
        return f"without {written(self.name, self.values)}"


@dataclass(frozen=True)
class Without:
    """The option has no effect where the option `name` has one of the values (none given: any value at all).

    commands: those for which that holds; none: all. because: why, for people.
    """

    name: str
    values: tuple[Any, ...] = ()
    commands: tuple[str, ...] = ()
    because: str = ""

    @property
    def words(self) -> str:
        """Where the option has no effect."""
        return f"with {written(self.name, self.values)}"


@dataclass(frozen=True)
class Where:
    """The option has an effect only where a fact holds that is no other option's value; see run/facts.py.

    commands: those for which that holds; none: all.
    """

    fact: str
    commands: tuple[str, ...] = ()


Condition = With | Without | Where


@dataclass(frozen=True)
class Meaning:
    """What an option means to one command. unset: what happens without it, where its default does not tell."""

    help: str
    unset: str | None = None


class Option(TypedDict, total=False):
    """Metadata of a field that is an option.

    help: one line. commands: which offer it (none: it is for presets alone). metavar: what its value is called, the
    option's name in capitals by default. form: what a list takes, for people. unit: of a number, for the table of
    options. range, known: the values allowed.
    needs: the conditions under which it has an effect. unset: what happens without it, where its default does not
    tell. told: what it means to single commands, where that differs. flag: other than `--name`. aliases: other words of
    the library's messages for it or for a value of it, and what the user writes. required: must be given. secret: its
    value may hold a password.
    """

    help: Required[str]
    commands: tuple[str, ...]
    metavar: str
    form: str
    unit: str
    range: Range
    known: tuple[str, ...]
    needs: tuple[Condition, ...]
    unset: str
    told: Mapping[str, Meaning]
    flag: str
    aliases: Mapping[str, str]
    required: bool
    secret: bool


@dataclass(frozen=True)
class Declared:
    """A declared option: the field's name, type and default, and its metadata."""

    name: str
    type: Any
    default: Any
    facts: Option

    @property
    def flag(self) -> str:
        """How it is written on the command line."""
        return self.facts.get("flag", f"--{self.name.replace('_', '-')}")

    @property
    def kind(self) -> type:
        """The type of a value: bool, int, float or str; of a tuple, that of its members."""
        base = self._base
        return typing.get_args(base)[0] if self.is_tuple else base

    @property
    def is_tuple(self) -> bool:
        return typing.get_origin(self._base) is tuple

    @property
    def optional(self) -> bool:
        """Whether None, which leaves the choice to the program, is a value."""
        return type(None) in typing.get_args(self.type)

    @property
    def _base(self) -> Any:
        if not isinstance(self.type, types.UnionType):
            return self.type
        return next(each for each in typing.get_args(self.type) if each is not type(None))

    def meaning(self, command: str) -> Meaning:
        """What it means to a command, with what happens without it."""
        own = self.facts.get("told", {}).get(command)
        unset = self.facts.get("unset")
        if unset is None and not (self.default is None or self.default is False or self.default == ()):
            unset = say(self.default)
        if own is None:
            return Meaning(self.facts["help"], unset)
        return Meaning(own.help, unset if own.unset is None else own.unset)

    def check(self, value: Any) -> None:
        """Raise ValueError, naming the option, where a value of its type is not one of those allowed."""
        if value is None:
            return
        allowed, known = self.facts.get("range"), self.facts.get("known")
        if self.is_tuple and len(value) > MOST_MEMBERS:
            raise ValueError(f"`{self.name}` takes at most {MOST_MEMBERS} values, not {len(value)}")
        for each in value if self.is_tuple else (value,):
            if each == "":
                raise ValueError(f"`{self.name}` is empty")
            if allowed is not None and each not in allowed:
                hint = f"; {allowed.hint}" if allowed.hint else ""
                raise ValueError(f"`{self.name}` must be {allowed.words}, not {say(each)}{hint}")
            if known is not None and each not in known:
                raise ValueError(f"`{self.name}` must be one of {', '.join(known)}, not {each!r}")

    def check_type(self, value: Any) -> None:
        """Raise ValueError where a value, as of a preset, is of another type than the field."""
        if (value is None and self.optional) or (
            all(_is_a(each, self.kind) for each in value)
            if self.is_tuple and isinstance(value, (list, tuple))
            else not self.is_tuple and _is_a(value, self.kind)
        ):
            return
        declared = self.type.__name__ if isinstance(self.type, type) else str(self.type)
        shown = "what is not shown here" if self.facts.get("secret") else repr(value)
        raise ValueError(f"{self.name} must be of type {declared}, not {shown}")


def declared(group: type) -> Mapping[str, Declared]:
    """The options that a dataclass declares, by name, in order."""
    hints = typing.get_type_hints(group)
    return {
        each.name: Declared(each.name, hints[each.name], each.default, typing.cast(Option, each.metadata))
        for each in dataclasses.fields(group)
    }


def check(group: Any) -> None:
    """Raise ValueError where a field of a group has a value out of its range."""
    for name, option in declared(type(group)).items():
        option.check(getattr(group, name))


def written(name: str, values: tuple[Any, ...] = ()) -> str:
    """An option as a user gives it, with one of the values."""
    return " ".join([f"--{name.replace('_', '-')}", " or ".join(map(say, values))]).strip()


def say(value: Any) -> str:
    """A value as a user would write it."""
    if isinstance(value, tuple):
        return ",".join(map(say, value))
    if isinstance(value, int) and abs(value) > 10**15:
        return f"a number of {len(f'{value:x}') * 1.204:.0f} digits"  # Python writes none of thousands of them
    return f"{value:.12g}" if isinstance(value, float) else str(value)


def _is_a(value: Any, kind: type) -> bool:
    accepted = (int, float) if kind is float else kind
    return isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
