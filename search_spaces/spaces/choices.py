"""Choices inside specs. A space is a spec in which some values are still open; all that is done with it is a fold.

Two kinds of nodes stand for open values: `OneOf` for a decision, and `Varied` for a dataclass value (a stage, a stem, a
whole network) some of whose fields hold nodes. Everything else is a value that stands for itself.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

Params = Mapping[str, Any]
"""One value per choice, by name."""

Label = bool | int | float | str


@dataclass(frozen=True)
class Choice:
    """One parameter and its values. Evenly spaced integers are taken as ordered, anything else as categories."""

    name: str
    values: tuple[Label, ...]

    def __post_init__(self) -> None:
        if not self.values or len(set(self.values)) != len(self.values):
            raise ValueError(f"choice {self.name!r} needs at least one value and no value twice")

    @property
    def distribution(self) -> BaseDistribution:
        """The same as Optuna says it."""
        integers = [value for value in self.values if type(value) is int]
        steps = {b - a for a, b in itertools.pairwise(integers)}
        if len(integers) == len(self.values) > 1 and len(steps) == 1 and min(steps) > 0:
            return IntDistribution(integers[0], integers[-1], step=steps.pop())
        return CategoricalDistribution(self.values)


@dataclass(frozen=True)
class OneOf:
    """The decision `name`, in one place: each of `labels` stands for one of `values`, by default for itself.

    Labels are what samplers and journals see; values may be anything, nodes and tuples too. A decision may stand in
    several places, with the same labels and, if need be, other values: `OneOf("strides", ("early", "late"), (2, 1))` in
    one stage and `OneOf("strides", ("early", "late"), (1, 2))` in the next. A tuple taken inside a tuple of stages adds
    its stages to it: `OneOf("deep", (False, True), ((), (stage,)))` is a stage that may be left out.

    Raises ValueError on labels that are no choice, and where their number is not that of the values.
    """

    name: str
    labels: tuple[Label, ...]
    values: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if not self.values:
            object.__setattr__(self, "values", self.labels)
        if len(self.choice.values) != len(self.values):
            raise ValueError(f"choice {self.name!r} has {len(self.labels)} labels, but {len(self.values)} values")

    @property
    def choice(self) -> Choice:
        """The decision as a parameter."""
        return Choice(self.name, self.labels)


@dataclass(frozen=True)
class Varied:
    """The dataclass `value`, with nodes in place of some fields; made by `vary`."""

    value: Any
    fields: tuple[tuple[str, Any], ...]


_NODES = (OneOf, Varied)


def vary(value: Any, /, **fields: Any) -> Varied:
    """`dataclasses.replace`, but the new fields may hold choices. Raises TypeError when `value` has no such field."""
    if isinstance(value, Varied):
        return vary(value.value, **{**dict(value.fields), **fields})
    known = [field.name for field in dataclasses.fields(value) if field.init]
    for name in fields:
        if name not in known:
            raise TypeError(f"{type(value).__name__} has no field {name!r}; its fields are {', '.join(known)}")
    return Varied(value, tuple(fields.items()))


def decide(spec: Any, params: Params) -> Any:
    """`spec` with the decisions made that `params` name: a plain value once none is left.

    Raises ValueError, naming the choice, on a value it lacks, and whatever the spec's classes raise on values that they
    refuse.
    """
    if isinstance(spec, OneOf):
        if spec.name in params:
            return decide(_taken(spec, params[spec.name]), params)
        return replace(spec, values=tuple(decide(value, params) for value in spec.values))
    if isinstance(spec, Varied):
        fields = {name: decide(value, params) for name, value in spec.fields}
        if any(map(is_open, fields.values())):
            return Varied(spec.value, tuple(fields.items()))
        return replace(spec.value, **fields)
    if isinstance(spec, tuple):
        return tuple(_parts(spec, params))
    return spec


def active(spec: Any, params: Params) -> set[str]:
    """Names of the decisions that `params` leads to: those in alternatives that are not taken are left out.

    Raises KeyError where one of them is missing, and ValueError, naming the choice, on a value it lacks.
    """
    if isinstance(spec, OneOf):
        return {spec.name} | active(_taken(spec, params[spec.name]), params)
    parts = (value for _, value in spec.fields) if isinstance(spec, Varied) else spec if isinstance(spec, tuple) else ()
    return set().union(*(active(part, params) for part in parts))


def is_open(spec: Any) -> bool:
    """Whether there is a node in `spec`."""
    return isinstance(spec, _NODES) or (isinstance(spec, tuple) and any(map(is_open, spec)))


def nodes(spec: Any) -> Iterator[OneOf]:
    """All decisions in `spec`, from the outside in and from left to right, once for each place."""
    if isinstance(spec, OneOf):
        yield spec
        inside: Iterator[Any] = iter(spec.values)
    elif isinstance(spec, Varied):
        inside = (value for _, value in spec.fields)
    else:
        inside = iter(spec if isinstance(spec, tuple) else ())
    for part in inside:
        yield from nodes(part)


def choices_of(spec: Any) -> tuple[Choice, ...]:
    """The parameters of `spec`, in the order in which they are met.

    Raises ValueError when one name stands for decisions with different labels.
    """
    found: dict[str, Choice] = {}
    for node in nodes(spec):
        if found.setdefault(node.name, node.choice).values != node.labels:
            raise ValueError(
                f"choice {node.name!r} has labels {found[node.name].values} in one place, {node.labels} in another"
            )
    return tuple(found.values())


def _taken(node: OneOf, label: Any) -> Any:
    if label not in node.labels:
        raise ValueError(f"choice {node.name!r} is one of {node.labels}, not {label!r}")
    return node.values[node.labels.index(label)]


def _parts(spec: tuple[Any, ...], params: Params) -> Iterator[Any]:
    for part in spec:
        made = decide(part, params)
        if isinstance(part, OneOf) and isinstance(made, tuple):
            yield from made
        else:
            yield made
