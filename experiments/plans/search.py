"""What a search is about: target, objective and space, from what is asked and what the run folder holds already."""

from __future__ import annotations

from dataclasses import dataclass

from experiments.errors import from_user
from experiments.run.context import RunContext
from experiments.run.naming import resolve_space, resolve_target
from nas.score import Score
from search_spaces import SearchSpace

STUDY = "discover"
"""The search's study and step."""


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
    space = run.problem.space or resolve_space(
        settings.search.space, fitted_to, run.resolution, run.num_classes, input_channels=run.problem.channels
    )
    limit = settings.figures.max_macs
    max_macs = None if limit is None else resolve_target(limit, run.resolution, run.num_classes, "--max-macs")
    return Search(score, space, fitted_to, target, max_macs)
