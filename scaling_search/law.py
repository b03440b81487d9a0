"""One model of accuracy over size, shape and length of training: what the next doubling gives, and how sure that is.

For a network of 2^phi times the baseline's MACs that grew in the shares s, trained for 2^t times the longest epochs of
the coefficient search:

    accuracy = c + G S(phi, r) + T S(t, q) + X S(phi, r) S(t, q) - |phi|^b d(s) + K(phi) (a . (x - x0) + a0) + u + v + e
    S(z, r) = (1 - r^z) / (1 - r)        K(phi) = phi (phi - 1) from phi 1 on, 0 below

| symbol | meaning                                                       | prior                                    |
|--------|---------------------------------------------------------------|------------------------------------------|
| c      | the baseline's accuracy after the longest training            | flat                                     |
| G, T   | gain by the first doubling of the cost, and of the epochs     | normal: GAIN, GAIN_OF_TIME of the error |
| r, q   | what each further doubling gives of the one before            | RATIOS, RATIOS_OF_TIME                   |
| X      | how much more G is when the training is twice as long         | normal: CROSS of the error               |
| d      | how far the shares are below the best, at one doubling        | the draws of the coefficient analysis    |
| b      | how fast that grows with phi                                  | POWERS                                   |
| x, x0  | the place in the plane of shares of s, and of the best shares | (see surface/triangle.py)                |
|        | after the longest training                                    |                                          |
| a, a0  | slope and level that are added to the surface beyond the      | normal: one of SLOPES, and LEVEL of that,|
|        | first doubling, so that its top moves                         | times the mean of d over the triangle    |
| u      | a network's own deviation (rounded channels, layers), normal  | its size over the noise: DEVIATIONS      |
| v      | what a set of seeds shifts all its networks by, normal        | its size over the noise: SHIFT           |
| e      | the noise of one training, normal                             | the draws of the coefficient analysis    |

At phi = 1 the slice through the model is the surface of the coefficient analysis, draw by draw: the model adds levels
to it and never changes it. Beyond, the surface may lean, so that its top moves (`best_points`), as far as networks were
trained; for larger ones the top stays where it is, and what others are below it grows as phi^b. S is the power law of
Rosenfeld et al. (2020, A constructive prediction of the generalization error across scales) and Hoffmann et al.
(2022), whose bounded error falls by 2^-(alpha z). That a rule of scaling holds for one length of training (Bello et al.
2021, Revisiting ResNets) is why each length has its own d, and why there is X.
What enters linearly is integrated out; r, q, b and the size of u are averaged over their grids by their likelihood.
Accuracies on val say less of those on test: the sampling of both splits is one more shift.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from scaling_search.analysis import Analysis
from scaling_search.surface.linear import LinearFit
from scaling_search.surface.posterior import Indices, choose_rows
from scaling_search.surface.region import lattice_nodes
from scaling_search.surface.triangle import Floats, to_plane

DRAWS = 500
"""Models drawn: 20 of them lie beyond each end of a 90 % interval."""
GAIN = (0.06, 0.08)
GAIN_OF_TIME = (0.08, 0.10)
CROSS = (0.0, 0.03)
"""Mean and standard deviation, as parts of the mean error of the trained networks."""
SLOPES = {1.0: 0.7, 4.0: 0.3}
LEVEL = 0.5
"""Standard deviations of both parts of a, and of a0 beside it. At four times the cost a slope of 1 times the mean of d
moves the top of a round hill in the middle of the triangle by 0.06 to 0.08 in shares."""
RATIOS = {1.0: 0.15, 0.85: 0.25, 0.7: 0.25, 0.55: 0.2, 0.4: 0.15}
RATIOS_OF_TIME = {1.0: 0.1, 0.8: 0.3, 0.6: 0.3, 0.4: 0.3}
POWERS = {0.5: 0.25, 1.0: 0.3, 1.5: 0.3, 2.0: 0.15}
DEVIATIONS = {0.0: 0.4, 0.5: 0.4, 1.0: 0.2}
"""Values of the prior and their probabilities. A deviation is that of a network over one training's noise."""
ENDS = (0.04, 0.96)
"""Quantiles that are the ends of a 90 % interval: a little wider than 0.05 and 0.95, with which intervals held too
seldom on planted networks (benchmarks/scaling/forecasts.py)."""
_FLAT = 1.0  # standard deviation of c: an accuracy is in 0..1
SHIFT = (0.7, 4)
"""What a seed shifts all networks by, over the noise of one training, before it is measured; and how many seeds tell as
much."""
_LEAN = slice(4, 7)  # among the constants of the linear part: a and a0, behind c, G, T, X
_STEADY = 8  # a length's own noise is known from so many degrees of freedom as well as from all lengths together


