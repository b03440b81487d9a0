"""Plain JSON read as frozen dataclasses and written from them: every field is checked, and what is wrong is named."""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeVar, Union

from search_spaces import ArchSpec

T = TypeVar("T")


class RecordError(ValueError):
    """What is wrong with a value, in one line that begins with its place, such as `weights.epoch must be ...`."""


@dataclass(frozen=True)
class Within:
    """Bounds of a number, ends included; Annotated to its type."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def words(self) -> str:
        return f" of at least {self.low:g}" if self.high == math.inf else f" from {self.low:g} to {self.high:g}"


Share = Annotated[float, Within(0, 1)]
Count = Annotated[int, Within(0)]
Classes = Annotated[int, Within(1)]
Amount = Annotated[float, Within(0)]
Scalar = str | bool | int | float | None

KEY = "key"
"""Metadata of a field whose key in the file is no name of Python's."""
ABSENT = {"absent": True}
"""Metadata of a field whose key may be missing, then it is None; but its value is not null."""
FLAT = {"flat": True}
"""Metadata of a field of a dataclass whose keys lie among those of the one that holds it; with a default all of them
may be missing."""
_LONGEST = 40  # of a value in a message


def read_value(kind: Any, value: Any, at: str = "") -> Any:
    """The value as a `kind`. Raises RecordError where it is none; at: its place, as people write it.

    kind: a dataclass or NamedTuple (an object with a key for each field without a default; other keys are passed over),
    ArchSpec, `tuple[X, ...]`, `tuple[X, Y]`, `Mapping[str, X]`, `X | None`, str, bool, int, float (finite; whole
    numbers stay ints), any of them Annotated with Within, or Any.
    """
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin is None:
        return _read_whole(kind, value, at)
    if origin is Annotated:
        return _within(parts[0], parts[1], value, at)
    if origin in (Union, types.UnionType):
        return _one_of(parts, value, at)
    if origin is tuple:
        return _tuple(parts, value, at)
    return {key: read_value(parts[1], each, _join(at, key)) for key, each in _object(value, at).items()}


def _read_whole(kind: Any, value: Any, at: str) -> Any:
    if kind is Any:
        return value
    if kind is ArchSpec:
        return _made(lambda: ArchSpec.from_dict(value), at)
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _fields(kind, value, at)
    return _scalar(kind, value, at)


def needed(value: T | None, at: str) -> T:
    """A value that may be missing, where one cannot do without. Raises RecordError where it is."""
    if value is None:
        raise RecordError(f"{at} is missing")
    return value


def plain(value: Any) -> Any:
    """The inverse of `read_value`: dictionaries, lists, strings and numbers, keys in the order of the fields."""
    if isinstance(value, ArchSpec):
        return dataclasses.asdict(value)
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        kind: Any = type(value)
        written: dict[str, Any] = {}
        for each in _described(kind):
            part = getattr(value, each.name)
            if each.flat:
                written |= {} if part is None else plain(part)
            elif not (part is None and each.absent):
                written[each.key] = plain(part)
        return written
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value


class _Described(NamedTuple):
    """A field: its name, its key and type; whether it has a default, may be absent, lies flat."""

    name: str
    key: str
    kind: Any
    optional: bool
    absent: bool
    flat: bool


@cache
def _described(kind: Any) -> tuple[_Described, ...]:
    kinds = typing.get_type_hints(kind, include_extras=True)
    if not dataclasses.is_dataclass(kind):
        return tuple(_Described(name, name, kinds[name], False, False, False) for name in kind._fields)
    return tuple(
        _Described(
            each.name,
            each.metadata.get(KEY, each.name),
            kinds[each.name],
            each.default is not dataclasses.MISSING or each.default_factory is not dataclasses.MISSING,
            "absent" in each.metadata,
            "flat" in each.metadata,
        )
        for each in dataclasses.fields(kind)
    )


def _fields(kind: Any, value: Any, at: str) -> Any:
    given, found = _object(value, at), dict[str, Any]()
    for each in _described(kind):
        if each.flat:
            inner = _required(each.kind)
            if not each.optional or any(part.key in given for part in _described(inner)):
                found[each.name] = read_value(inner, given, at)
        elif each.key in given:
            wanted = _required(each.kind) if each.absent else each.kind
            found[each.name] = read_value(wanted, given[each.key], _join(at, each.key))
    missing = next((each for each in _described(kind) if each.name not in found and not each.optional), None)
    if missing is not None:  # told last: a wrong value says more
        raise RecordError(f"{_join(at, missing.key)} is missing")
    return _made(lambda: kind(**found), at)


def _required(kind: Any) -> Any:
    """X of `X | None`."""
    if typing.get_origin(kind) not in (Union, types.UnionType):
        return kind
    (inner,) = [part for part in typing.get_args(kind) if part is not type(None)]
    return inner


def _made(make: Any, at: str) -> Any:
    """What `make` gives; the ValueErrors of values that check themselves bear their place."""
    try:
        return make()
    except ValueError as error:
        raise RecordError(f"{at}: {error}" if at else str(error)) from None


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(value, at, "an object")
    return value


def _tuple(parts: Sequence[Any], value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise _wrong(value, at, "a list")
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else parts
    if len(kinds) != len(value):
        raise RecordError(f"{at} must have {len(kinds)} values, not {len(value)}")
    return tuple(read_value(kind, each, f"{at}[{i}]") for i, (kind, each) in enumerate(zip(kinds, value, strict=True)))


def _one_of(parts: Sequence[Any], value: Any, at: str) -> Any:
    if value is None and type(None) in parts:
        return None
    kinds = [part for part in parts if part is not type(None)]
    if len(kinds) == 1:
        return read_value(kinds[0], value, at)
    if type(value) not in kinds:
        raise _wrong(value, at, "a text or a number")
    return value


def _within(kind: Any, bounds: Within, value: Any, at: str) -> Any:
    found = read_value(kind, value, at)
    if found is not None and not bounds.low <= found <= bounds.high:
        raise _wrong(value, at, _WORDS[_required(kind)] + bounds.words)
    return found


_WORDS = {str: "a text", bool: "true or false", int: "a whole number", float: "a number"}


def _scalar(kind: Any, value: Any, at: str) -> Any:
    kinds = (int, float) if kind is float else (kind,)
    if type(value) not in kinds or (kind is float and not _is_finite(value)):
        raise _wrong(value, at, _WORDS[kind])
    return value


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond all floats
        return False


def _wrong(value: Any, at: str, wanted: str) -> RecordError:
    return RecordError(f"{at or 'the whole'} must be {wanted}, not {_shown(value)}")


def _shown(value: Any) -> str:
    """A value as it stands in the file, shortened."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."


def _join(at: str, key: str) -> str:
    return f"{at}.{key}" if at else key
