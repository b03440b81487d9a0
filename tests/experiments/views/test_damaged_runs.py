"""What looks at a run folder tells damaged files in one line, whatever stands in them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from experiments.errors import UserError
from experiments.report import collect, render
from experiments.run.folder import RunFolder
from experiments.views.frontier import run_archs
from experiments.views.status import run_status, status_table
from tests.helpers.damage import JUNK, places, put, refusal
from tests.helpers.run_folders import made_up_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A run whose search and comparison have the same trials."""
    path = made_up_run(tmp_path_factory.mktemp("runs") / "run", 3)
    text = (path / "discover.journal").read_text()
    (path / "compare.journal").write_text(text.replace('"study_name":"discover"', '"study_name":"compare"'))
    return RunFolder(path)


def test_a_sound_run_is_shown(folder: RunFolder) -> None:
    assert run_status(folder)["studies"]["discover"]["states"]["complete"] == 3
    assert len(run_archs(folder.path)) == 3
    assert collect(folder)["unread"] == []


@given(data=st.data(), name=st.sampled_from(["discover", "compare"]), junk=JUNK)
@settings(max_examples=80, deadline=None, derandomize=True)
def test_a_journal_with_a_field_of_another_kind(folder: RunFolder, data: st.DataObject, name: str, junk: Any) -> None:
    file = folder.journal(name)
    whole = file.read_bytes()
    lines = whole.splitlines(keepends=True)
    number = data.draw(st.integers(0, len(lines) - 1))
    record = json.loads(lines[number])
    put(record, data.draw(st.sampled_from([place for place in places(record) if "arch" not in place[:-1]])), junk)
    lines[number] = json.dumps(record).encode() + b"\n"
    file.write_bytes(b"".join(lines))
    try:
        for look in (lambda: status_table(run_status(folder)), lambda: run_archs(folder.path)):
            told = refusal(UserError, look)
            assert told is None or (f"{file}: " in told and "\n" not in told)
        assert "</html>" in render(collect(folder))  # and the rest of the page is there
    finally:
        file.write_bytes(whole)
