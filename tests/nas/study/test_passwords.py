"""No password is shown or written down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from experiments.options.flags import shown_command
from nas.study.passwords import check_address, hide_password, shown_address
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
        ("POSTGRESQL://me:secret@host/x", "POSTGRESQL://me:***@host/x"),
        ("MySQL://host/x?PASSWORD=secret&SslPassword=secret", "MySQL://host/x?PASSWORD=***&SslPassword=***"),
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


FORMS = [
    "postgresql://u:S3CRET pw@h/x", "host=h dbname=x password=S3CRET", "u:S3CRET@h/x", "postgresql:u:S3CRET@h/x",
    "postgresql://u:S3CRET", "postgresql://u:p@S3CRET@h/x", "postgresql://u:a/S3CRET@h/x", "mysql://u:S3CRET@h/x",
    "POSTGRESQL://u:S3CRET@h/x", "{'password': 'S3CRET'}", "S3CRET",
]  # fmt: skip
"""That cannot be read in one way only, so that nobody knows which part is the password."""


@pytest.mark.parametrize("storage", FORMS)
def test_what_is_no_plain_address_is_refused_before_anything_is_written(
    scalenas: Run, tmp_path: Path, storage: str
) -> None:
    assert shown_address(storage) == "***"
    with pytest.raises(ValueError, match="`storage` must be an address") as told:
        check_address(storage)
    assert "S3CRET" not in str(told.value)
    for given in (("--storage", storage), (f"--storage={storage}",)):
        status, out, err = scalenas("discover", "digits", "--run", tmp_path / "r", *given)
        assert (status, "S3CRET" in out + err) == (2, False)
    (tmp_path / "p.json").write_text(json.dumps({"storage": [storage]}))
    status, _, err = scalenas("discover", "digits", "--run", tmp_path / "r", "--preset", tmp_path / "p.json")
    assert (status, "S3CRET" in err) == (2, False)
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("storage", "shown"),
    [
        ("postgresql://h/x", "postgresql://h/x"),
        ("postgresql://u@[::1]:5432/x", "postgresql://u@[::1]:5432/x"),
        ("postgresql+psycopg://u:S3CRET@h:5432/x", "postgresql+psycopg://u:***@h:5432/x"),
        ("postgresql:///x?user=u&password=S3CRET", "postgresql:///x?***"),
        ("postgresql://h/x?PASSWORD=S3CRET&sslmode=require", "postgresql://h/x?***"),
        ("postgresql://h/x?p%61ssword=S3CRET", "postgresql://h/x?***"),
    ],
)
def test_an_address_is_shown_and_written_without_its_password(storage: str, shown: str) -> None:
    check_address(storage)
    assert shown_address(storage) == shown
    for words in (["discover", "--storage", storage], ["discover", f"--storage={storage}"]):
        command = shown_command(words)
        assert "S3CRET" not in command
        assert shown in command.replace("'", "")


@pytest.mark.parametrize(
    "storage",
    ["postgresql://u:p%40S3CRET@h/x", "postgresql://h/x?password=p%40S3CRET", "postgresql://h/x?PassWord=p%40S3CRET",
     "postgresql://h/x?sslmode=require&SSLPASSWORD=p%40S3CRET", "postgresql://h/x?p%61ssword=p%40S3CRET&a=b"],
)  # fmt: skip
def test_a_servers_message_may_quote_the_password(storage: str) -> None:
    assert hide_password("no host 'p@S3CRET', nor p%40S3CRET", storage) == "no host '***', nor ***"


def test_of_a_password_that_begins_with_another_nothing_is_left() -> None:
    storage = "postgresql://u:abc@h/x?sslpassword=abcS3CRET"
    assert hide_password("neither abcS3CRET nor abc", storage) == "neither *** nor ***"
