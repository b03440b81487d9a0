"""What a user did wrong, told apart from what the program did wrong."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One line that says what is wrong, where, and how to mend it. The command ends with status 2."""


class RunFailedError(Exception):
    """The run cannot go on, for a reason that its trials tell. The command ends with status 1."""


def told(error: OSError) -> str:
    """What the operating system refused, in one line: of which file, and why, in its words."""
    reason = " ".join((error.strerror or str(error) or type(error).__name__).split())
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


@contextmanager
def from_user(where: str = "") -> Iterator[None]:
    """Turn ValueErrors and file errors about what the user gave into a UserError, with `where` in front."""
    prefix = f"{where}: " if where else ""
    try:
        yield
    except OSError as error:
        raise UserError(prefix + told(error)) from error
    except ValueError as error:
        raise UserError(prefix + " ".join(str(error).split())) from error


@contextmanager
def needing_packages() -> Iterator[None]:
    """Turn the ImportError of a check that says which packages to install into a UserError."""
    try:
        yield
    except ImportError as error:
        raise UserError(" ".join(str(error).split())) from None


@contextmanager
def from_users_code(where: str) -> Iterator[None]:
    """Turn whatever code of the user's raises into a UserError, an exit too: how the command ends is not for it to
    say."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        raise UserError(f"{where}: {type(error).__name__}: {' '.join(str(error).split())}") from error
