"""Device slots."""

from __future__ import annotations

import pytest

from nas.pool import slots
from nas.pool.slots import Slot, resolve_devices


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    gpus, cores = request.param
    monkeypatch.setattr(slots, "gpu_count", lambda: gpus)
    monkeypatch.setattr(slots, "usable_cores", lambda: cores)


@pytest.mark.parametrize(
    ("machine", "devices", "workers", "expected"),
    [
        ((0, 3), "auto", None, [Slot("cpu", 1)] * 3),
        ((0, 3), "auto", 5, [Slot("cpu", 1)] * 5),
        ((0, 8), "cpu", 1, [Slot("cpu", 1)]),
        ((2, 16), "auto", None, [Slot("cuda:0", 8), Slot("cuda:1", 8)]),
        ((2, 16), "auto", 3, [Slot("cuda:0", 5), Slot("cuda:1", 5), Slot("cuda:0", 5)]),
        ((2, 16), "cpu", 2, [Slot("cpu", 1)] * 2),
        ((4, 2), "cuda:1, cuda:3", None, [Slot("cuda:1", 1), Slot("cuda:3", 1)]),
        ((4, 2), "cuda", None, [Slot("cuda:0", 2)]),
        ((1, 4), "cuda:0,cpu", None, [Slot("cuda:0", 2), Slot("cpu", 1)]),
    ],
    indirect=["machine"],
)
@pytest.mark.usefixtures("machine")
def test_slots(devices: str, workers: int | None, expected: list[Slot]) -> None:
    assert resolve_devices(devices, workers) == tuple(expected)


@pytest.mark.parametrize(
    ("machine", "devices", "workers", "text"),
    [
        ((0, 2), "cuda:0", None, "device 'cuda:0': no GPU was found here; use auto or cpu"),
        ((2, 2), "cuda:0,cuda:2", None, "device 'cuda:2': the GPUs here are cuda:0 to cuda:1"),
        ((2, 2), "tpu", None, "device 'tpu': must be auto, cpu, or a list such as cuda:0,cuda:1"),
        ((2, 2), "", None, "device '': must be auto, cpu, or a list such as cuda:0,cuda:1"),
        ((2, 2), "auto", 0, "workers must be at least 1, not 0"),
    ],
    indirect=["machine"],
)
@pytest.mark.usefixtures("machine")
def test_devices_that_are_not_there(devices: str, workers: int | None, text: str) -> None:
    with pytest.raises(ValueError, match="^" + text + "$"):
        resolve_devices(devices, workers)


@pytest.mark.parametrize("machine", [(2, 16)], indirect=True)
@pytest.mark.usefixtures("machine")
def test_slots_per_device() -> None:
    expected = [Slot("cuda:0", 2), Slot("cuda:1", 2)] * 4
    assert resolve_devices("auto", per_device=4) == tuple(expected)
    assert resolve_devices("cpu", per_device=3) == (Slot("cpu", 1),) * 3
