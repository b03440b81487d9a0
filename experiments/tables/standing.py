"""Where a run's baseline stands: beside the best of all other networks that cost no more, whoever made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.tables.differences import OTHERS, Difference, difference
from experiments.tables.frontier import SAME_COST, FrontierPoint
from experiments.wording import FOUND, in_units, percent

NOT_PRETRAINED = (
    "No pretrained network was compared. Where your classes are like those that it was trained on, it may be better: "
    "--pretrained NAME=FILE fine-tunes it (with timm installed, NAME alone)."
)
"""What is said of a frontier without one."""


@dataclass(frozen=True)
class Standing:
    """The baseline, and the most accurate of the opponents of its run that cost about as much or less."""

    own: FrontierPoint
    best: FrontierPoint

    @property
    def difference(self) -> Difference:
        return difference(self.own, self.best)

    @property
    def advised(self) -> FrontierPoint:
        """The one to take: the baseline only where it is shown to be better."""
        return self.own if self.difference.is_gain else self.best

    def sentence(self, called: str) -> str:
        """Which of the two to take, and why; the baseline called as given."""
        own, best = (
            f"{percent(each.accuracy, each.std)} at {in_units(each.macs)} multiply-adds and {in_units(each.params)} "
            "parameters" for each in (self.own, self.best)
        )  # fmt: skip
        gap, split = self.difference, f"on {self.own.split}"
        if gap.is_gain:
            return (
                f"{called[0].upper()}{called[1:]} beats {self.best.label}, the best network beside it at about its "
                f"cost or less: {own} {split} against {best}, {gap.words}."
            )
        searched = "took a search and " if called == FOUND and self.best.role != "given" else ""
        how = "which is worse" if gap.is_loss else f"which {searched}is not shown to be better"
        return f"Take {self.best.label} ({best} {split}) instead of {called} ({own}), {how}: {gap.words}."


def lacks_pretrained(placed: Standing, points: Sequence[FrontierPoint]) -> bool:
    """Whether neither a pretrained network nor parts of one are among the points."""
    return "from=" not in placed.own.recipe and not any(point.role == "pretrained" for point in points)


def standing(points: Sequence[FrontierPoint]) -> Standing | None:
    """Of a run's frontier; None where it has no baseline, or no other network to compare it with."""
    own = next((point for point in points if point.role == "baseline"), None)
    if own is None:
        return None
    others = [
        point
        for point in points
        if point.role in OTHERS
        and point.run == own.run
        and point.arch_id != own.arch_id
        and point.macs <= (1 + SAME_COST) * own.macs
    ]
    return Standing(own, max(others, key=lambda point: (point.accuracy, -point.macs))) if others else None
