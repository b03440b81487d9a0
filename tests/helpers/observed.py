"""What the command does, told so that two runs of it can be compared: all that comes out but times and what was asked.

Trainings are a formula where nothing else is asked; what they are started on, and how, is noted (`Observer.notes`).
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import json
import re
import sys
import types
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nas.evaluation import Evaluator
from nas.figures.latency import LatencySetup
from nas.figures.latency_command import LatencyCommand
from nas.pool.inline import InlineExecutor
from nas.pool.slots import Slot
from nas.study.store import read_study
from scaling_search import scaling_points
from search_spaces import ArchSpec

TIMES = ("seconds", "created", "updated", "started")
ASKED = ("steps", "identity", "training", "devices", "started_from", "body_rate", "versions", "git_revision", "machine")
"""Keys of records that hold what was asked, or where: an option must change more than these."""
VARYING = ("speed.json", "report.html")
UNSAID = ("[", "  about ", "WARNING")
"""Beginnings of lines that tell the time, or come from elsewhere."""

Said = Mapping[str, Any]


@dataclass
class Observer:
    """Runs the command in this process, each line of arguments once. root: where the run folders are made."""

    root: Path
    patch: pytest.MonkeyPatch
    notes: list[str] = field(default_factory=list)
    known: dict[tuple[str, ...], Said] = field(default_factory=dict)
    count: int = 0

    def __call__(self, *arguments: str, again: bool = False) -> Said:
        """What comes of a command whose run folder stands as RUN in its arguments. again: run it once more."""
        if again or arguments not in self.known:
            folder = self.root / f"run{self.count}"
            self.count += 1
            self.notes.clear()
            status, out, err = self._run([each.replace("RUN", str(folder)) for each in arguments])
            said = {"status": status, "out": _clean(out, folder), "err": _clean(err, folder), "notes": list(self.notes)}
            self.known[arguments] = {**said, **_left_in(folder)}
        return self.known[arguments]

    def _run(self, arguments: list[str]) -> tuple[int, str, str]:
        from experiments.cli import main  # noqa: PLC0415

        self.patch.setattr(sys, "argv", ["scalenas", *arguments])
        status = 0
        with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
            try:
                main()
            except SystemExit as stop:
                status = int(stop.code or 0)
        return status, out.getvalue(), err.getvalue()


def stand_ins(observer: Observer) -> None:
    """Put quick and noted parts in place of slow ones: pictures, pages, worker processes, clusters, measured times."""
    from experiments import report  # noqa: PLC0415  all that loads torch is loaded with the first test that needs it
    from experiments.plans import networks  # noqa: PLC0415
    from experiments.run import context, naming, pool  # noqa: PLC0415
    from experiments.steps import compare, fidelity, scale  # noqa: PLC0415

    put, note = observer.patch.setattr, observer.notes.append
    # Pure, but most of the time.
    put("experiments.plans.search.resolve_space", functools.cache(naming.resolve_space))
    put(networks, "scaling_points", functools.cache(scaling_points))

    def draw_nothing(*_: Any, **__: Any) -> list[Path]:
        return []

    for module, name in ((scale, "coefficient_pictures"), (scale, "curve_pictures"), (compare, "frontier_pictures"),
                         (fidelity, "fidelity_pictures"), (report, "write_report")):  # fmt: skip
        put(module, name, draw_nothing)

    def executor(name: str) -> Callable[..., InlineExecutor]:
        def start(evaluator: Evaluator, *slots: Any, time_limit: Any, **more: Any) -> InlineExecutor:
            def limit(request: Any) -> float | None:
                seconds: float | None = time_limit(request)
                note(f"limit {seconds if seconds is None or seconds < 600 else 'by forecast'}")
                return seconds

            note(f"{name} {slots} {more}")
            return InlineExecutor(evaluator, "cpu", 1, time_limit=limit)

        return start

    cluster = types.ModuleType("nas.pool.cluster")
    cluster.RayExecutor = executor("ray")  # type: ignore[attr-defined]

    def cluster_slots(address: str | None, workers: int | None, per_device: int | None) -> tuple[Slot, ...]:
        note(f"cluster at {address}")
        return (Slot("cuda:0"),) * (workers or per_device or 1)

    cluster.cluster_slots = cluster_slots  # type: ignore[attr-defined]
    observer.patch.setitem(sys.modules, "nas.pool.cluster", cluster)
    put(pool, "LocalExecutor", executor("local"))
    put(pool, "InlineExecutor", executor("inline"))
    put("nas.pool.slots.usable_cores", lambda: 2)
    put("nas.pool.slots.gpu_count", lambda: 0)

    class Board:
        def add_scalar(self, tag: str, *_: Any) -> None:
            note(f"scalar {tag}")

        def flush(self) -> None: ...

        close = flush

    put(context, "open_writer", lambda _: Board())

    def measure(setup: Any, arch: ArchSpec, _: int) -> float:
        note(f"latency by {setup}")
        return 1 + zlib.crc32(arch.id.encode()) / 2**32

    put(LatencySetup, "measure", measure)
    put(LatencyCommand, "measure", measure)
    put("nas.training.loop.accelerate", lambda _: note("compiled loops"))


def _clean(text: str, folder: Path) -> str:
    lines = [line for line in text.replace(str(folder), "RUN").splitlines() if not line.startswith(UNSAID)]
    return re.sub(r"/\S*/(?=\w)", "", "\n".join(lines))


def _left_in(folder: Path) -> Said:
    """The files of a run folder, and what is in those that tell its results."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    found: dict[str, Any] = {"files": [str(path.relative_to(folder)) for path in files]}
    for path in files:
        name = str(path.relative_to(folder))
        if path.suffix == ".json" and name not in VARYING and path.parent == folder:
            found[name] = _results(json.loads(path.read_text()))
        elif path.suffix == ".journal":
            trials = read_study(path, path.stem).get_trials(deepcopy=False)
            found[name] = [
                (trial.state.name, trial.params, trial.values, _results(dict(trial.user_attrs))) for trial in trials
            ]
        elif path.suffix == ".safetensors":
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _results(record: Any) -> Any:
    if isinstance(record, dict):
        return {key: _results(value) for key, value in record.items() if key not in (*TIMES, *ASKED)}
    return [_results(each) for each in record] if isinstance(record, list) else record