@dataclass(frozen=True)
class TrainedSet:
    """m networks that grew out of one baseline, all trained for the same epochs, at the same seeds.

    doublings (m,): of the baseline's cost; shares (m, 3): any for the baseline itself; accuracy (m,): in 0..1, the mean
    of n (m,) trainings. seeds: how many there are, or as many as their shift is to count for. elsewhere: measured on
    another split than that which is forecast.
    """

    epochs: float
    doublings: Floats
    shares: Floats
    accuracy: Floats
    n: Floats
    seeds: float
    elsewhere: bool = False

    def joined(self, other: TrainedSet) -> TrainedSet:
        """With the networks of another set of the same epochs, seeds and split."""
        return replace(
            self,
            doublings=np.concatenate([self.doublings, other.doublings]),
            shares=np.concatenate([self.shares, other.shares]),
            accuracy=np.concatenate([self.accuracy, other.accuracy]),
            n=np.concatenate([self.n, other.n]),
        )


@dataclass(frozen=True)
class Forecast:
    """An expected accuracy (the median) and the ends of its 90 % interval, all in 0..1."""

    expected: float
    low: float
    high: float

    def __contains__(self, accuracy: float) -> bool:
        return self.low <= accuracy <= self.high


@dataclass(frozen=True)
class Law:
    """Equally likely models, k of them.

    constants (k, 4): c, G, T, X; lean (k, 3): a and a0; ratio, ratio_of_time, power (k,): r, q and b; deviation, noise,
    shift (k,): the standard deviations of u, of e, and of v for one seed. longest: the epochs at which t is 0; largest:
    phi of the largest network that was trained. lack_of_fit: the probability of residuals as large as these, were the
    model true; below 0.05 do not trust the intervals. rows: which draws of the analysis of each length go with the
    models.
    """

    analyses: Mapping[int, Analysis]
    rows: Mapping[int, Indices]
    constants: Floats
    lean: Floats
    ratio: Floats
    ratio_of_time: Floats
    power: Floats
    deviation: Floats
    noise: Floats
    shift: Floats
    longest: int
    largest: float
    lack_of_fit: float

    def accuracy(self, doublings: Floats, shares: Floats, epochs: Floats) -> Floats:
        """(k, m): the expected accuracy of m networks, in 0..1, under each model."""
        found: Floats = np.clip(self._accuracy(doublings, shares, epochs), 0, 1)
        return found

    def _accuracy(self, doublings: Floats, shares: Floats, epochs: Floats) -> Floats:
        """The same before it is held between 0 and 1."""
        size = saturating(doublings, self.ratio[:, None])
        time = saturating(np.log2(epochs / self.longest), self.ratio_of_time[:, None])
        basis = np.stack([np.ones_like(size), size, time, size * time])
        level = np.einsum("kp,pkm->km", self.constants, basis)
        within = np.minimum(doublings, self._reach)
        shape = self._shape(within, shares, epochs)
        found: Floats = level + self.lean[:, 2:] * _lean(within) + shape
        larger = doublings > self._reach
        if larger.any():
            grown = (doublings[larger] / self._reach) ** self.power[:, None] - 1
            found[:, larger] -= grown * (self._top(epochs[larger]) - shape[:, larger])
        return found

    @property
    def _reach(self) -> float:
        """phi up to which the top moves."""
        return max(1.0, self.largest)

    def _shape(self, doublings: Floats, shares: Floats, epochs: Floats) -> Floats:
        """(k, m): the part that depends on the shares."""
        below = _below(self.analyses, self.rows, shares, epochs)
        away = to_plane(shares) - _best(self.analyses)
        found: Floats = (
            self.lean[:, :2] @ (_lean(doublings) * away.T) - np.abs(doublings) ** self.power[:, None] * below
        )
        return found

    def _top(self, epochs: Floats) -> Floats:
        """(k, m): the highest of `_shape` over the triangle, at the largest size to which the top moves."""
        nodes = lattice_nodes()
        each = np.ones(len(nodes))
        tops = {
            length: self._shape(self._reach * each, nodes, length * each).max(axis=1, initial=0.0)
            for length in set(epochs.tolist())
        }
        return np.stack([tops[length] for length in epochs.tolist()], axis=1)

    def best_points(self, phi: float, epochs: float) -> Floats:
        """(k, 2): where in the plane of shares a network of 2^phi times the cost is best, under each model."""
        nodes = lattice_nodes()
        each = np.ones(len(nodes))
        best: Floats = to_plane(nodes[self._accuracy(phi * each, nodes, epochs * each).argmax(axis=1)])
        return best

    def trained(self, doublings: Floats, shares: Floats, epochs: Floats, n: int = 1) -> Floats:
        """(k, m): the mean of n trainings of each of m networks at new seeds, drawn once under each model."""
        expected = self.accuracy(doublings, shares, epochs)
        spread = np.sqrt(self.deviation**2 + (self.noise**2 + self.shift**2) / n)
        drawn = expected + spread[:, None] * np.random.default_rng(0).normal(size=expected.shape)
        return np.clip(drawn, 0, 1)

    def forecast(self, doublings: Floats, shares: Floats, epochs: Floats, n: int = 1) -> list[Forecast]:
        """What the mean of n trainings of each of m networks will be."""
        ends = np.quantile(self.trained(doublings, shares, epochs, n), [0.5, *ENDS], axis=0)
        return [Forecast(*map(float, each)) for each in ends.T]


