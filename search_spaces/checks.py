"""The one line that a wrong field of an architecture gets."""

from __future__ import annotations

import reprlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

Check = Callable[[str, Any], None]
"""check(where, value): raises ArchError, which names the field by `where`."""

_LONGEST = 100  # characters of a value in a message


class ArchError(ValueError):
    """An architecture that cannot be: the message says which field is wrong and what it may be."""


def shown(value: Any) -> str:
    """A value for a message, as `repr` has it, but with dots in place of what is too long for a line."""
    text = _SHORT.repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxlong = self.maxother = _LONGEST
        self.maxlevel = 2

    def repr_int(self, value: int, level: int) -> str:
        try:
            return super().repr_int(value, level)
        except ValueError:  # Python writes none of thousands of digits
            return f"an integer of {value.bit_length()} bits"


_SHORT = _Short()


MOST = 1_000_000
"""The largest number of channels, layers, pixels or classes."""


def integer(where: str, value: Any, low: int = 1) -> None:
    """An integer of at least `low`, and at most MOST."""
    if isinstance(value, bool) or not isinstance(value, int) or value < low:
        raise ArchError(f"{where}: must be an integer of at least {low}, not {shown(value)}")
    if value > MOST:
        raise ArchError(f"{where}: must be at most {MOST}, not {shown(value)}")


def number(where: str, value: Any, low: float, below: float) -> None:
    """A number from `low` to below `below`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < below:
        raise ArchError(f"{where}: must be a number from {low:g} to below {below:g}, not {shown(value)}")


def one_of(where: str, value: Any, known: Iterable[str]) -> None:
    """One of the words in `known`."""
    if not isinstance(value, str) or value not in known:
        raise ArchError(f"{where}: must be one of {', '.join(known)}, not {shown(value)}")


def odd(where: str, value: Any) -> None:
    """An odd integer above 0, as kernels are."""
    integer(where, value)
    if value % 2 == 0:
        raise ArchError(f"{where}: must be odd, not {shown(value)}")


def known_fields(where: str, data: Any, known: Iterable[str]) -> dict[str, Any]:
    """`data` as a dict when it is a mapping of known names. `where` ends in a dot, or is empty for the whole."""
    if not isinstance(data, Mapping):
        raise ArchError(f"{where.rstrip('.') or 'architecture'}: must be an object with fields")
    for name in data:
        if name not in known:
            raise ArchError(f"{where}{_name(name)}: no such field; known are {', '.join(known)}")
    return dict(data)


def _name(name: Any) -> str:
    """A field's name for a message: as it is, where it is a word."""
    return name if isinstance(name, str) and len(name) <= _LONGEST else shown(name)
