"""The ops of stages, one file each, and a stage of any of them by the op's name."""

from __future__ import annotations

from dataclasses import fields
from functools import cache
from typing import Any

from search_spaces.checks import known_fields, one_of
from search_spaces.ops.base.fields import CHECKS, GateSpec
from search_spaces.ops.base.stage import Stage
from search_spaces.ops.basic import Basic
from search_spaces.ops.bottleneck import Bottleneck
from search_spaces.ops.conv import PlainConv
from search_spaces.ops.fire import Fire
from search_spaces.ops.fused_mbconv import FusedMBConv
from search_spaces.ops.mbconv import MBConv
from search_spaces.ops.separable import Separable
from search_spaces.ops.sepconv import SepConv
from search_spaces.ops.shuffle import ShuffleUnit
from search_spaces.ops.uib import UniversalBottleneck
from search_spaces.ops.xception import XceptionBlock

__all__ = ["OPS", "GateSpec", "Stage", "StageSpec", "read_stage"]

OPS: dict[str, type[Stage]] = {
    "conv": PlainConv,
    "sepconv": SepConv,
    "mbconv": MBConv,
    "basic": Basic,
    "bottleneck": Bottleneck,
    "shuffle": ShuffleUnit,
    "fire": Fire,
    "xception": XceptionBlock,
    "separable": Separable,
    "fused_mbconv": FusedMBConv,
    "uib": UniversalBottleneck,
}


def StageSpec(op: str = "mbconv", **values: Any) -> Stage:  # noqa: N802  stands where the class of all stages stood
    """A stage of `op`, a name from OPS, with `values` for its fields: MBConv, Basic and so on say which they are.

    Their common class is `Stage`, for `isinstance`; another op is another class, so that `replace` keeps the op.

    Fields that only other ops have are checked and left out, so that one description may serve several ops. Raises
    ArchError on an unknown op or field.
    """
    return read_stage({"op": op, **values}, "")


def read_stage(data: Any, where: str) -> Stage:
    """The stage of plain data, as `dataclasses.asdict` writes it; `where` (ends in a dot) is for ArchError."""
    op = data.get("op", "mbconv") if isinstance(data, dict) else "mbconv"
    one_of(f"{where}op", op, OPS)
    values = known_fields(where, data, _all_fields(op))
    values.pop("op", None)
    if isinstance(values.get("gate"), dict):
        gate = known_fields(f"{where}gate.", values["gate"], [each.name for each in fields(GateSpec)])
        values["gate"] = GateSpec(**gate)
    for name in values.keys() - _own_fields(op):
        if name in CHECKS:
            CHECKS[name](f"{where}{name}", values[name])
        del values[name]
    return OPS[op](**values)


@cache
def _own_fields(op: str) -> frozenset[str]:
    return frozenset(each.name for each in fields(OPS[op]) if each.init)


@cache
def _all_fields(op: str) -> dict[str, None]:
    """The names that may be given for a stage of `op`: its own, then those of the other ops."""
    kinds = (OPS[op], *OPS.values())
    return dict.fromkeys(each.name for kind in kinds for each in fields(kind))
