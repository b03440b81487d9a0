"""What tests share that put anything anywhere into files: values, places for them, and what is answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2),
    max_leaves=3,
)
"""Any small JSON value."""

Place = tuple[str | int, ...]


def places(content: Any, at: Place = ()) -> list[Place]:
    """Where there is a value inside of a JSON value, but for the whole."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [place for key, value in items for place in [(*at, key), *places(value, (*at, key))]]


def put(content: Any, place: Place, value: Any) -> None:
    """Set the value at a place inside."""
    *above, last = place
    for key in above:
        content = content[key]
    content[last] = value


def refusal(kinds: type[Exception] | tuple[type[Exception], ...], call: Callable[[], object]) -> str | None:
    """What a call that raises one of these kinds says; None where it raises nothing. Whatever else it raises passes."""
    try:
        call()
    except kinds as error:
        return str(error)
    return None
