"""The command `scalenas`, also `python -m scalenas`."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

HOME = Path(__file__).parents[1]


def main() -> None:
    """Run the command; see `experiments.cli`. While it loads and while it ends an interrupt has nothing to tell."""
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        look_here_last()
    except OSError as error:
        sys.exit(_refused(f"the working directory cannot be used ({error.strerror}): change to another"))
    from experiments.cli import main as command  # noqa: PLC0415  not before it is known where to look for it

    try:
        command()
    finally:  # what is registered to be done at exit would else be broken off with a traceback
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)


def _refused(message: str) -> int:
    print(f"scalenas: {message}", file=sys.stderr)
    return 2


def look_here_last() -> None:
    """Have Python find modules of the working directory behind all others.

    `python -m` and PYTHONPATH put that folder first, and then a folder of the user's that is called nas or experiments
    would be taken for ours, here and in worker processes, which get this path. Our own folder is named explicitly:
    an editable installation is otherwise asked after the whole path.

    Raises OSError where the working directory is gone.
    """
    here = Path.cwd()
    real = os.path.realpath(here)
    if real == os.path.realpath(HOME):
        return
    others = [entry for entry in sys.path if entry and os.path.realpath(entry) != real]
    sys.path[:] = [*dict.fromkeys([*others, str(HOME), str(here)])]


if __name__ == "__main__":
    main()
