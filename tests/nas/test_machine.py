"""What a process may use of its machine."""

from __future__ import annotations

import os

import pytest

from nas import machine


@pytest.mark.parametrize(("cores", "load", "free"), [(8, 0.2, 8), (8, 2.6, 5), (2, 1.1, 1), (2, 7.0, 1), (1, 0.0, 1)])
def test_cores_that_others_use_are_not_free(
    monkeypatch: pytest.MonkeyPatch, cores: int, load: float, free: int
) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: cores)
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    assert machine.free_cores() == free


def test_where_the_system_tells_no_load_all_cores_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "usable_cores", lambda: 4)
    monkeypatch.delattr(os, "getloadavg")
    assert machine.free_cores() == 4
