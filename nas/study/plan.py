"""What a search is asked for, as one value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.pruners import BasePruner

from nas.evaluation import Fidelity
from nas.figures import Figure
from search_spaces import ArchSpec


class Space(Protocol):
    """What the search needs of a space; `search_spaces.SearchSpace` is one."""

    def distributions(self) -> dict[str, BaseDistribution]: ...

    def decode(self, params: Mapping[str, Any]) -> ArchSpec: ...


@dataclass(frozen=True)
class Bound:
    """An upper bound on a figure: a network above it is refused, which means that it is not trained."""

    figure: Figure
    most: float


@dataclass(frozen=True)
class SearchPlan:
    """A search: what it is over, what it is for, and how long it goes on.

    score: of a trial's value in 0..1 and of its network's first figure, or of `charge` where there is one; the larger
    the better. fidelity: of each training; method: how its value is got (see Request). trials: that the study is to
    hold in the end. figures: that are kept with each trial, under their names; `macs` and `params` must be among them.
    seed: of the trainings. bounds: in the order in which they are looked at. pruner: stops trials early by the scores
    of their epochs. It is asked by the search alone: `study.pruner` is left as it is, since samplers would see but one
    of Hyperband's brackets of trials through it.
    """

    space: Space
    score: Callable[[float, float], float]
    fidelity: Fidelity
    trials: int
    figures: tuple[Figure, ...]
    seed: int = 0
    method: str = ""
    charge: Figure | None = None
    bounds: tuple[Bound, ...] = ()
    pruner: BasePruner | None = None

    def __post_init__(self) -> None:
        missing = {"macs", "params"} - {figure.name for figure in self.figures}
        if missing:
            raise ValueError(f"figures: {' and '.join(sorted(missing))} must be among them")

    def refusal(self, arch: ArchSpec) -> str | None:
        """Why the network is not trained, in words for people; None where it keeps all bounds but those of `charge`."""
        for bound in self.bounds:
            figure = bound.figure
            if figure != self.charge and figure.of(arch) > bound.most:
                number, most = figure.number(figure.of(arch)), figure.number(bound.most)
                return f"{number} {figure.noun} are more than the bound of {most}"
        return None

    def refusal_of_charge(self, cost: float) -> str | None:
        """The same by the bounds of `charge`, of which the network has `cost`."""
        for bound in self.bounds:
            if bound.figure == self.charge and cost > bound.most:
                return f"a cost of {cost:,.6g} is more than the bound of {bound.most:,.6g}"
        return None
