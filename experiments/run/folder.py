"""The run folder: where everything of a run lies, what it was asked for, and what may not change."""

from __future__ import annotations

import dataclasses
import datetime
import json
import platform
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from experiments.errors import UserError
from nas.files import replace_text
from nas.study.passwords import hide_password

STUDIES = ("discover", "confirm", "scale", "compare", "fidelity")
"""The studies that a run may have, in the order of its steps."""
_VERSIONS_OF = ("scalenas", "torch", "optuna", "numpy", "pandas", "fvcore", "matplotlib")


@dataclasses.dataclass(frozen=True)
class RunFolder:
    """Paths of a run and the reading and writing of its JSON files. Nothing is written outside `path`."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def baseline(self) -> Path:
        return self.path / "baseline.json"

    @property
    def coefficients(self) -> Path:
        return self.path / "coefficients.json"

    @property
    def family(self) -> Path:
        return self.path / "family.json"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def checkpoints(self) -> Path:
        """Where trials longer than a minute are kept while they run."""
        return self.path / "checkpoints"

    def journal(self, name: str) -> Path:
        """The journal of one study: discover, confirm, scale or compare."""
        return self.path / f"{name}.journal"

    def read(self) -> dict[str, Any]:
        """run.json, or an empty dict in a new folder. Raises UserError when it is not readable."""
        return read_json(self.record) if self.record.exists() else {}

    def check(self, identity: Mapping[str, Any]) -> None:
        """Raise UserError when the folder was made with something else."""
        known = self.read().get("identity", {})
        for key, value in identity.items():
            if key in known and known[key] != value:
                raise UserError(
                    f"run folder {self.path} was made with {key} {known[key]}, not {value}: "
                    "choose another --run, or ask for the same again"
                )

    def claim(
        self,
        identity: Mapping[str, Any],
        facts: Mapping[str, Any],
        step: str,
        settings: Mapping[str, Any],
    ) -> None:
        """Write to run.json what is asked, when a step is about to begin.

        identity: what decides whether earlier trials of this folder may be used; keys met before must not change.
        facts: anything else worth keeping (data set, plan, machine). step, settings: which step asks, and for what.
        Raises UserError when the folder belongs to another run.
        """
        self.check(identity)
        before = self.read()
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        steps = dict(before.get("steps", {}))
        command = hide_password(shlex.join(["scalenas", *sys.argv[1:]]))
        steps[step] = {"command": command, "started": now, "settings": dict(settings)}
        record = {
            **before,
            "created": before.get("created", now),
            "updated": now,
            **facts,
            "identity": {**before.get("identity", {}), **identity},
            "steps": steps,
            "versions": {**_versions(), "python": platform.python_version()},
            "git_revision": _git_revision(),
            "machine": platform.platform(),
        }
        write_json(self.record, record)


def open_run_folder(path: str | Path) -> RunFolder:
    """The folder, made if need be. Raises UserError where it cannot be written."""
    folder = RunFolder(Path(path))
    probe = folder.path / ".writable"
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise UserError(f"run folder {path} cannot be written: {error.strerror}; choose another --run") from None
    return folder


def existing_run_folder(path: str | Path) -> RunFolder:
    """A folder that a run was made in. Raises UserError when it is not one."""
    folder = RunFolder(Path(path))
    if not folder.record.is_file():
        raise UserError(f"{path}: not a run folder (it has no run.json)")
    return folder


def read_json(path: Path) -> Any:
    """A JSON file's content. Raises UserError, naming the file."""
    try:
        return json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON: {error}") from None


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file in one step, which a power failure survives too: a run goes on from it."""
    replace_text(path, json.dumps(value, indent=2) + "\n", durable=True)


def _versions() -> dict[str, str]:
    found = {}
    for name in _VERSIONS_OF:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _git_revision() -> str | None:
    """The revision of the code that runs, where it runs from a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        found = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
