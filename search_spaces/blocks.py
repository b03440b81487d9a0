"""Block strings such as r2_k3_s22_e6_i16_o24_se0.25, the notation of MnasNet's and EfficientNet's sources."""

from __future__ import annotations

import re
from collections.abc import Iterable

from search_spaces.arch import ArchError, ArchSpec, StageSpec

_SHARE = r"\d+(?:\.\d+)?(?:e-\d+)?"
_BLOCK = re.compile(
    r"r(?P<layers>\d+)_k(?P<kernel>\d+)_s(?P<s1>\d)(?P<s2>\d)_e(?P<expand>\d+)_i(?P<inputs>\d+)_o(?P<channels>\d+)"
    rf"(_se(?P<se>{_SHARE}))?(_w(?P<inner>{_SHARE}))?(_g(?P<groups>\d+))?"
    r"(_(?P<skip>noskip|poolskip|projskip))?(_(?P<op>[a-z]+))?"
)
_SKIPS = {"identity": None, "none": "noskip", "pool": "poolskip", "project": "projskip"}
_NAMES = {word: skip for skip, word in _SKIPS.items()}


def parse_blocks(text: str | Iterable[str]) -> tuple[StageSpec, ...]:
    """Stages from block strings, separated by spaces when one string is given.

    Beyond the sources' notation `_w0.5` is the inner width, `_g3` the groups, `_poolskip` and `_projskip` are the other
    shortcuts and a trailing `_conv`, `_sepconv` ... another op than mbconv. Input channels are checked against the
    stage before. Raises ArchError, naming the block.
    """
    blocks = text.split() if isinstance(text, str) else list(text)
    stages: list[StageSpec] = []
    for block in blocks:
        match = _BLOCK.fullmatch(block)
        if match is None:
            raise ArchError(f"block string {block!r}: expected a form like r2_k3_s22_e6_i16_o24_se0.25")
        part = match.groupdict()
        if part["s1"] != part["s2"]:
            raise ArchError(f"block string {block!r}: strides differ between height and width")
        if stages and int(part["inputs"]) != stages[-1].channels:
            raise ArchError(f"block string {block!r}: takes {part['inputs']} channels, gets {stages[-1].channels}")
        stages.append(
            StageSpec(
                op=part["op"] or "mbconv",
                kernel=int(part["kernel"]),
                stride=int(part["s1"]),
                expand=int(part["expand"]),
                se=float(part["se"] or 0),
                skip=_NAMES[part["skip"]],
                channels=int(part["channels"]),
                layers=int(part["layers"]),
                inner=float(part["inner"] or 0.25),
                groups=int(part["groups"] or 1),
            )
        )
    return tuple(stages)


def format_blocks(arch: ArchSpec) -> str:
    """The stages as block strings separated by spaces; `parse_blocks` gives the same stages back."""
    blocks = []
    inputs = arch.stem.channels
    for stage in arch.stages:
        text = (
            f"r{stage.layers}_k{stage.kernel}_s{stage.stride}{stage.stride}_e{stage.expand}_i{inputs}_o{stage.channels}"
        )
        parts = (
            f"se{stage.se!r}" if stage.se else None,
            f"w{stage.inner!r}" if stage.inner != 0.25 else None,
            f"g{stage.groups}" if stage.groups != 1 else None,
            _SKIPS[stage.skip],
            stage.op if stage.op != "mbconv" else None,
        )
        blocks.append("_".join([text, *filter(None, parts)]))
        inputs = stage.channels
    return " ".join(blocks)
