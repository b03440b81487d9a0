"""The run folder: where everything of a run lies, what it was asked for, and what may not change."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from experiments.errors import UserError
from experiments.options.flags import shown_command
from experiments.records import Record, RunRecord, read_record
from experiments.records.run import Surroundings
from experiments.records.values import Scalar
from nas.files import replace_text

STUDIES = ("discover", "confirm", "scale", "plans", "compare", "fidelity")
"""The studies that a run may have, in the order of its steps."""
FOLDERS = ("cache", "checkpoints", "checkpoint", "tensorboard", "models", "pretrained")
CACHE, CHECKPOINTS, CHECKPOINT, TENSORBOARD, MODELS, PRETRAINED = FOLDERS
"""The folders that a run makes in its own."""
_VERSIONS_OF = ("scalenas", "torch", "optuna", "numpy", "pandas", "fvcore", "matplotlib")


R = TypeVar("R", bound=Record)


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of a run and the reading and writing of its JSON files. Nothing is written outside `path`."""

    path: Path

    @property
    def name(self) -> str:
        """The folder's own name, of `.` and of a link too."""
        return os.path.basename(os.path.realpath(self.path))

    @property
    def record(self) -> Path:
        return self.path / RunRecord.FILE

    @property
    def cache(self) -> Path:
        return self.path / CACHE

    @property
    def checkpoints(self) -> Path:
        """Where trials longer than a minute are kept while they run."""
        return self.path / CHECKPOINTS

    @property
    def checkpoint(self) -> Path:
        """Where a full training is kept while it runs."""
        return self.path / CHECKPOINT

    @property
    def models(self) -> Path:
        """The trained networks of the frontier, each a file that says what it is."""
        return self.path / MODELS

    @property
    def weights(self) -> Path:
        """The weights of the frontier's trainings, of every seed, until the best of each network is a model."""
        return self.models / "seeds"

    @property
    def pretrained(self) -> Path:
        """Weights of other images that this run has got from a library."""
        return self.path / PRETRAINED

    @property
    def tensorboard(self) -> Path:
        """The event files for TensorBoard."""
        return self.path / TENSORBOARD

    def journal(self, name: str) -> Path:
        """The journal of one of the STUDIES."""
        return self.path / f"{name}.journal"

    def find(self, kind: type[R]) -> R | None:
        """One of the folder's records, None where there is no such file. Raises UserError where it is damaged."""
        return read_record(kind, self.path / kind.FILE) if self.has(kind) else None

    def get(self, kind: type[R]) -> R:
        """One of the folder's records. Raises UserError where it is damaged or not there."""
        return read_record(kind, self.path / kind.FILE)

    def has(self, kind: type[Record]) -> bool:
        return (self.path / kind.FILE).exists()

    def write(self, record: Record) -> None:
        """Write one of the folder's records, in one step."""
        write_json(self.path / record.FILE, record.to_json())

    def read(self) -> RunRecord:
        """run.json; an empty record in a new folder. Raises UserError where it is damaged."""
        return self.find(RunRecord) or RunRecord()

    def check(self, identity: Mapping[str, Scalar]) -> None:
        """Raise UserError when the folder was made with something else."""
        record = self.read()
        known = record.identity
        for key, value in identity.items():
            if key in known and known[key] != value:
                first = min(record.steps.values(), key=lambda step: step.started, default=None)
                by = "" if first is None else f" (by `{first.command}`)"
                raise UserError(
                    f"run folder {self.path} was made with {key} {known[key]}{by}, not {value}: "
                    "ask for the same again, or choose another --run"
                )

    def claim(
        self,
        identity: Mapping[str, Scalar],
        facts: Mapping[str, Any],
        step: str,
        settings: Mapping[str, Any],
    ) -> None:
        """Write to run.json what is asked, when a step is about to begin.

        identity: what decides whether earlier trials of this folder may be used; keys met before must not change.
        facts: other fields of the record (data set, plan, devices). step, settings: which step asks, and for what.
        Raises UserError when the folder belongs to another run.
        """
        self.check(identity)
        asked = {
            "command": shown_command(sys.argv[1:]),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "settings": settings,
        }
        versions = {**package_versions(), "python": platform.python_version()}
        made_by = Surroundings(versions, _git_revision(), platform.platform())
        self.write(self.read().claimed(step, asked, identity, facts, made_by))


def open_run_folder(path: str | Path) -> RunFolder:
    """The folder, made if need be. Raises UserError where it cannot be written, or one of its own folders is a link."""
    folder = RunFolder(Path(path))
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.path).close()
    except OSError as error:
        raise UserError(f"run folder {path} cannot be written: {error.strerror}; choose another --run") from None
    for name in FOLDERS:
        if (folder.path / name).is_symlink():
            raise UserError(
                f"{folder.path / name}: is a link, but a run writes nothing outside its folder: remove it"
                + ("; --cache names another place" if name == CACHE else "")
            )
    return folder


def existing_run_folder(path: str | Path) -> RunFolder:
    """A folder that a run was made in. Raises UserError when it is not one."""
    folder = RunFolder(Path(path))
    if not folder.record.is_file():
        raise UserError(f"{path}: not a run folder (it has no run.json)")
    return folder


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step, which a power failure survives too: a run goes on from it."""
    replace_text(path, json.dumps(value, indent=2) + "\n", durable=True)


@cache
def package_versions() -> Mapping[str, str]:
    """This package's version, and those of the packages that decide what a run computes, by name."""
    found = {}
    for name in _VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _git_revision() -> str | None:
    """The revision of the code that runs, where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
