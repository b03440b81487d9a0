"""Known networks at sizes that they were not made for: the sound ways to fit one to a target, the best guess first.

Widths alone do not fit a network of 17 blocks and five strides to small images: of B0 at 32 pixels and 2 M
multiply-adds half the cost goes into stages of 2 to 6 channels. A plan says at what resolution the network runs, where
its strides are and how many of its layers it keeps; its widths are then those that meet the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from search_spaces.arch import ArchSpec
from search_spaces.fit import fit_widths, halvings, resize, strides_of, with_strides

SOUND_WIDTH = 8
"""Channels that every stage of a sound plan has at least: a guess, from networks that did well (docs/spaces.md)."""
_KEPT_WIDTH = 0.4
"""A network that reaches the target with such a share of its published widths or more keeps its published plan."""


@dataclass(frozen=True)
class NetworkPlan:
    """A network fitted to a target, and in `words` how: resolution, strides, and what was left out of it."""

    arch: ArchSpec
    words: str

    @property
    def narrowest(self) -> int:
        """Channels of the narrowest stage."""
        return min(stage.channels for stage in self.arch.stages)

    @property
    def is_sound(self) -> bool:
        """Whether no stage is too narrow to be of use."""
        return self.narrowest >= SOUND_WIDTH


def fitting_plans(
    arch: ArchSpec, resolutions: Sequence[int], target_macs: float, *, num_classes: int = 1000
) -> tuple[NetworkPlan, ...]:
    """The sound plans of `arch` for a target, the most promising first; where none is sound, the one whose narrowest
    stage is widest.

    A network that is as published at the first of the `resolutions`, but for widths of at least 40 % of the published,
    has that plan alone. Raises ValueError when no plan costs less than 1.1 times the target.
    """
    plans: dict[str, NetworkPlan] = {}
    failure = None
    for words, form in _forms(arch, resolutions):
        try:
            plan = NetworkPlan(fit_widths(form, target_macs, num_classes), words)
        except ValueError as error:
            failure = failure or error
            continue
        if form == replace(arch, resolution=resolutions[0]) and _keeps_widths(arch, plan.arch):
            return (plan,)
        plans.setdefault(plan.arch.id, plan)
    if not plans:
        raise failure or ValueError("no resolution to fit a network to")
    sound = [plan for plan in plans.values() if plan.is_sound]
    return tuple(sorted(sound, key=_promise)) or (max(plans.values(), key=lambda plan: plan.narrowest),)


def _keeps_widths(arch: ArchSpec, fitted: ArchSpec) -> bool:
    pairs = zip(fitted.stages, arch.stages, strict=True)
    return all(new.channels >= _KEPT_WIDTH * old.channels for new, old in pairs)


def _forms(arch: ArchSpec, resolutions: Sequence[int]) -> Iterator[tuple[str, ArchSpec]]:
    """`arch` at each resolution with each choice of its strides and with fewer and fewer layers, in words and as it is;
    no network twice."""
    seen = set()
    for resolution in resolutions:
        for where, strided in _strided(replace(arch, resolution=resolution)):
            for layers, shorten in (("", _whole), ("half the layers", _halved), ("one layer a stage", _bare)):
                form = shorten(strided)
                if form not in seen:
                    seen.add(form)
                    yield ", ".join(filter(None, (f"{resolution} px", where, layers))), form


def _strided(arch: ArchSpec) -> Iterator[tuple[str, ArchSpec]]:
    """`arch` with strides that leave a useful final map, in words: of too many the last, the first, or some spread
    evenly; where there are too few, with strides and stages more."""
    strides, most = strides_of(arch), halvings(arch.resolution)
    strided = [i for i, stride in enumerate(strides) if stride > 1]
    if len(strided) < most:
        yield "strides added", _extended(arch, most - len(strided))
    elif len(strided) == most:
        yield "", arch
    else:
        spread = [strided[round(i * (len(strided) - 1) / max(1, most - 1))] for i in range(most)]
        for where, kept in (("late", strided[len(strided) - most :]), ("even", spread), ("early", strided[:most])):
            chosen = [stride if i in kept else 1 for i, stride in enumerate(strides)]
            yield f"strides {where}", with_strides(arch, chosen)


def _extended(arch: ArchSpec, count: int) -> ArchSpec:
    """With `count` strides more: the stem's, if it has none, then stages like the last of twice the channels."""
    if arch.stem.stride == 1 and count:
        arch, count = replace(arch, stem=replace(arch.stem, stride=2)), count - 1
    for _ in range(count):
        last = arch.stages[-1]
        arch = replace(arch, stages=(*arch.stages, replace(last, channels=2 * last.channels, stride=2)))
    return arch


def _whole(arch: ArchSpec) -> ArchSpec:
    return arch


def _halved(arch: ArchSpec) -> ArchSpec:
    """With half the layers in every stage, rounded up."""
    return resize(arch, depth=0.5)


def _bare(arch: ArchSpec) -> ArchSpec:
    """One layer a stage, and of the stages without a stride only the first."""
    kept = [stage for i, stage in enumerate(arch.stages) if i == 0 or stage.stride > 1]
    return replace(arch, stages=tuple(replace(stage, layers=1) for stage in kept))


def _promise(plan: NetworkPlan) -> tuple[int, int]:
    """The smaller the better the guess."""
    return (-plan.arch.resolution, -sum(stage.layers for stage in plan.arch.stages))
