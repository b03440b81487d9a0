"""All mutants of a module: its text with one place changed."""

from __future__ import annotations

import ast
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names
from parso.tree import NodeOrLeaf

_ARITHMETIC, _ORDER = "Add|Sub|Mul|Div|FloorDiv|Pow", "Eq|NotEq|Lt|LtE|Gt|GtE"
_OPERATORS = re.compile(
    rf"core/(ReplaceBinaryOperator_(({_ARITHMETIC}|Mod)_({_ARITHMETIC})|BitAnd_BitOr|BitOr_BitAnd)"
    rf"|ReplaceComparisonOperator_(({_ORDER})_({_ORDER})|Is_IsNot|IsNot_Is)"
    "|ReplaceUnaryOperator_(USub_UAdd|Delete_.*)|AddNot|Replace(True|False|And|Or|Break|Continue)With.*"
    "|ExceptionReplacer|NumberReplacer|ZeroIterationForLoop)"
)
"""Those of Cosmic Ray that do not fail wherever they stand, as a shift of real numbers does."""
_NO_CALL = "no call"
Place = tuple[int, int]
"""Line from 1, column from 0."""


class Change(NamedTuple):
    """The place that is changed, the operator, and which of the places that it could change this is."""

    place: Place
    operator: str
    occurrence: int


class Mutant(NamedTuple):
    """The first line that is changed, its number, how it was and how it is, stripped; the module's changed text."""

    line: int
    before: str
    after: str
    text: str


def changes_of(source: str) -> list[Change]:
    """All that can be done to a module, but for annotations, where it would do nothing."""
    silent = list(_annotations(source))
    nodes = list(ast_nodes(get_ast(source)))
    found = [Change((call.lineno, call.col_offset), _NO_CALL, i) for i, call in enumerate(_calls(source))]
    for name in filter(_OPERATORS.fullmatch, operator_names()):
        operator = get_operator(name)()
        places = [(begin, node.parent) for node in nodes for begin, _ in operator.mutation_positions(node)]
        found += [Change(place, name, i) for i, (place, around) in enumerate(places) if not _is_star(name, around)]
    return [change for change in found if not any(first <= change.place < last for first, last in silent)]


def sampled(changes: Sequence[Change], count: int, seed: int) -> list[Change]:
    """At most `count` of them in random order, but each place once before any place twice."""
    met: Counter[Place] = Counter()
    turns = []
    for change in random.Random(seed).sample(changes, len(changes)):
        turns.append((met[change.place], change))
        met[change.place] += 1
    return [change for _, change in sorted(turns, key=lambda turn: turn[0])][:count]


def mutant(source: str, change: Change) -> Mutant | None:
    """The module with that change; None where that is the same program, as with one more than 1e18, or none."""
    if change.operator == _NO_CALL:
        call, lines = _calls(source)[change.occurrence], source.splitlines(keepends=True)
        lines[call.lineno - 1 : call.end_lineno] = [" " * call.col_offset + "pass\n"]
        text = "".join(lines)
    else:
        text = mutate_code(source, get_operator(change.operator)(), change.occurrence)
    try:
        if ast.dump(ast.parse(text)) == ast.dump(ast.parse(source)):
            return None
    except SyntaxError:
        return None
    pairs = zip(source.splitlines(), text.splitlines(), strict=False)
    line, (before, after) = next((i, pair) for i, pair in enumerate(pairs, 1) if pair[0] != pair[1])
    return Mutant(line, before.strip(), after.strip(), text)


def _calls(source: str) -> list[ast.Expr]:
    """What is called for its effect alone, such as a write to the disk."""
    return [
        node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ]


def _is_star(operator: str, around: NodeOrLeaf | None) -> bool:
    """Whether what is taken for a product is a star among parameters, as before those that have to be named."""
    return "Binary" in operator and around is not None and around.type in ("parameters", "param")


def _annotations(source: str) -> Iterator[tuple[Place, Place]]:
    for node in ast.walk(ast.parse(source)):
        for noted in (getattr(node, "annotation", None), getattr(node, "returns", None)):
            if isinstance(noted, ast.expr):
                yield (noted.lineno, noted.col_offset), (noted.end_lineno or 0, noted.end_col_offset or 0)
