"""Reading what may be damaged: one bad file must not cost the rest of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from experiments.errors import UserError
from experiments.records import Record
from experiments.records.values import RecordError
from experiments.run.folder import RunFolder

Part = TypeVar("Part")
Other = TypeVar("Other")
Kind = TypeVar("Kind", bound=Record)


@dataclass
class Guard:
    """What could not be read is left out and said, a line each, in `unread`."""

    unread: list[str] = field(default_factory=list)

    def part(self, name: str, make: Callable[[], Part], otherwise: Other) -> Part | Other:
        """What `make` returns; `otherwise` where it raises: whatever that be, the file called `name` is to blame."""
        try:
            return make()
        except Exception as error:
            line = f"{name} could not be read: {_told(name, error)}"
            if line not in self.unread:
                self.unread.append(line)
            return otherwise

    def record(self, folder: RunFolder, kind: type[Kind], use: Callable[[Kind], Part]) -> Part | None:
        """What `use` makes of one of a run's records; None where there is no such file, or it cannot be read."""
        return self.part(kind.FILE, lambda: use(folder.get(kind)), None) if folder.has(kind) else None


def _told(name: str, error: Exception) -> str:
    """The error in one line, without the file's name, and without its class where it is meant for people."""
    line = " ".join(str(error).split())
    if not isinstance(error, UserError | RecordError):
        return f"{type(error).__name__}: {line}"
    path, found, rest = line.partition(f"{name}: ")
    return rest if found and (not path or path.endswith("/")) else line
