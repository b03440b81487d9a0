"""From the accuracies of the trained points to the best shares, how sure they are, and what that means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from scaling_search.coefficients import Coefficients, Shares
from scaling_search.surface.gaussian_process import draw_functions
from scaling_search.surface.hills import Hills, prior_hills
from scaling_search.surface.noise import FlatnessTest, Noise, lack_of_fit, noise_components
from scaling_search.surface.posterior import Evidence, SurfaceDraws, draw_surfaces, evidence, least_squares
from scaling_search.surface.region import Region, highest_density_region, lattice_nodes
from scaling_search.surface.triangle import Floats, to_plane, to_shares
from scaling_search.verdict import ALTERNATIVES, Comparison, compare, sentence

COST_SPREAD = 0.05
"""Standard deviation of the points' realised cost, in doublings, above which its effect on accuracy is fitted too."""
FLAT_HILLS = 600
"""Hills of the prior over which the test of a flat surface averages: it is exact with any number."""
MISFIT = 0.01
"""p-value of the lack-of-fit test below which a Gaussian process takes the hill's place."""
EDGE = 0.02
"""A share below this is as good as none: networks come in larger steps."""


@dataclass(frozen=True)
class Interval:
    """Both ends of a 90 % interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Analysis:
    """What the trainings say.

    shares: the expected place of the optimum (posterior mean); coefficients: the same for a doubling of cost, with
    90 % `intervals` under alpha, beta, gamma. region: where the optimum is with 90 % probability. flatness: p-value of
    "nothing differs". lack_of_fit: p-value of "one smooth hill explains the points", None when it cannot be tested.
    model: "hill", or "gaussian process" where the hill does not fit (then shares are where its median is highest).
    noise: None without repeated points. surface (861,): the accuracy (median), relative to that at `shares`, at
    `region.lattice_nodes()`. on_edge: the dimensions whose share may well be nothing.
    """

    shares: Shares
    coefficients: Coefficients
    intervals: Mapping[str, Interval]
    region: Region
    comparisons: tuple[Comparison, ...]
    flatness: float
    lack_of_fit: float | None
    model: str
    noise: Noise | None
    trainings: int
    surface: Floats
    on_edge: tuple[str, ...]
    draws: SurfaceDraws

    @property
    def verdict(self) -> list[str]:
        """One plain sentence per alternative."""
        return [sentence(comparison, self.trainings) for comparison in self.comparisons]


@dataclass(frozen=True)
class Trainings:
    """All trainings of one fidelity: (m, 3) realised shares, (m, seeds) accuracies in 0..1, NaN where there is none,
    and the (m,) realised costs as ratios to the baseline."""

    shares: Floats
    accuracy: Floats
    costs: Floats

    @property
    def points(self) -> Floats:
        return to_plane(self.shares)

    @property
    def covariate(self) -> Floats | None:
        """Doublings of cost beyond the points' mean; None where they cost much the same."""
        excess = np.log2(self.costs) - np.log2(self.costs).mean()
        return excess if excess.std() > COST_SPREAD else None

    def trained(self) -> Trainings:
        """Without the points that have no accuracy at all."""
        rows = (~np.isnan(self.accuracy)).any(axis=1)
        return Trainings(self.shares[rows], self.accuracy[rows], self.costs[rows])


def analyse(
    trainings: Trainings,
    alternatives: Mapping[str, Shares] = ALTERNATIVES,
    *,
    flat: FlatnessTest | None = None,
    seed: int = 0,
) -> Analysis:
    """Fit the hill (a Gaussian process where it does not fit) and draw all conclusions from the same draws.

    flat: a test made for these very trainings before, to save its time. Raises ValueError with too few trainings.
    """
    trainings = trainings.trained()
    data = evidence(trainings.accuracy, trainings.covariate)
    noise = noise_components(trainings.accuracy)
    surfaces = draw_surfaces(trainings.points, data, seed=seed)
    draws: SurfaceDraws = surfaces
    misfit = _misfit(surfaces.hills, trainings.points, data, noise)
    flatness = (flat or flatness_test(trainings)).p_value(data)
    hill = misfit is None or misfit >= MISFIT
    if not hill and noise is not None:
        draws = draw_functions(trainings.points, data, noise.own, seed=seed)
        flatness = min(flatness, misfit or 0.0)
    best, nodes = draws.best_points(), lattice_nodes()
    below_at_nodes = draws.median_below_peak(to_plane(nodes))
    shares = _as_shares(to_shares(best.mean(axis=0)) if hill else nodes[below_at_nodes.argmin()])
    count = int((~np.isnan(trainings.accuracy)).sum())
    at = np.vstack([to_plane(shares), to_plane(list(alternatives.values()))])
    below = draws.below_peak(at)
    gains = below[:, 1:] - below[:, :1]
    return Analysis(
        shares=shares,
        coefficients=Coefficients.from_shares(shares),
        intervals=_intervals(best),
        region=highest_density_region(best),
        comparisons=tuple(
            compare(name, other, gains[:, i], flatness, count) for i, (name, other) in enumerate(alternatives.items())
        ),
        flatness=flatness,
        lack_of_fit=misfit,
        model="hill" if hill else "gaussian process",
        noise=noise,
        trainings=count,
        surface=np.median(below[:, 0]) - below_at_nodes,
        on_edge=_on_edge(best),
        draws=draws,
    )


def flatness_test(trainings: Trainings) -> FlatnessTest:
    """The test of "nothing differs" for these trainings."""
    hills = prior_hills(np.random.default_rng(0), FLAT_HILLS)
    return FlatnessTest(hills.drops(trainings.points), trainings.accuracy, trainings.covariate)


def _misfit(hills: Hills, points: Floats, data: Evidence, noise: Noise | None) -> float | None:
    """The lack-of-fit test of the best of the drawn hills, and of the best there is where none of those would do."""
    misfit = lack_of_fit(least_squares(hills, points, data, refine=False), data, noise)
    if misfit is None or misfit >= MISFIT:
        return misfit
    return lack_of_fit(least_squares(hills, points, data, refine=True), data, noise)


def _on_edge(best: Floats) -> tuple[str, ...]:
    """The dimensions whose share the (n, 2) draws of the optimum put below EDGE one time in twenty."""
    lows = np.quantile(to_shares(best), 0.05, axis=0)
    return tuple(name for name, low in zip(Shares._fields, lows, strict=True) if low < EDGE)


def _intervals(best: Floats) -> dict[str, Interval]:
    low, high = np.quantile(np.clip(to_shares(best), 0, 1), [0.05, 0.95], axis=0)
    powers = {"alpha": 1.0, "beta": 0.5, "gamma": 0.5}
    return {
        name: Interval(float(2 ** (power * low[i])), float(2 ** (power * high[i])))
        for i, (name, power) in enumerate(powers.items())
    }


def _as_shares(values: Floats) -> Shares:
    clipped = np.clip(values, 0, 1)
    return Shares(*(float(value) for value in clipped / clipped.sum()))
