"""The command line of benchmarks whose results grow in a file: `run` trains what it lacks, `table` prints it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks.machine import machine


def run_or_table(
    name: str,
    doc: str | None,
    arguments: Callable[[argparse.ArgumentParser], None],
    run: Callable[[argparse.Namespace], None],
    table: Callable[[], None],
) -> None:
    """Parse the command line, say command and machine on stderr, and call `run` with its options or `table`.

    name: of the benchmark's module below `benchmarks`; arguments: adds those of `run` to its parser.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    runner = commands.add_parser("run")
    arguments(runner)
    runner.set_defaults(command=run)
    commands.add_parser("table").set_defaults(command=lambda _: table())
    options = parser.parse_args()
    print(f"command: python -m benchmarks.{name} {' '.join(sys.argv[1:])}; {machine()}", file=sys.stderr)
    options.command(options)
