"""The library's messages name arguments, as in `target_macs`; the command's users know them by their flags."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

from experiments.options.command import PLANS
from experiments.options.declaration import declared
from experiments.options.settings import declared_groups


def with_flags(message: str) -> str:
    """A message with the name of each option in backquotes replaced by its flag."""
    return re.sub(r"`(\w+)`", lambda found: _flags().get(found[1], found[0]), message)


@cache
def _flags() -> Mapping[str, str]:
    groups = [*declared_groups().values(), *map(declared, PLANS.values())]
    options = [option for group in groups for option in group.values()]
    written = {option.name: option.flag for option in options}
    return dict(pair for option in options for pair in option.facts.get("aliases", {}).items()) | written
