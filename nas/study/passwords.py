"""Passwords in addresses of databases: they are used, but neither shown nor written down."""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_plus

HIDDEN = "***"

_HOST = r"(?:\[[\da-fA-F:.]*\]|[^:/?#@\[\]\s]*)(?::\d{1,5})?"
_ADDRESS = re.compile(
    rf"(?P<begin>postgresql(?:\+psycopg)?://)(?:(?P<user>[^:/?#@\s]*)(?P<password>:[^:/?#@\s]*)?@)?"
    rf"(?P<place>{_HOST}(?:/[^/?#@\s]*)?)(?P<query>\?[^#\s]*)?"
)
"""Addresses that can be read in one way only, so that it is known which part is the password."""
_IN_ADDRESS = re.compile(r"(://[^:/@\s]*:)\S*@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&\s'\"]*", re.IGNORECASE)


def check_address(storage: str) -> None:
    """Raise ValueError, without showing it, where `storage` is no address of a PostgreSQL database."""
    if _ADDRESS.fullmatch(storage) is None:
        raise ValueError(
            "`storage` must be an address such as postgresql://user@host/database, with special characters in a "
            "password as %40 for @, %2F for /, %20 for a space; what was given is not shown, as it may hold a password"
        )


def shown_address(storage: str) -> str:
    """What may be shown of a database's address: no password, nothing behind `?`; nothing of what is no address."""
    found = _ADDRESS.fullmatch(storage)
    if found is None:
        return HIDDEN
    password = f":{HIDDEN}" if found["password"] else ""
    user = "" if found["user"] is None else f"{found['user']}{password}@"
    return f"{found['begin']}{user}{found['place']}" + (f"?{HIDDEN}" if found["query"] else "")


def hide_password(text: str, storage: str | None = None) -> str:
    """The same text without the password of any address in it, before its host or among its parameters.

    storage: an address whose password is hidden wherever it stands in the text, as in a server's message.
    """
    for secret in sorted(_secrets(storage or ""), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _IN_QUERY.sub(rf"\1{HIDDEN}", _IN_ADDRESS.sub(rf"\1{HIDDEN}@", text))


def _secrets(storage: str) -> set[str]:
    """The passwords in an address, as written and as meant."""
    found = _ADDRESS.fullmatch(storage)
    if found is None:
        return set()
    named = (part.partition("=") for part in (found["query"] or "").removeprefix("?").split("&"))
    given = [
        (found["password"] or "").removeprefix(":"),
        *(value for name, _, value in named if "pass" in unquote(name).lower()),
    ]
    return {form for each in given if each for form in (each, unquote(each), unquote_plus(each))}
