"""The peak of live activations: the most memory that one image's tensors take at any moment.

A tensor lives from the step that writes it to the last that reads it, both included; the image lives until it was read.
Norms and activations overwrite what they read, as they do where a device has them merged into the convolution before,
unless a later step needs that too; every other step writes a new tensor. What a device sets aside beside that (a
convolution's own buffers, tables) is its own affair.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from search_spaces.arch import ArchSpec
from search_spaces.assembly import head_layers, stem_layers, styled_layers
from search_spaces.checks import integer
from search_spaces.cost import Shape, input_shape, layer_cost
from search_spaces.layers import Seq
from search_spaces.memory.precision import INT8, bytes_of
from search_spaces.memory.steps import Listing, Step, Written, steps_of, steps_of_blocks
from search_spaces.ops import Stage
from search_spaces.ops.base.stage import Style

Live = Written


class Peak(NamedTuple):
    """The moment at which most is live: during a step of `block` (from 1; 0 outside of stages), which writes the last
    of the tensors `live`. values: of all of them."""

    values: int
    block: int
    live: tuple[Live, ...]

    @property
    def place(self) -> str:
        """Such as "block 1, depthwise 3x3 convolution"."""
        return f"block {self.block}, {self.live[-1].by}" if self.block else self.live[-1].by


class PartPeak(NamedTuple):
    """Stem, a stage or the head, by name, and its peak."""

    name: str
    peak: Peak


def count_ram(arch: ArchSpec, resolution: int | None = None, num_classes: int = 1000, precision: str = INT8) -> int:
    """Bytes of the peak of live activations for one image of `resolution` pixels (the arch's own when None), in
    `precision` (a key of BYTES).

    Raises ArchError where an argument is out of range, and ValueError where the image is too small.
    """
    return bytes_of(precision) * max(part.peak.values for part in part_peaks(arch, resolution, num_classes))


def part_peaks(arch: ArchSpec, resolution: int | None = None, num_classes: int = 1000) -> list[PartPeak]:
    """The peaks of stem, every stage and head, in order; the network's is the largest, for what leaves one part is all
    that the next one needs."""
    integer("num_classes", num_classes)
    shape = input_shape(arch, resolution)
    stem = stem_layers(arch)
    parts = [PartPeak("stem", _peak(steps_of(stem, shape)))]
    shape = layer_cost(stem, shape)[1]
    style, padding = arch.style, arch.padding
    for i, stage in enumerate(arch.stages, 1):
        peak, shape = _stage_peak(stage, shape, style, padding)
        parts.append(PartPeak(f"stage {i}", peak))
    parts.append(PartPeak("head", _peak(steps_of(head_layers(arch, num_classes), shape))))
    return parts


@lru_cache(maxsize=1 << 14)  # a search counts many networks that differ in one stage
def _stage_peak(stage: Stage, shape: Shape, style: Style, padding: str) -> tuple[Peak, Shape]:
    layers = styled_layers(stage, shape.channels, style, padding)
    assert isinstance(layers, Seq)
    return _peak(steps_of_blocks(layers, shape)), layer_cost(layers, shape)[1]


def _peak(listing: Listing) -> Peak:
    """Of all moments of the steps, the first at which most is live."""
    last = {tensor: i for i, step in enumerate(listing.steps) for tensor in step.reads}
    last[listing.output] = len(listing.steps)
    alive, most, found = [0], 0, (listing.steps[0], [0])
    for i, step in enumerate(listing.steps):
        gone = [tensor for tensor in alive if last[tensor] == i]
        taken = gone if step.overwrites else []
        moment = [tensor for tensor in alive if tensor not in taken] + [step.writes]
        values = sum(listing.tensors[tensor].values for tensor in moment)
        if values > most:
            most, found = values, (step, moment)
        alive = [tensor for tensor in moment if tensor not in gone]
    return _told(listing, most, *found)


def _told(listing: Listing, values: int, step: Step, moment: list[int]) -> Peak:
    return Peak(values, step.block, tuple(listing.tensors[tensor] for tensor in moment))
