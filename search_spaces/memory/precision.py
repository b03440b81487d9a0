"""How numbers are kept on a device."""

from __future__ import annotations

from collections.abc import Mapping

from search_spaces.checks import one_of

INT8, FLOAT32 = "int8", "float32"
BYTES: Mapping[str, int] = {INT8: 1, FLOAT32: 4}
"""Bytes of one activation, and of one weight."""


def bytes_of(precision: str) -> int:
    """Of one activation or weight. Raises ArchError on another precision than those of BYTES."""
    one_of("precision", precision, tuple(BYTES))
    return BYTES[precision]
