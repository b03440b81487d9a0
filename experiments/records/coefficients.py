"""coefficients.json: what the coefficient search found, and all of its points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from experiments.records.record import Record
from experiments.records.values import ABSENT, FLAT, KEY, Amount, Count, Share, Within
from scaling_search import Analysis, Coefficients, CoefficientSearch, ScalingPoint, Shares
from scaling_search.search import PointResult
from scaling_search.size_drift import FIRST, BestShares, coefficients_by_size
from scaling_search.surface.noise import Noise

Growth = Annotated[float, Within(1)]


@dataclass(frozen=True)
class PointFigures:
    """One network of the search: its coefficients, nominal and counted cost in baselines, realised shares, counts."""

    alpha: Growth
    beta: Growth
    gamma: Growth
    nominal_cost: float
    realised_cost: float
    share_depth: float
    share_width: float
    share_resolution: float
    resolution: int
    macs: int
    params: int
    arch_id: str

    @classmethod
    def of(cls, point: ScalingPoint) -> PointFigures:
        asked = point.coefficients
        return cls(
            asked.depth, asked.width, asked.resolution, point.nominal_cost, point.cost, *point.shares,
            point.arch.resolution, point.macs, point.params, point.arch_id,
        )  # fmt: skip


@dataclass(frozen=True)
class BestPoint:
    """The point that is best by mean over n seeds; accuracy_std: None for one seed."""

    point: PointFigures = field(metadata=FLAT)
    accuracy: Share | None
    accuracy_std: Amount | None
    n: Count


@dataclass(frozen=True)
class GridPoint:
    """A point after trainings of `epochs`. settings_merged: how many settings build it; failures: of its trainings."""

    point: PointFigures = field(metadata=FLAT)
    epochs: Count
    settings_merged: Count
    accuracy: Share | None
    accuracy_std: Amount | None
    n: Count
    failures: Count

    @classmethod
    def of(cls, result: PointResult, epochs: int) -> GridPoint:
        merged = len(result.point.merged)
        figures = PointFigures.of(result.point)
        return cls(figures, epochs, merged, result.mean, result.spread, result.n, result.failures)


@dataclass(frozen=True)
class Alternative:
    """The optimum against another division of the same growth: see `scaling_search.verdict.Comparison`."""

    other: str = field(metadata={KEY: "with"})
    gain: float
    low: float
    high: float
    clear: bool
    more: Count | None


@dataclass(frozen=True)
class SurfaceFacts:
    """How certain an analysis is: see `scaling_search.Analysis`."""

    comparisons: tuple[Alternative, ...]
    model: str
    flatness_p: float
    lack_of_fit_p: float | None
    noise: Noise | None
    on_edge: tuple[str, ...]

    @classmethod
    def of(cls, analysis: Analysis) -> SurfaceFacts:
        compared = (Alternative(c.name, c.gain, c.low, c.high, c.clear, c.more) for c in analysis.comparisons)
        return cls(
            tuple(compared), analysis.model, analysis.flatness, analysis.lack_of_fit, analysis.noise, analysis.on_edge
        )


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the trainings of one length say. intervals: 90 % of alpha, beta, gamma; they, the verdict's lines and the
    surface are missing where too few points were trained for an analysis."""

    alpha: Growth
    beta: Growth
    gamma: Growth
    shares: Shares | None = field(default=None, metadata=ABSENT)
    best_point: BestPoint | None = field(default=None, metadata=ABSENT)
    trainings: Count | None = field(default=None, metadata=ABSENT)
    intervals: Mapping[str, tuple[float, float]] | None = None
    verdict: tuple[str, ...] = ()
    surface: SurfaceFacts | None = field(default=None, metadata=FLAT)

    @property
    def coefficients(self) -> Coefficients:
        return Coefficients(self.alpha, self.beta, self.gamma)

    @classmethod
    def of(cls, found: CoefficientSearch) -> Finding:
        growth, best, analysis = found.coefficients, found.best, found.analysis
        ends = {} if analysis is None else {name: (end.low, end.high) for name, end in analysis.intervals.items()}
        return cls(
            alpha=growth.depth,
            beta=growth.width,
            gamma=growth.resolution,
            shares=growth.shares,
            best_point=BestPoint(PointFigures.of(best.point), best.mean, best.spread, best.n),
            trainings=sum(result.n for result in found.results),
            intervals=ends or None,
            verdict=() if analysis is None else tuple(analysis.verdict),
            surface=None if analysis is None else SurfaceFacts.of(analysis),
        )


@dataclass(frozen=True, kw_only=True)
class CoefficientsRecord(Record):
    """The finding of the longest trainings (of `epochs`), which the family is grown by, and those of all `lengths`.

    points: the layout; baseline: its architecture id; drift: how the optimum moves with the length, in a sentence;
    cautions: what weakens the result, a line each; grid: every point at every length; by_size: the best shares that a
    family of the rule `adaptive` follows, None where it grows by the finding alone.
    """

    FILE = "coefficients.json"
    WHAT = "the coefficients of a run"

    finding: Finding = field(metadata=FLAT)
    points: str | None = field(default=None, metadata=ABSENT)
    baseline: str | None = field(default=None, metadata=ABSENT)
    recipe: str | None = field(default=None, metadata=ABSENT)
    epochs: Count | None = field(default=None, metadata=ABSENT)
    drift: str | None = None
    cautions: tuple[str, ...] = ()
    lengths: Mapping[str, Finding] | None = field(default=None, metadata=ABSENT)
    grid: tuple[GridPoint, ...] = ()
    by_size: tuple[BestShares, ...] | None = field(default=None, metadata=ABSENT)

    @property
    def rule_line(self) -> list[str]:
        """That the family is adaptive, in a line; none where it is not."""
        adaptive = "the family grows by these up to phi 1, and beyond by the best shares of each size that are expected"
        return [adaptive] if self.by_size else []

    def at(self, phi: float) -> Coefficients:
        """What the family grows by, all in all, to reach 2^phi times the cost."""
        return coefficients_by_size(self.by_size, phi) if self.by_size and phi > FIRST else self.finding.coefficients
