"""What a search is about: target, objective and space, from what is asked and what the run folder holds already."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from experiments.errors import UserError, from_user
from experiments.run.context import RunContext
from experiments.run.naming import resolve_space, resolve_target
from nas.score import Score
from search_spaces import SPACES, ArchSpec, SearchSpace
from search_spaces.spaces import SIZES, around_space
from search_spaces.spaces.equal_cost import MOST

STUDY = "discover"
"""The search's study and step."""
DEFAULT_SPACE = "macro"
_DRAWN = 64
_ENLARGED = (3, 2)
"""Times as many pixels as images have, where networks begin with weights of larger images."""


@dataclass(frozen=True)
class Search:
    """What a discovery is about: the objective, the space, the MACs it was fitted to, and those that are wanted."""

    score: Score
    space: SearchSpace
    fitted_to: int
    target_macs: int
    max_macs: int | None


def plan_search(run: RunContext) -> Search:
    """Resolve target and space. A folder's space keeps the target it was first fitted to, so that another target only
    rescores. Raises UserError for what the user can mend.
    """
    settings = run.settings
    target = resolve_target(settings.figures.target_macs, run.resolution, run.num_classes)
    with from_user():
        score = settings.search.score_at(target)
    # Trials of one study must mean the same networks, so the space keeps the target that it was fitted to at first.
    begun = run.folder.journal(STUDY).exists()
    before = run.folder.read().space if begun else None
    fitted_to = target if before is None else before.fitted_to
    space = run.problem.space or _space(run, fitted_to)
    return Search(score, space, fitted_to, target, _max_macs(run, space))


def typical_arch(run: RunContext) -> ArchSpec:
    """A network of the run's space, in place of the one that is not found yet. Raises UserError where there is none."""
    space = plan_search(run).space
    drawn = map(space.params, space.sample(np.random.default_rng(0), _DRAWN))
    for params in (*space.starts, *drawn):
        with suppress(ValueError):
            return space.decode(params)
    raise UserError(f"no network of the space {space.name} can be built at this target")


def _space(run: RunContext, target_macs: float) -> SearchSpace:
    asked, parent, sized = run.settings, run.problem.parent, run.settings.figures.cost != "macs"
    if parent is not None:
        with from_user(f"--inherit {parent.name}"):
            sizes = {"sizes": SIZES} if sized else {}
            return around_space(parent.arch, target_macs, _pixels(run), num_classes=run.num_classes, **sizes)
    held = run.folder.read().space_name
    name = asked.search.space or (held if held in SPACES else DEFAULT_SPACE)
    return resolve_space(
        name, target_macs, run.problem.resolutions, run.num_classes, input_channels=run.problem.channels, sized=sized
    )


def _pixels(run: RunContext) -> tuple[int, ...]:
    """Resolutions for parts of a parent. Small images may be enlarged, since its weights are for larger objects."""
    native = run.problem.native_size
    return (*(native * times for times in _ENLARGED if native in run.resolutions), *run.resolutions)


def _max_macs(run: RunContext, space: SearchSpace) -> int | None:
    """The bound that is asked for, where networks may be above it."""
    asked = run.settings.figures
    most = None
    if asked.max_macs is not None:
        most = resolve_target(asked.max_macs, run.resolution, run.num_classes, "--max-macs")
        _check_bound("--max-macs", most, space)
    if asked.max_cost is not None and asked.cost == "macs":
        _check_bound("--max-cost", asked.max_cost, space)
    return most if space.equal_macs is None else None


def _check_bound(option: str, most: float, space: SearchSpace) -> None:
    """Raise UserError for a bound below what networks of a space of one cost may cost."""
    if space.equal_macs is not None and most < MOST * space.equal_macs:
        raise UserError(
            f"{option} {most / 1e6:.3g}M: networks of the space {space.name} cost about "
            f"{space.equal_macs / 1e6:.3g} M, at most {MOST} times that; take --target-macs {most / MOST / 1e6:.3g}M "
            "in another --run, or --space mnasnet"
        )
