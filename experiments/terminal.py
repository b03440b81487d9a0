"""What the command writes to a terminal: names and messages from elsewhere stay plain text there."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import sys
from collections.abc import Iterable
from typing import Any

import click
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from experiments.errors import UserError

_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]"
)
"""Control characters but tab and newline, characters that turn the direction of writing or do not show, and bytes of a
path that are no text."""


def printable(text: str) -> str:
    """The text with what a terminal would obey, and not show, written as `\\x1b` or `\\u202e`."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode-escape").decode(), text)


def echo(text: str, *, err: bool = False) -> None:
    """Print a line on standard output, or standard error. Raises UserError where nobody takes it."""
    try:
        click.echo(printable(text), err=err)
    except OSError as error:
        raise _unwritable(error) from None


class SafeConsole(Console):
    """A console on which all text is `printable`; colours and movements are Rich's own alone.

    Raises UserError where nobody takes what is printed.
    """

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def print(self, *parts: Any, **how: Any) -> None:
        try:
            super().print(*parts, **how)
        except OSError as error:
            raise _unwritable(error) from None

    def on_broken_pipe(self) -> None:
        raise _unwritable(BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE)))


class _Printable(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def prepare_streams() -> None:
    """Have standard output and error take any text, whatever their encoding; what is logged is printable."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # None where it is closed, or another object in its place
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    handler = logging.StreamHandler()
    handler.setFormatter(_Printable("%(levelname)s: %(message)s"))
    logging.basicConfig(handlers=[handler])
    logging.captureWarnings(True)


def flush_output() -> None:
    """Write out what standard output holds back. Raises UserError where nobody takes it."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        raise _unwritable(error) from None


def drop_output() -> None:
    """Forget what standard output holds where it cannot be written: the interpreter would try again, and say so."""
    try:
        flush_output()
    except UserError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _unwritable(error: OSError) -> UserError:
    return UserError(f"the output cannot be written: {error.strerror}")
