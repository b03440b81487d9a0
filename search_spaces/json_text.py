"""JSON read with a bound: whatever is read is shallow enough for all that goes through it one call a level."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

DEEPEST = 100
"""Levels of lists and objects inside one another that are read; files of ours have ten at most."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises ValueError, in one line, where it is no JSON or nested deeper than DEEPEST."""
    try:
        value = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    except json.JSONDecodeError as error:
        line = "" if error.lineno == 1 else f"line {error.lineno}, "
        raise ValueError(f"not JSON: {error.msg} at {line}column {error.colno}") from None
    except ValueError as error:  # not UTF-8, or a number of thousands of digits
        raise ValueError(f"not JSON: {error}") from None
    if _is_deep(value):
        raise _too_deep()
    return value


def _is_deep(value: Any) -> bool:
    level = _inner([value])
    for _ in range(DEEPEST):
        level = [part for whole in level for part in _inner(whole.values() if isinstance(whole, dict) else whole)]
    return bool(level)


def _inner(parts: Iterable[Any]) -> list[Any]:
    return [part for part in parts if isinstance(part, dict | list)]


def _too_deep() -> ValueError:
    return ValueError(f"nested too deeply: at most {DEEPEST} levels are read")
