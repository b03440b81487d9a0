"""Feature taps: the stages whose outputs detectors and segmenters take."""

from __future__ import annotations

from typing import NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.cost import Shape, stage_costs

FINEST, COARSEST = 2, 5


class Tap(NamedTuple):
    """A level such as "P3", the stage (from 0) whose output it is, and that output's shape."""

    level: str
    stage: int
    shape: Shape


def feature_taps(arch: ArchSpec, resolution: int | None = None) -> tuple[Tap, ...]:
    """The last stage at each of the four smallest maps, from fine to coarse: P2, P3, P4 and P5.

    In a network that divides by 32 these are the maps of 1/4 to 1/32 of the image's side (Lin et al. 2017, section 3).
    The coarsest is P5 in any network; one whose stages have fewer sizes begins with a later level. Raises ValueError
    when the image is too small for the network.
    """
    rows = stage_costs(arch, resolution)[1:-1]
    last = {row.output.size: Tap("", i, row.output) for i, row in enumerate(rows)}
    taps = sorted(last.values(), key=lambda tap: tap.stage)[-(COARSEST - FINEST + 1) :]
    return tuple(tap._replace(level=f"P{COARSEST + 1 - len(taps) + i}") for i, tap in enumerate(taps))
