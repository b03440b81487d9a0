"""Flags in texts for the command's users: messages name arguments, as in `target_macs`, and commands hold secrets."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from experiments.options.command import PLANS
from experiments.options.declaration import Declared, declared
from experiments.options.settings import declared_groups
from nas.study.passwords import hide_password, shown_address


def with_flags(message: str) -> str:
    """A message with the name of each option in backquotes replaced by its flag."""
    return re.sub(r"`(\w+)`", lambda found: _flags().get(found[1], found[0]), message)


def shown_command(words: Sequence[str]) -> str:
    """The command of these arguments as a shell takes it, without the passwords among them."""
    secret = {option.flag for option in _options() if option.facts.get("secret")}
    shown, before = ["scalenas"], ""
    for word in words:
        flag, equals, value = word.partition("=")
        if before in secret:
            shown.append(shown_address(word))
        else:
            shown.append(f"{flag}={shown_address(value)}" if equals and flag in secret else word)
        before = word
    return hide_password(shlex.join(shown))


@cache
def _flags() -> Mapping[str, str]:
    options = list(_options())
    written = {option.name: option.flag for option in options}
    return dict(pair for option in options for pair in option.facts.get("aliases", {}).items()) | written


def _options() -> Iterator[Declared]:
    for group in (*declared_groups().values(), *map(declared, PLANS.values())):
        yield from group.values()
