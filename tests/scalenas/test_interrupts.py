"""Interrupts while the command loads and while it ends: no traceback, and the status that is due."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOADING = """
import os, signal, sys
class Interrupts:
    def find_spec(self, name, *_):
        if name == "experiments.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
sys.argv = ["scalenas", "--version"]
from scalenas.__main__ import main
main()
"""
ENDING = """
import atexit, os, signal, sys, types
def command():
    atexit.register(os.kill, os.getpid(), signal.{name})
    print("done")
sys.modules["experiments.cli"] = types.SimpleNamespace(main=command)
from scalenas.__main__ import main
main()
"""
WORKING = """
import os, signal, sys
from experiments import cli
def work(*_, **__):
    os.kill(os.getpid(), signal.{name})
    print("went on")
cli.cli.commands["inspect"].callback = work
sys.argv = ["scalenas", "inspect", "mobilenet_v2"]
from scalenas.__main__ import main
main()
"""


def ended(program: str, *, ignoring: bool = False) -> tuple[int, str, str]:
    """Status, output and errors of a Python program. ignoring: started with interrupts ignored, as scripts do with
    what they leave in the background."""

    def set_up() -> None:  # not as these tests themselves were started: they may be in the background
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignoring else signal.default_int_handler)

    found = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        preexec_fn=set_up,
    )
    return found.returncode, found.stdout, found.stderr


def test_while_the_command_loads() -> None:
    status, out, err = ended(LOADING)
    assert (status, out, err) == (-signal.SIGINT, "", "")  # which a shell calls 130


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_while_the_command_ends(name: str) -> None:
    assert ended(ENDING.format(name=name)) == (0, "done\n", "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_while_the_command_works(name: str) -> None:
    status, out, err = ended(WORKING.format(name=name))
    assert (status, out) == (130, "")
    assert err.strip() == "scalenas: interrupted; what is finished is saved. Go on with: scalenas inspect mobilenet_v2"


def test_where_interrupts_are_ignored_they_stay_so() -> None:
    assert ended(WORKING.format(name="SIGINT"), ignoring=True) == (0, "went on\n", "")
