"""Pictures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from nas.files import replacing


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the path's suffix in one step, the same bytes for the same figure."""
    metadata: dict[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}.get(path.suffix, {})
    with (
        rc_context({"svg.hashsalt": "scalenas"}),  # else ids in the file are random
        replacing(path, durable=False) as draft,  # redrawn from its table at any time
        draft.open("wb") as file,
    ):
        figure.savefig(file, format=path.suffix.removeprefix("."), dpi=150, metadata=metadata)
