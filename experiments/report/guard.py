"""Reading what may be damaged: one bad file must not cost the rest of the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from experiments.run.folder import read_json

Part = TypeVar("Part")
Other = TypeVar("Other")


@dataclass
class Guard:
    """What could not be read is left out and said, a line each, in `unread`."""

    unread: list[str] = field(default_factory=list)

    def part(self, name: str, make: Callable[[], Part], otherwise: Other) -> Part | Other:
        """What `make` returns; `otherwise` where it raises: whatever that be, the file called `name` is to blame."""
        try:
            return make()
        except Exception as error:
            line = f"{name} could not be read: {type(error).__name__}: {' '.join(str(error).split())}"
            if line not in self.unread:
                self.unread.append(line)
            return otherwise

    def json(self, path: Path, use: Callable[[Any], Part]) -> Part | None:
        """What `use` makes of a JSON file's content; None where there is no such file, or it cannot be read."""
        return self.part(path.name, lambda: use(read_json(path)), None) if path.exists() else None
