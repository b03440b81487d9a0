"""The command `scalenas`, also `python -m scalenas`."""

from __future__ import annotations

import sys
from pathlib import Path

HOME = Path(__file__).parents[1]


def main() -> None:
    """Run the command; see `experiments.cli`."""
    look_here_last()
    from experiments.cli import main as command  # noqa: PLC0415  not before it is known where to look for it

    command()


def look_here_last() -> None:
    """Have Python find modules of the working directory behind all others.

    `python -m` and PYTHONPATH put that folder first, and then a folder of the user's that is called nas or experiments
    would be taken for ours, here and in worker processes, which get this path. Our own folder is named explicitly:
    an editable installation is otherwise asked after the whole path.
    """
    here = Path.cwd()
    if here.resolve() == HOME.resolve():
        return
    others = [entry for entry in sys.path if entry and Path(entry).resolve() != here.resolve()]
    sys.path[:] = [*dict.fromkeys([*others, str(HOME), str(here)])]


if __name__ == "__main__":
    main()
