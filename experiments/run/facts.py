"""What the effect of an option depends on beside other options: data, networks, devices, and what a folder holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from experiments.options.asked import Asked, Fact
from experiments.records import BaselineRecord
from experiments.run.folder import RunFolder


def _reads_files(asked: Asked) -> bool:
    return asked.data != "digits"


def _leaves_lengths_open(asked: Asked) -> bool:
    settings = asked.settings
    searches = asked.command in ("discover", "fidelity") or (asked.command == "run" and not settings.general.arch)
    fits = asked.command == "run" and not all(Path(text).exists() for text in settings.final.references)
    return searches or fits or not settings.growth.lengths


def _has_something_in_int8(asked: Asked) -> bool:
    """Whether accuracies are measured in int8, or bytes counted in it."""
    figures = asked.settings.figures
    bounded = figures.max_ram is not None or figures.max_flash is not None
    return bounded or asked.command != "discover" or asked.settings.search.confirm > 0


def _fits_a_network(asked: Asked) -> bool:
    """Whether a space or a known network is fitted to the target: files and runs are taken as they are."""
    given, folder = asked.settings.general.arch, RunFolder(Path(asked.common.run_dir))
    if asked.command == "train":
        return asked.plan.weights is None and not Path(asked.network or "").exists()
    if asked.command == "scale" and not given:
        return not folder.has(BaselineRecord)
    if asked.command == "compare":
        given = given or asked.settings.final.references
    draws = asked.command == "fidelity" and asked.plan.candidates > 0
    searches = asked.command == "discover" or (asked.command == "run" and not given)
    return draws or searches or not all(Path(text).exists() for text in given)


def _has_a_search(asked: Asked) -> bool:
    return not asked.settings.general.arch or RunFolder(Path(asked.common.run_dir)).journal("discover").exists()


def _trains_on_a_cpu(asked: Asked) -> bool:
    devices = _devices(asked)
    alone = asked.command == "train" or asked.settings.pool.executor == "inline"
    return "cpu" in (devices[:1] if alone else devices)


def _trains_on_gpus_alone(asked: Asked) -> bool:
    return "cpu" not in _devices(asked)


def _shares_devices(asked: Asked) -> bool:
    return asked.settings.pool.executor != "ray" or any(device != "cpu" for device in _devices(asked))


def _devices(asked: Asked) -> list[str]:
    """The device of each slot. Raises UserError where there are none such."""
    from experiments.run.pool import WorkerPool  # noqa: PLC0415  loads torch, which few facts need

    return [slot.device for slot in WorkerPool.slots_asked(asked.settings)]


FACTS: Mapping[str, Fact] = {
    "files": Fact(_reads_files, "on the built-in digits"),
    "lengths left open": Fact(_leaves_lengths_open, "with --lengths", "lengths", because="it says them all"),
    "a network to fit": Fact(_fits_a_network, "where no known network is fitted"),
    "a search": Fact(_has_a_search, "with --arch", "arch", because="the search is skipped"),
    "a CPU": Fact(_trains_on_a_cpu, "on GPUs"),
    "GPUs alone": Fact(_trains_on_gpus_alone, "on a CPU, which computes in float32"),
    "something in int8": Fact(
        _has_something_in_int8,
        "with --confirm 0 and no bound on memory",
        "confirm",
        because="nothing is measured in it",
    ),
    "devices to share": Fact(_shares_devices, "on a Ray cluster without GPUs"),
}
"""By the names that conditions `Where` give them."""
