"""What all steps of a run share: the folder, the data, the devices and the pool that trains on them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from optuna.distributions import BaseDistribution

from experiments.errors import from_user
from experiments.naming import resolve_resolution
from experiments.progress import Narrator, Task
from experiments.run_folder import RunFolder, open_run_folder
from experiments.settings import Settings
from nas.evaluation import Fidelity, Outcome, Request
from nas.pool.executor import Executor
from nas.pool.inline import InlineExecutor
from nas.pool.local import LocalExecutor
from nas.pool.slots import Slot, resolve_devices
from nas.proxy.data import open_dataset
from nas.proxy.dataset import Dataset
from nas.proxy.train import ProxyEvaluator
from nas.search import Progress, evaluate_all
from nas.store import open_study, run_lock
from search_spaces import ArchSpec, network_cost
from search_spaces.fit import IMAGENET_RESOLUTION


@dataclass
class Bench:
    """An opened run: what its steps train on, and where they write."""

    folder: RunFolder
    settings: Settings
    narrator: Narrator
    dataset: Dataset
    resolution: int
    slots: tuple[Slot, ...]
    _closing: ExitStack = field(default_factory=ExitStack)

    @property
    def num_classes(self) -> int:
        return self.dataset.num_classes

    @property
    def proxy(self) -> Fidelity:
        """The short training of search and grid."""
        return Fidelity(self.settings.epochs, self.settings.train_fraction)

    @property
    def final(self) -> Fidelity:
        """The longer training that everything on the frontier gets."""
        return Fidelity(self.settings.final_epochs)

    @property
    def final_split(self) -> str:
        return "test" if self.dataset.counts.get("test") else "val"

    @cached_property
    def executor(self) -> Executor:
        """The pool; started when the first training is asked for."""
        evaluator = ProxyEvaluator(self.dataset)
        if self.settings.executor == "inline":
            executor: Executor = InlineExecutor(evaluator, self.slots[0].device, self.slots[0].threads)
        else:
            executor = LocalExecutor(evaluator, self.slots)
        self._closing.callback(executor.close)
        return executor

    def claim(self, step: str, identity: Mapping[str, Any], facts: Mapping[str, Any] | None = None) -> None:
        """Record what a step asks; see RunFolder.claim."""
        self.folder.claim(identity, facts or {}, step, dataclasses.asdict(self.settings))

    def train(
        self,
        name: str,
        requests: Sequence[Request],
        labels: Callable[[Request], Mapping[str, Any]],
        what: str,
        axes: Mapping[str, BaseDistribution] | None = None,
    ) -> Mapping[str, Outcome]:
        """Train a fixed list of requests; those in the journal `name` already are answered from it.

        labels: what to note about each request; those named in `axes` become parameters of its trial, the others
        attributes.
        """
        axes = axes or {}
        study = open_study(self.folder.journal(name), name)
        with self.narrator.task(what, len({request.key for request in requests})) as task:
            return evaluate_all(
                requests,
                self.executor,
                study,
                cost=self.cost,
                params_of=lambda request: {key: value for key, value in labels(request).items() if key in axes},
                attrs_of=lambda request: {key: value for key, value in labels(request).items() if key not in axes},
                distributions=axes,
                on_event=lambda event: note_trial(task, event),
            )

    def cost(self, arch: ArchSpec) -> tuple[int, int]:
        """MACs and parameters with the classes of this data set."""
        counted = network_cost(arch, None, self.num_classes)
        return counted.macs, counted.params


def note_trial(task: Task, event: Progress) -> None:
    """Say where a step stands after what happened to one trial."""
    if task.done == 0 and event.done > 1:
        task.start_at(event.done - 1)
    if event.outcome is None:
        return
    if event.outcome.failure is not None:
        note = f"#{event.number} failed: {event.outcome.failure.kind}"
    else:
        note = f"#{event.number} accuracy {100 * (event.outcome.accuracy or 0):.1f} %"
    task.advance(note)


@contextmanager
def open_bench(data: str, run: str | Path, settings: Settings, narrator: Narrator) -> Iterator[Bench]:
    """Open data and devices for a run folder and hold the folder as its only driver.

    Raises UserError for whatever the user can mend: data, devices, a folder of another run or in use.
    """
    with from_user():
        slots = resolve_devices(settings.devices, settings.workers)
    folder = open_run_folder(run)
    with ExitStack() as stack:
        with from_user():
            stack.enter_context(run_lock(folder.path))
            dataset = _open_data(data, folder, settings)
        resolution = resolve_resolution(settings.resolution, dataset.native_size)
        bench = Bench(folder, settings, narrator, dataset, resolution, slots)
        stack.push(bench._closing)
        folder.claim(
            {"seed": settings.seed, "data set": dataset.fingerprint, "resolution": resolution},
            {"dataset": _describe(dataset), "devices": [slot.device for slot in slots]},
        )
        yield bench


def _open_data(data: str, folder: RunFolder, settings: Settings) -> Dataset:
    # The largest image that a trial of this run can need: the family's last trained member, or a grid point that puts
    # a whole doubling into resolution.
    base = int(settings.resolution) if settings.resolution.isdigit() else IMAGENET_RESOLUTION
    largest = math.ceil(base * 2 ** (max(1, settings.family_phi) / 2))
    return open_dataset(
        data,
        Path(settings.cache) if settings.cache else folder.cache,
        max_resolution=largest,
        seed=settings.seed,
        train_images=settings.train_images,
        max_bad_share=settings.max_unreadable,
    )


def _describe(dataset: Dataset) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "classes": list(dataset.classes),
        "images": dict(dataset.counts),
        "native_size": dataset.native_size,
        "cached_size": dataset.size,
    }
