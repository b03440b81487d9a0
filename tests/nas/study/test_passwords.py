"""No password is shown or written down."""

from __future__ import annotations

from pathlib import Path

import pytest

from nas.study.passwords import hide_password
from tests.helpers.command import Run


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:secret@host/x", "postgresql://me:***@host/x"),
        ("postgresql://me:sec@ret/@host/x", "postgresql://me:***@host/x"),
        ("'postgresql://host/x?password=secret'", "'postgresql://host/x?password=***'"),
        (
            "a://host/x?user=me&password=secret&sslpassword=secret b",
            "a://host/x?user=me&password=***&sslpassword=*** b",
        ),
        ("--storage postgresql://host/x --trials 3", "--storage postgresql://host/x --trials 3"),
        ("nonsense", "nonsense"),
    ],
)
def test_passwords_are_hidden(text: str, shown: str) -> None:
    assert hide_password(text) == shown
    assert hide_password(shown) == shown


@pytest.mark.parametrize("url", ["postgresql://me:secret@host/x", "postgresql://host/x?user=me&password=secret"])
def test_what_the_command_prints_has_no_password(
    scalenas: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.run.context.open_run", interrupt)
    status, _, err = scalenas("discover", "digits", "--run", tmp_path, "--storage", url)
    assert status == 130
    assert "Go on with: scalenas discover" in err
    assert "***" in err
    assert "secret" not in err
    status, _, err = scalenas("inspect", url)
    assert status == 2
    assert "secret" not in err
