"""Passwords in what people and files get to read."""

from __future__ import annotations

import re

_IN_ADDRESS = re.compile(r"(://[^:/@\s]*:)\S*@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def hide_password(text: str) -> str:
    """The same text without the password of any address in it, before its host or among its parameters."""
    return _IN_QUERY.sub(r"\1***", _IN_ADDRESS.sub(r"\1***@", text))
