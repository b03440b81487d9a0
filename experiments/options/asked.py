"""What a command is asked, taken apart; and which of the options given have no effect: those are refused."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from experiments.errors import UserError, from_user
from experiments.options.command import PLANS, CommonOptions, offered
from experiments.options.declaration import Condition, Where, With, declared
from experiments.options.settings import Settings, preset


@dataclass(frozen=True)
class Asked:
    """What a command is asked. plan: of PLANS, None where the command has none. data, network: its arguments. given:
    the names of the options that the user gave, in_preset: of those that the preset changes.
    """

    command: str
    common: CommonOptions
    settings: Settings
    plan: Any
    data: str | None
    network: str | None
    given: Collection[str]
    in_preset: Collection[str]

    @property
    def values(self) -> Mapping[str, Any]:
        """The value of every option by name, the command's own in place of settings of the same name."""
        return {**self.settings.flat(), **({} if self.plan is None else dataclasses.asdict(self.plan))}


@dataclass(frozen=True)
class Fact:
    """What an effect may depend on beside other options. words: where it does not hold, as in "has no effect ...".

    option: the name of an option in `words`, because: why, for people, as in Without.
    """

    holds: Callable[[Asked], bool]
    words: str
    option: str = ""
    because: str = ""


def ask(command: str, options: Mapping[str, Any], data: str | None = None, network: str | None = None) -> Asked:
    """Sort a command's options, None or empty where not given, into settings, plan and what is the command's.

    Raises UserError on a bad value or preset.
    """
    given = {name: value for name, value in options.items() if value not in (None, ())}
    kind = PLANS.get(command)
    with from_user():
        common = CommonOptions(**_taken(given, CommonOptions))
        plan = None if kind is None else kind(**_taken(given, kind))
        base = preset(common.preset) if common.preset else Settings()
        rest = {name: value for name, value in given.items() if name not in _names(CommonOptions, kind)}
        settings = base.with_given(rest)
    default = Settings().flat()
    changed = {name for name, value in base.flat().items() if value != default[name]}
    return Asked(command, common, settings, plan, data, network, given.keys(), changed - rest.keys())


def refuse_idle(asked: Asked, facts: Mapping[str, Fact]) -> None:
    """Raise UserError for the first option given that has no effect beside the others; facts: by the name in Where."""
    for group in offered(asked.command).values():
        for name, option in group.items():
            if name in asked.given:
                for condition in option.facts.get("needs", ()):
                    reason = _unmet(condition, asked, facts)
                    if reason is not None:
                        raise UserError(f"{option.flag} has no effect {reason}")


def _unmet(condition: Condition, asked: Asked, facts: Mapping[str, Fact]) -> str | None:
    """Why an option has no effect by one of its conditions; None where that is met."""
    if condition.commands and asked.command not in condition.commands:
        return None
    if isinstance(condition, Where):
        fact = facts[condition.fact]
        return None if fact.holds(asked) else _reason(asked, fact.words, fact.option, fact.because)
    value = asked.values[condition.name]
    there = value in condition.values if condition.values else value not in (None, (), False)
    if isinstance(condition, With):
        return None if there else condition.words
    return _reason(asked, condition.words, condition.name, condition.because) if there else None


def _reason(asked: Asked, words: str, option: str, because: str) -> str:
    of_preset = " of the preset" if option in asked.in_preset else ""
    return f"{words}{of_preset}" + (f": {because}" if because else "")


def _taken(given: Mapping[str, Any], group: type) -> dict[str, Any]:
    return {name: given[name] for name in declared(group) if name in given}


def _names(*groups: type | None) -> set[str]:
    return {name for group in groups if group is not None for name in declared(group)}
