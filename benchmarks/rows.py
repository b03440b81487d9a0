"""Results as CSV files that grow by a row a run, so that a benchmark goes on where it was stopped."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of the file by its header; none where it is not there."""
    csv.field_size_limit(10**7)  # a run's whole curve may be one field
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def append_row(path: Path, header: Sequence[str], row: Sequence[object]) -> None:
    """Add a row, the header first where the file is not there."""
    new = not path.exists()
    path.parent.mkdir(exist_ok=True)
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if new:
            writer.writerow(header)
        writer.writerow(row)
