"""CSV tables: written so that no cell is a formula, read back as rows of a dataclass, each cell checked and named."""

from __future__ import annotations

import dataclasses
import io
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from experiments.errors import UserError, told
from nas.files import read_bounded

Row = TypeVar("Row")

SIGNED = {"low": -math.inf}
"""Metadata of a field that may be below 0."""
COUNTED = {"low": 1}
"""Metadata of a field that is at least 1."""

LARGEST = 256 * 2**20
"""Bytes of a table that is read."""
_FORMULA = re.compile("'*[=+\\-@\t\r\n＝＋－＠]")


def to_csv(table: pd.DataFrame) -> str:
    """A table with a header as CSV. Names and texts that a spreadsheet would take for a formula begin with an
    apostrophe, which `read_rows` takes off again; numbers stay as they are.
    """
    plain = table.rename(columns=_neutral).map(_neutral)
    text: str = plain.to_csv(index=False)
    return text


def _neutral(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and _FORMULA.match(cell) else cell


def _as_meant(cell: str) -> str:
    """The inverse of `_neutral`, for texts that it has changed."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def read_table(path: Path) -> pd.DataFrame:
    """A CSV's cells as texts, empty ones as "". Raises UserError, naming the file, where it cannot be read."""
    try:
        text = read_bounded(path, LARGEST).decode()
        table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).fillna("")
        if len(table.columns) == 1 and ";" in table.columns[0]:
            raise ValueError("its columns are separated by semicolons; save it with commas")
        return table
    except OSError as error:
        raise UserError(told(error)) from None
    except ValueError as error:
        raise UserError(f"{path}: {' '.join(str(error).split())}") from None


def read_rows(path: Path, kind: type[Row]) -> list[Row]:
    """The rows of a table with a column for each field of the dataclass `kind`; other columns are passed over.

    Fields are of type str, int or float, or one of the latter `| None` where a cell may be empty; the column of a field
    with a default may be missing. Numbers are read exactly as they are written; they are at least 0 where the field is
    not SIGNED or COUNTED, and an accuracy is at most 1. A text is one of those that its field's metadata has as
    `known`, if any. Raises UserError, naming file, row (from 1) and column, for anything else.
    """
    table = read_table(path)
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    for field in fields:
        if field.name not in table and field.default is dataclasses.MISSING:
            raise UserError(
                f"{path}: no column {field.name!r}; a {path.name} has {', '.join(field.name for field in fields)}"
            )
    known = [field for field in fields if field.name in table]
    return [_row(row, kind, known, f"{path}: row {i}") for i, row in enumerate(table.to_dict("records"), 1)]


def number(cell: Any) -> float | None:
    """A cell's number; None where it is empty. Raises ValueError for anything else, infinity included."""
    if cell == "" or cell is None:
        return None
    value = float(cell)
    if not math.isfinite(value):
        raise ValueError(f"{cell!r} is not a finite number")
    return value


def _row(row: Mapping[Any, Any], kind: type[Row], fields: list[dataclasses.Field[Any]], where: str) -> Row:
    found: dict[str, Any] = {}
    for field in fields:
        try:
            found[field.name] = _cell(row[field.name], field)
        except ValueError as error:
            raise UserError(f"{where}, column {field.name!r}: {error}") from None
    return kind(**found)


def _cell(cell: str, field: dataclasses.Field[Any]) -> Any:
    kind = str(field.type)
    if kind == "str":
        known = field.metadata.get("known")
        if known is not None and cell not in known:
            raise ValueError(f"{cell!r:.40} is none of {', '.join(known)}")
        return _as_meant(cell)
    value = number(cell)
    if value is None and kind.endswith(" | None"):
        return None
    if value is None:
        raise ValueError("is empty; it takes a number")
    low, share = field.metadata.get("low", 0), field.name == "accuracy" or field.metadata.get("high") == 1
    if value < low or (share and value > 1):
        raise ValueError(f"{cell} is out of range; it takes {'0 to 1' if share else f'{low} or more'}")
    whole = kind.startswith("int")
    if whole and value != int(value):
        raise ValueError(f"{cell} is not a whole number")
    return int(value) if whole else value
