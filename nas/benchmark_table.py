"""A published table of trained networks as a search problem: exact rows, or a fit through them. No GPU."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import GradientBoostingRegressor

from nas.evaluation import Failure, Outcome, Report, Request
from nas.figures import Figure, InSpace, MultiplyAdds
from nas.figures.figure import Floats, Rows
from search_spaces import (
    ArchSpec,
    Choice,
    OneOf,
    SearchSpace,
    StagedSpace,
    reference_arch,
    staged_space,
    vary,
)
from search_spaces.spaces.choices import Params, Varied

ACCURACY_COLUMNS = ("accuracy", "acc", "top1", "test_accuracy", "valid_accuracy")
MODES = ("fit", "exact")
_STAGE = re.compile(r"stage(\d+)_(expand|kernel|layers|se)")
_STAGE_FIELDS = ("expand", "kernel", "layers", "se")
_SE_RATIO = 0.25


class TableError(ValueError):
    """A table that cannot be searched: the message says what is missing and how to mend it."""


@dataclass(frozen=True, eq=False)
class BenchmarkTable:
    """One table: `frame` holds a column per choice of `space`, an accuracy column, and any cost columns.

    mode "fit" answers every point of the space from gradient-boosted trees fitted to the rows; "exact" answers the
    rows themselves (the mean of equal ones) and nothing else. Accuracies come out in 0..1; a column with any value
    above 1 is read as percent. Where the choices are stages of a network the space decodes to ArchSpec.
    """

    frame: pd.DataFrame
    space: SearchSpace
    accuracy_column: str
    mode: str = "fit"

    def accuracy(self, params: Params) -> float:
        """Accuracy in 0..1. Raises KeyError in exact mode when the table has no such row."""
        return self._value(self.accuracy_column, params) / self._accuracy_unit

    def cost(self, column: str, params: Params) -> float:
        """A cost column, in its own unit, such as a measured latency in ms; rows with an empty cell are left out."""
        return self._value(column, params)

    def contains(self, params: Params) -> bool:
        """Whether the table can answer: always in fit mode."""
        return self.mode == "fit" or self._key(params) in self._rows(self.accuracy_column)

    def predict(self, column: str, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """The fit's answers, in the column's own unit, for rows of value indices of shape (n, choices)."""
        out: NDArray[np.float64] = self._fit(column).predict(self._features(indices))
        return out

    def macs(self, num_classes: int = 1000) -> InSpace:
        """Our own count of multiply-adds. Raises TableError when the columns do not describe a network."""
        if not isinstance(self.space, StagedSpace):
            raise TableError("the columns do not describe a network, so MACs cannot be counted: name a cost column")
        return InSpace(MultiplyAdds(num_classes), self.space)

    def params_of(self, arch: ArchSpec) -> dict[str, Any]:
        """The parameters that decode to `arch`. Raises TableError when it is no member of the table's space."""
        if len(arch.stages) != len(self.space.choices) // len(_STAGE_FIELDS):
            raise TableError(f"the table describes networks of other than {len(arch.stages)} stages")
        params = {}
        for i, stage in enumerate(arch.stages, 1):
            values = {"expand": stage.expand, "kernel": stage.kernel, "layers": stage.layers, "se": int(stage.se > 0)}
            params.update({f"s{i}.{name}": value for name, value in values.items()})
        try:
            member = self.space.decode(params)
        except ValueError as error:
            raise TableError(f"not a network of the table: {error}") from None
        if member.id != arch.id:
            raise TableError("not a network of the table: its widths, strides or resolution differ")
        return params

    @cached_property
    def _accuracy_unit(self) -> float:
        return 100.0 if float(self.frame[self.accuracy_column].max()) > 1 else 1.0

    @cached_property
    def _cache(self) -> dict[str, Any]:
        return {}

    def _value(self, column: str, params: Params) -> float:
        if self.mode == "exact":
            return self._rows(column)[self._key(params)]
        return float(self.predict(column, self.space.indices(params)[None])[0])

    def _key(self, params: Params) -> tuple[Any, ...]:
        return tuple(params[choice.name] for choice in self.space.choices)

    def _rows(self, column: str) -> dict[tuple[Any, ...], float]:
        key = f"rows:{column}"
        if key not in self._cache:
            names = [choice.name for choice in self.space.choices]
            means = self._known(column).groupby(names, sort=False)[column].mean()
            self._cache[key] = {k if isinstance(k, tuple) else (k,): float(v) for k, v in means.items()}
        rows: dict[tuple[Any, ...], float] = self._cache[key]
        return rows

    def _fit(self, column: str) -> GradientBoostingRegressor:
        key = f"fit:{column}"
        if key not in self._cache:
            known = self._known(column)
            indices = np.array([
                [choice.values.index(v) for choice, v in zip(self.space.choices, row, strict=True)]
                for row in known[[choice.name for choice in self.space.choices]].itertuples(index=False)
            ])  # fmt: skip
            model = GradientBoostingRegressor(
                n_estimators=1600, learning_rate=0.05, max_depth=3, subsample=0.5, random_state=0
            )
            self._cache[key] = model.fit(self._features(indices), known[column].to_numpy(float))
        return self._cache[key]

    def _known(self, column: str) -> pd.DataFrame:
        if column not in self.frame:
            raise TableError(f"no column {column!r}; the table has {', '.join(map(str, self.frame.columns))}")
        return self.frame[self.frame[column].notna()]

    def _features(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Ordered choices as their rank, unordered ones (texts) as one column per value."""
        columns: list[NDArray[np.float64]] = []
        for i, choice in enumerate(self.space.choices):
            if any(isinstance(value, str) for value in choice.values):
                columns.extend((indices[:, i] == k).astype(float) for k in range(len(choice.values)))
            else:
                columns.append(indices[:, i].astype(float))
        return np.column_stack(columns)


@dataclass(frozen=True, eq=False)
class Column(Figure):
    """A column of the table as a figure of its space's members: numbers above 0, in a unit that its author knows.

    Raises ValueError where the table has no such column.
    """

    table: BenchmarkTable
    column: str

    def __post_init__(self) -> None:
        try:
            least = float(self.table.frame[self.column].min())
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"{self.column}: no such column of numbers in the table") from None
        if not least > 0:
            raise ValueError(f"{self.column}: costs must be above 0")

    @property
    def name(self) -> str:
        return self.column

    @property
    def words(self) -> str:
        return self.column

    @property
    def how(self) -> str:
        return f"column {self.column}"

    def of(self, arch: ArchSpec) -> float:
        try:
            return self.table.cost(self.column, self.table.params_of(arch))
        except KeyError:
            raise ValueError(f"{self.column}: the table has no row of this network") from None

    def of_rows(self, space: SearchSpace, rows: Rows) -> Floats:
        if space is self.table.space and self.table.mode == "fit":
            return self.table.predict(self.column, rows)
        return super().of_rows(space, rows)


def load_table(
    path: str | Path,
    *,
    accuracy: str | None = None,
    mode: str = "fit",
    base: str = "efficientnet_b0",
) -> BenchmarkTable:
    """Read a CSV file (compressed or not) with a header.

    The columns left of the accuracy column are the choices, except `id`; those right of it are costs and the rest.
    `accuracy` names the column (the first of `ACCURACY_COLUMNS` that is there when None). When every choice is called
    `stage<i>_expand`, `_kernel`, `_layers` or `_se`, the space decodes to networks with the widths and strides of
    `base`. Raises TableError when the file cannot be read so.
    """
    if mode not in MODES:
        raise TableError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    frame = _frame(path)
    if len(frame.columns) == 1 and ";" in str(frame.columns[0]):
        raise TableError(f"{path}: its columns are separated by semicolons; save it with commas")
    frame = frame.rename(columns={name: _as_known(str(name)) for name in frame.columns})
    if not frame.columns.is_unique:
        raise TableError(f"{path}: two columns have one name: {', '.join(map(str, frame.columns))}")
    column = _accuracy_column(frame, accuracy, path)
    names = [str(name) for name in frame.columns[: list(frame.columns).index(column)] if name != "id"]
    if not names:
        raise TableError(f"{path}: no column left of {column!r}; the choices of an architecture must stand there")
    frame = frame[frame[column].notna()]
    if frame.empty:
        raise TableError(f"{path}: no row has a value in {column!r}")
    frame = _with_numbers(frame, names, column, path)
    if all(_STAGE.fullmatch(name) for name in names):
        frame = frame.rename(columns={name: _stage_name(name) for name in names})
        return BenchmarkTable(frame, _network_space(frame, len(names), base, path), column, mode)
    return BenchmarkTable(frame, _plain_space(frame, names), column, mode)


@dataclass(frozen=True)
class TableEvaluator:
    """The table in place of a training: an `Evaluator` for tables whose rows are networks."""

    table: BenchmarkTable

    def evaluate(self, request: Request, device: str, report: Report) -> Outcome:  # noqa: ARG002
        try:
            accuracy = self.table.accuracy(self.table.params_of(request.arch))
        except (TableError, KeyError) as error:
            return Outcome(failure=Failure("crashed", f"not in the table: {error}"), device="table")
        report(request.fidelity.epochs, accuracy)
        return Outcome(accuracy=accuracy, device="table", curve=(accuracy,))


def _frame(path: str | Path) -> pd.DataFrame:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # a device or a pipe may have no end
            raise OSError(errno.EINVAL, "is no regular file")
        return pd.read_csv(path)
    except OSError as error:
        raise TableError(f"{path}: cannot be read as a CSV table: {error.strerror or error}") from None
    except Exception as error:  # what unpacks a damaged file raises exceptions of its own
        raise TableError(f"{path}: cannot be read as a CSV table: {error}") from None


def _with_numbers(frame: pd.DataFrame, choices: Sequence[str], accuracy: str, path: str | Path) -> pd.DataFrame:
    """The frame with numbers as such where they stand as texts: the accuracies, and all that is said of stages.

    Raises TableError where a network has no accuracy in 0..1 or in percent, or lacks one of its choices.
    """
    found = {accuracy: pd.to_numeric(frame[accuracy], errors="coerce")}
    for value in frame[accuracy][~found[accuracy].between(0, 100)]:
        raise TableError(f"{path}: column {accuracy!r}: {value!r:.40} is no accuracy, in 0 to 1 or in percent")
    for name in choices:
        if frame[name].isna().any():
            raise TableError(f"{path}: column {name!r} has an empty cell; each network needs a value there")
        if _STAGE.fullmatch(name):
            found[name] = pd.to_numeric(frame[name], errors="coerce")
            for value in frame[name][found[name].isna()]:
                raise TableError(f"{path}: column {name!r}: {value!r:.40} is no number")
    return frame.assign(**found)


def _as_known(name: str) -> str:
    """A column's name; one that means something here may also be written with capitals, or spaces around it."""
    plain = name.strip().lower()
    return plain if plain == "id" or plain in ACCURACY_COLUMNS or _STAGE.fullmatch(plain) else name


def _accuracy_column(frame: pd.DataFrame, accuracy: str | None, path: str | Path) -> str:
    wanted: Sequence[str] = ACCURACY_COLUMNS if accuracy is None else (accuracy,)
    for name in wanted:
        if name in frame:
            return name
    raise TableError(
        f"{path}: no accuracy column; expected {' or '.join(wanted)}, found {', '.join(map(str, frame.columns))}"
    )


def _stage_name(column: str) -> str:
    match = _STAGE.fullmatch(column)
    assert match is not None
    return f"s{match[1]}.{match[2]}"


def _plain_space(frame: pd.DataFrame, names: list[str]) -> SearchSpace:
    def decode(params: Params) -> ArchSpec:  # noqa: ARG001
        raise TableError("the table's columns do not describe a network")

    return SearchSpace("table", tuple(Choice(name, _values(frame, name)) for name in names), decode)


def _network_space(frame: pd.DataFrame, columns: int, base: str, path: str | Path) -> StagedSpace:
    arch = replace(reference_arch(base), dropout=0.2)
    if columns != len(arch.stages) * len(_STAGE_FIELDS):
        raise TableError(f"{path}: {columns} stage columns, but {base} has {len(arch.stages)} stages of four choices")
    stages = tuple(_varied_stage(frame, i, arch, path) for i in range(1, len(arch.stages) + 1))
    return staged_space("table", vary(arch, stages=stages))


def _varied_stage(frame: pd.DataFrame, i: int, arch: ArchSpec, path: str | Path) -> Varied:
    stage = arch.stages[i - 1]
    values = {name: tuple(map(_whole, _values(frame, f"s{i}.{name}"))) for name in _STAGE_FIELDS}
    for field, given in values.items():
        for each in given:
            varied = replace(stage, **{field: _SE_RATIO * each if field == "se" else each})
            try:
                replace(arch, stages=(*arch.stages[: i - 1], varied, *arch.stages[i:]))
            except ValueError as error:
                raise TableError(f"{path}: column 'stage{i}_{field}': {error}") from None
    ratios = tuple(_SE_RATIO * se for se in values["se"])
    fields = {name: OneOf(f"s{i}.{name}", values[name]) for name in ("expand", "kernel", "layers")}
    return vary(stage, **fields, se=OneOf(f"s{i}.se", values["se"], ratios))


def _whole(value: Any) -> Any:
    """A whole number as an int: a column with one number that is none has floats alone."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _values(frame: pd.DataFrame, name: str) -> tuple[Any, ...]:
    return tuple(sorted(frame[name].unique().tolist()))
