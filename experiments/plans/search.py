"""What a search is about: target, objective and space, from what is asked and what the run folder holds already."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.errors import from_user
from experiments.run.context import RunContext
from experiments.run.naming import resolve_space, resolve_target
from nas.samplers import KEEP_BOUNDS
from nas.score import Score
from search_spaces import SPACES, SearchSpace

STUDY = "discover"
"""The search's study and step."""
DEFAULT_SPACE = "macro"
HEADROOM = 1.1
"""What the default space is searched up to, as a multiple of the target."""


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
    held = run.folder.read().space_name
    name = settings.search.space or (held if held in SPACES else DEFAULT_SPACE)
    space = run.problem.space or resolve_space(
        name, fitted_to, run.problem.resolutions, run.num_classes, input_channels=run.problem.channels
    )
    near_target = name == DEFAULT_SPACE and run.problem.space is None
    return Search(score, space, fitted_to, target, _max_macs(run, target, near_target=near_target))


def _max_macs(run: RunContext, target: int, *, near_target: bool) -> int | None:
    """The bound that is asked for; else, if so wished, one near the target, where MACs are what is charged for and the
    sampler knows of bounds.

    The soft score hardly minds cost, at twice the target by a twentieth of the accuracy, and a larger network is the
    easiest way to a better one.
    """
    asked, figures = run.settings.search, run.settings.figures
    if figures.max_macs is not None:
        return resolve_target(figures.max_macs, run.resolution, run.num_classes, "--max-macs")
    near_target = near_target and figures.cost == "macs" and asked.sampler in KEEP_BOUNDS
    return round(HEADROOM * target) if near_target else None