def fit_law(
    sets: Sequence[TrainedSet], analyses: Mapping[int, Analysis], images: Sequence[int] = (), *, seed: int = 0
) -> Law:
    """The model given sets of trained networks, and the analyses of the coefficient search by their epochs.

    sets: the first of the longest analysed length is the one that was analysed. images: where forecasts are for another
    split, the numbers of images of both. Raises ValueError without an analysis or a network, and where a figure is not
    finite.
    """
    if not analyses or not any(len(each.accuracy) for each in sets):
        raise ValueError("a model of accuracy needs trained networks and an analysis of the coefficient search")
    data = _Data.of(sets, max(analyses))
    generator = np.random.default_rng(seed)
    rows = {epochs: generator.permutation(_count(each))[:DRAWS] for epochs, each in analyses.items()}
    noise = _noise(analyses[data.longest], rows[data.longest])
    shift = _shift(analyses[data.longest], noise, data.seeds_of_longest, generator)
    below = _below(analyses, rows, data.shares, data.epochs)
    error = max(0.01, 1 - data.mean)
    means = np.array([data.mean, *(error * mean for mean, _ in (GAIN, GAIN_OF_TIME, CROSS))])
    sampled = (data.mean * (1 - data.mean) * sum(1 / count for count in images)) ** 0.5
    away = np.column_stack([to_plane(data.shares) - _best(analyses), np.ones(len(data.accuracy))])
    leaning = _lean(data.doublings)[:, None] * away
    nodes = lattice_nodes()
    height = _below(analyses, rows, nodes, np.full(len(nodes), float(data.longest))).mean(axis=1)
    spreads = np.column_stack([
        np.tile([_FLAT, *(error * spread for _, spread in (GAIN, GAIN_OF_TIME, CROSS))], (len(noise), 1)),
        np.maximum(height, 1e-6)[:, None] * [1.0, 1.0, LEVEL],
        shift[:, None] / data.seeds**0.5,
        np.full((len(noise), 1), max(sampled, 1e-9)),
    ])  # fmt: skip
    relative = _relative_noise(analyses, data.epochs)
    grid = list(itertools.product(*(each.items() for each in (RATIOS, RATIOS_OF_TIME, POWERS, DEVIATIONS, SLOPES))))
    fits, priors = [], []
    for (ratio, p_ratio), (slower, p_slower), (power, p_power), (deviation, p_deviation), (slope, p_slope) in grid:
        wide = spreads.copy()
        wide[:, _LEAN] *= slope
        size, length = saturating(data.doublings, ratio), saturating(data.time, slower)
        curves = np.column_stack([np.ones_like(size), size, length, size * length])
        values = data.accuracy + np.abs(data.doublings) ** power * below - curves @ means
        variances = relative**2 / data.n + deviation**2
        fits.append(LinearFit.of(np.hstack([curves, leaning, data.shifts]), values, variances, noise, wide))
        priors.append(np.log(p_ratio * p_slower * p_power * p_deviation * p_slope))
    likelihood = np.stack([fit.log_likelihood for fit in fits]) + np.array(priors)[:, None]
    chosen, draw = choose_rows(likelihood, generator), np.arange(len(noise))
    centre = np.stack([fit.centre for fit in fits])[chosen, draw]
    root = np.linalg.cholesky(np.stack([fit.covariance for fit in fits])[chosen, draw])
    drawn = centre + np.einsum("kij,kj->ki", root, generator.normal(size=centre.shape))
    squares = np.stack([fit.squares for fit in fits])[chosen, draw]
    settings = np.array([[value for value, _ in each] for each in grid])[chosen]
    return Law(
        analyses=analyses,
        rows=rows,
        constants=means + drawn[:, :4],
        lean=drawn[:, _LEAN],
        ratio=settings[:, 0],
        ratio_of_time=settings[:, 1],
        power=settings[:, 2],
        deviation=settings[:, 3] * noise,
        noise=noise,
        shift=shift,
        longest=data.longest,
        largest=float(data.doublings.max()),
        lack_of_fit=float(stats.chi2.sf(squares, max(1, len(data.accuracy) - 1)).mean()),  # c is flat
    )


