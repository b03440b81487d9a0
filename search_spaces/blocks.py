"""Block strings such as r2_k3_s22_e6_i16_o24_se0.25, the notation of MnasNet's and EfficientNet's sources."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import fields
from functools import cache
from typing import Any

from search_spaces.arch import ArchSpec
from search_spaces.checks import ArchError, shown
from search_spaces.ops import OPS, Stage, StageSpec
from search_spaces.ops.base.fields import COMMON, Token

_BLOCK = re.compile(
    r"r(?P<layers>\d+)_k(?P<kernel>\d+)_s(?P<s1>\d)(?P<s2>\d)_e(?P<expand>\d+(?:\.\d+)?)_i(?P<inputs>\d+)_o(?P<channels>\d+)"
    rf"(?P<rest>(?:_[^_ ]+)*?)(?:_(?P<op>{'|'.join(OPS)}))?"
)
_LONGEST = 1000  # characters of a block; Python reads no numbers of thousands of digits


def parse_blocks(text: str | Iterable[str]) -> tuple[Stage, ...]:
    """Stages from block strings, separated by spaces when one string is given.

    Beyond the sources' notation `_w0.5` is the inner width, `_g3` the groups, `_poolskip`, `_projskip` and `_padskip`
    are the other shortcuts, `_gatehardsigmoid-relu-8` is squeeze-excite's gate, `_actrelu`, `_eps1e-05` and `_mom0.1`
    are the stage's own activation and norms, and a trailing `_conv`, `_sepconv` ... is another op than mbconv. What
    only other ops have is left out. Input channels are checked against the stage before. Raises ArchError, naming the
    block.
    """
    blocks = text.split() if isinstance(text, str) else list(text)
    stages: list[Stage] = []
    for block in blocks:
        stages.append(_stage(block, stages[-1].channels if stages else None))
    return tuple(stages)


def _stage(block: str, inputs: int | None) -> Stage:
    match = _BLOCK.fullmatch(block) if len(block) <= _LONGEST else None
    if match is None:
        raise ArchError(f"block string {shown(block)}: expected a form like r2_k3_s22_e6_i16_o24_se0.25")
    part = match.groupdict()
    if part["s1"] != part["s2"]:
        raise ArchError(f"block string {shown(block)}: strides differ between height and width")
    if inputs not in (None, int(part["inputs"])):
        raise ArchError(f"block string {shown(block)}: takes {shown(int(part['inputs']))} channels, gets {inputs}")
    values: dict[str, Any] = {name: int(part[name]) for name in ("kernel", "channels", "layers")}
    values["expand"] = float(part["expand"]) if "." in part["expand"] else int(part["expand"])
    for word in part["rest"].split("_")[1:]:
        name, value = _read(block, word)
        if name in values:
            raise ArchError(f"block string {shown(block)}: {shown(word)} says {name} a second time")
        values[name] = value
    return StageSpec(part["op"] or "mbconv", stride=int(part["s1"]), **values)


def _read(block: str, word: str) -> tuple[str, Any]:
    """The field that a word stands for, and its value."""
    for token in _tokens():
        if match := re.fullmatch(token.pattern, word):
            return token.field, token.read(match[1])
    raise ArchError(
        f"block string {shown(block)}: expected a form like r2_k3_s22_e6_i16_o24_se0.25, without {shown(word)}"
    )


@cache
def _tokens() -> tuple[Token, ...]:
    """Of all ops."""
    return tuple(dict.fromkeys(token for kind in OPS.values() for token in kind.tokens + COMMON))


def format_blocks(arch: ArchSpec) -> str:
    """The stages as block strings separated by spaces; `parse_blocks` gives the same stages back."""
    blocks = []
    for stage, inputs in arch.fed_stages():
        strides = f"s{stage.stride}{stage.stride}"
        parts = [f"r{stage.layers}_k{stage.kernel}_{strides}_e{stage.expand}_i{inputs}_o{stage.channels}"]
        defaults = {each.name: each.default for each in fields(stage)}
        for token in (*type(stage).tokens, *COMMON):
            value = getattr(stage, token.field)
            if value != defaults[token.field]:
                parts.append(token.write(value))
        parts += [stage.op] if stage.op != "mbconv" else []
        blocks.append("_".join(parts))
    return " ".join(blocks)
