"""What tests of the command share: the type of its runner, and the shape of every refusal."""

from __future__ import annotations

from collections.abc import Callable

Run = Callable[..., tuple[int, str, str]]
"""Arguments of the command to its exit status, standard output and standard error; see the fixture `scalenas`."""


def expect_mistake(answer: tuple[int, str, str], *words: str) -> None:
    """Status 2 and one line without a traceback, with all the words in it."""
    status, _, err = answer
    assert status == 2
    line = err.strip().splitlines()[-1]
    assert line.startswith("scalenas: ")
    assert "Traceback" not in err
    for word in words:
        assert word in line