@dataclass(frozen=True)
class _Data:
    """All networks of all sets: columns (m,), shares (m, 3), and which shifts they have (m, sets + 1): that of
    their seeds, and that of the split."""

    doublings: Floats
    shares: Floats
    epochs: Floats
    accuracy: Floats
    n: Floats
    shifts: Floats
    seeds: Floats
    longest: int
    seeds_of_longest: float

    @classmethod
    def of(cls, sets: Sequence[TrainedSet], longest: int) -> _Data:
        sizes = [len(each.accuracy) for each in sets]
        of_split = np.repeat([float(each.elsewhere) for each in sets], sizes)
        found = cls(
            doublings=np.concatenate([each.doublings for each in sets]),
            shares=np.concatenate([each.shares for each in sets]),
            epochs=np.repeat([float(each.epochs) for each in sets], sizes),
            accuracy=np.concatenate([each.accuracy for each in sets]),
            n=np.concatenate([each.n for each in sets]),
            shifts=np.column_stack([np.repeat(np.eye(len(sets)), sizes, axis=0), of_split]),
            seeds=np.array([each.seeds for each in sets]),
            longest=longest,
            seeds_of_longest=next((each.seeds for each in sets if each.epochs == longest), 1.0),
        )
        columns = (found.doublings, found.time, found.accuracy, 1 / found.n, 1 / found.seeds)
        if not all(np.isfinite(column).all() for column in (*columns, found.shares)):
            raise ValueError("a model of accuracy needs costs, epochs and numbers of trainings above 0")
        return found

    @property
    def time(self) -> Floats:
        """Doublings of the epochs."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.log2(self.epochs / self.longest)

    @property
    def mean(self) -> float:
        return float(np.average(self.accuracy, weights=self.n))


def saturating(doublings: Floats, ratio: Floats | float) -> Floats:
    """S: 0 at 0 and 1 at 1; each further step of 1 adds `ratio` times the one before."""
    ratio = np.asarray(ratio, dtype=float)
    straight = np.abs(ratio - 1) < 1e-9
    safe = np.where(straight, 0.5, ratio)
    bent: Floats = np.where(straight, doublings, (1 - safe**doublings) / (1 - safe))
    return bent


def _below(analyses: Mapping[int, Analysis], rows: Mapping[int, Indices], shares: Floats, epochs: Floats) -> Floats:
    """(k, m): d, by the analysis of the length nearest to each network's."""
    lengths = sorted(analyses)
    nearest = np.abs(np.log2(epochs)[:, None] - np.log2(lengths)).argmin(axis=1)
    count = min(map(len, rows.values()))
    below = np.empty((count, len(shares)))
    for i, length in enumerate(lengths):
        mine = nearest == i
        if mine.any():
            below[:, mine] = analyses[length].draws.below_peak(to_plane(shares[mine]))[rows[length][:count]]
    return below


def _lean(doublings: Floats) -> Floats:
    """K."""
    size: Floats = np.maximum(doublings, 1.0)
    return size * (size - 1)


def _best(analyses: Mapping[int, Analysis]) -> Floats:
    """(2,): x0."""
    return to_plane(np.array(analyses[max(analyses)].shares))


def _count(analysis: Analysis) -> int:
    return len(analysis.draws.best_points())


def _noise(analysis: Analysis, rows: Indices) -> Floats:
    """(k,): the standard deviation of one training beside others of its seed."""
    drawn = getattr(analysis.draws, "noise", None)
    if drawn is None:
        drawn = np.full(_count(analysis), 0.0 if analysis.noise is None else analysis.noise.own)
    noise: Floats = np.maximum(drawn[rows], 1e-5)
    return noise


def _shift(analysis: Analysis, noise: Floats, seeds: float, generator: np.random.Generator) -> Floats:
    """(k,): the standard deviation of what a seed shifts all networks by. A few seeds tell little of it."""
    expected, worth = SHIFT
    measured = 0.0 if analysis.noise is None else analysis.noise.shared
    squares = (seeds - 1) * measured**2 + worth * (expected * noise) ** 2
    shift: Floats = np.sqrt(squares / generator.chisquare(seeds - 1 + worth, len(noise)))
    return shift


def _relative_noise(analyses: Mapping[int, Analysis], epochs: Floats) -> Floats:
    """(m,): each length's noise over the longest one's, drawn towards 1 by how little is known of it."""
    base = analyses[max(analyses)].noise
    relative = {}
    for length, analysis in analyses.items():
        own = analysis.noise
        if base is None or own is None or base.own <= 0:
            relative[length] = 1.0
        else:
            relative[length] = float(np.sqrt((own.dof * (own.own / base.own) ** 2 + _STEADY) / (own.dof + _STEADY)))
    lengths = sorted(relative)
    nearest = np.abs(np.log2(epochs)[:, None] - np.log2(lengths)).argmin(axis=1)
    return np.array([relative[lengths[i]] for i in nearest])
