"""One model of accuracy over size, shape and length of training: what the next doubling gives, and how sure that is.

For a network of 2^phi times the baseline's MACs that grew in the shares s, trained for 2^t times the longest epochs of
the coefficient search:

    accuracy = c + G S(phi, r) + T S(t, q) + X S(phi, r) S(t, q) - |phi|^b d(s) + u + e
    S(z, r) = (1 - r^z) / (1 - r)

| symbol | meaning                                                       | prior                                    |
|--------|---------------------------------------------------------------|------------------------------------------|
| c      | the baseline's accuracy after the longest training            | flat                                     |
| G, T   | gain by the first doubling of the cost, and of the epochs     | normal: GAIN, GAIN_OF_TIME of the error |
| r, q   | what each further doubling gives of the one before            | RATIOS, RATIOS_OF_TIME                   |
| X      | how much more G is when the training is twice as long         | normal: CROSS of the error               |
| d      | how far the shares are below the best, at one doubling        | the draws of the coefficient analysis    |
| b      | how fast that grows with phi                                  | POWERS                                   |
| u      | a network's own deviation (rounded channels, layers), normal  | its size over the noise: DEVIATIONS      |
| e      | the noise of one training, normal                             | the draws of the coefficient analysis    |

At phi = 1 the slice through the model is the surface of the coefficient analysis, draw by draw: the model adds levels
to it and never changes it. S is the power law of Rosenfeld et al. (2020, A constructive prediction of the
generalization error across scales) and Hoffmann et al. (2022), whose bounded error falls by 2^-(alpha z). That a rule
of scaling holds for one length of training (Bello et al. 2021, Revisiting ResNets) is why each length has its own d,
and why there is X.
What enters linearly is integrated out; r, q, b and the size of u are averaged over their grids by their likelihood.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from scaling_search.analysis import Analysis
from scaling_search.surface.posterior import Indices
from scaling_search.surface.triangle import Floats, to_plane

DRAWS = 500
"""Models drawn: 25 of them lie beyond each end of a 90 % interval."""
GAIN = (0.06, 0.08)
GAIN_OF_TIME = (0.08, 0.10)
CROSS = (0.0, 0.03)
"""Mean and standard deviation, as parts of the error that the data leave."""
RATIOS = {1.0: 0.15, 0.85: 0.25, 0.7: 0.25, 0.55: 0.2, 0.4: 0.15}
RATIOS_OF_TIME = {1.0: 0.1, 0.8: 0.3, 0.6: 0.3, 0.4: 0.3}
POWERS = {0.5: 0.25, 1.0: 0.3, 1.5: 0.3, 2.0: 0.15}
DEVIATIONS = {0.0: 0.4, 0.5: 0.4, 1.0: 0.2}
"""Values of the prior and their probabilities. A deviation is that of a network over one training's noise."""
_FLAT = 1.0  # standard deviation of c: an accuracy is in 0..1
_SHARED = (0.7, 4)
"""What a seed shifts all networks by, over the noise of one training, before it is measured; and how many further seeds
tell as much."""
_STEADY = 8  # a length's own noise is known from so many degrees of freedom as well as from all lengths together


@dataclass(frozen=True)
class Measurements:
    """Trained networks that grew out of one baseline, m of them; of each the doublings of cost (m,), the shares (m, 3;
    any for the baseline itself), the epochs (m,), and the mean accuracy in 0..1 (m,) of n trainings (m,)."""

    doublings: Floats
    shares: Floats
    epochs: Floats
    accuracy: Floats
    n: Floats

    def __len__(self) -> int:
        return len(self.accuracy)


@dataclass(frozen=True)
class Forecast:
    """An expected accuracy (the median) and the ends of its 90 % interval, all in 0..1."""

    expected: float
    low: float
    high: float

    def __contains__(self, accuracy: object) -> bool:
        return isinstance(accuracy, float) and self.low <= accuracy <= self.high


@dataclass(frozen=True)
class Law:
    """Equally likely models, k of them.

    constants (k, 4): c, G, T, X; ratio, ratio_of_time, power (k,): r, q and b; deviation, noise (k,): the standard
    deviations of u and e; shared (k,): of what a seed shifts all networks by. longest: the epochs at which t is 0.
    lack_of_fit: the probability of residuals as large as these, were the model true; below 0.05 do not trust the
    intervals.
    """

    analyses: Mapping[int, Analysis]
    rows: Mapping[int, Indices]
    constants: Floats
    ratio: Floats
    ratio_of_time: Floats
    power: Floats
    deviation: Floats
    noise: Floats
    shared: Floats
    longest: int
    lack_of_fit: float

    def accuracy(self, doublings: Floats, shares: Floats, epochs: Floats) -> Floats:
        """(k, m): the expected accuracy of m networks, in 0..1, under each model."""
        size = saturating(doublings, self.ratio[:, None])
        time = saturating(np.log2(epochs / self.longest), self.ratio_of_time[:, None])
        basis = np.stack([np.ones_like(size), size, time, size * time])
        level = np.einsum("kp,pkm->km", self.constants, basis)
        below = _below(self.analyses, self.rows, shares, epochs)
        found: Floats = np.clip(level - np.abs(doublings) ** self.power[:, None] * below, 0, 1)
        return found

    def trained(
        self, doublings: Floats, shares: Floats, epochs: Floats, n: int = 1, images: Sequence[int] = ()
    ) -> Floats:
        """(k, m): the mean of n trainings of each of m networks, drawn once under each model.

        images: where it is measured on another split, how many images that split has, and how many the split that the
        law was fitted on: the sampling of both adds to the spread.
        """
        expected = self.accuracy(doublings, shares, epochs)
        sampled = expected * (1 - expected) * sum(1 / count for count in images)
        spread = np.sqrt((self.deviation**2 + (self.noise**2 + self.shared**2) / n)[:, None] + sampled)
        drawn: Floats = np.clip(expected + spread * np.random.default_rng(0).normal(size=expected.shape), 0, 1)
        return drawn

    def forecast(
        self, doublings: Floats, shares: Floats, epochs: Floats, n: int = 1, images: Sequence[int] = ()
    ) -> list[Forecast]:
        """What the mean of n trainings of each of m networks will be; images: see `trained`."""
        drawn = self.trained(doublings, shares, epochs, n, images)
        ends = np.quantile(drawn, [0.5, 0.05, 0.95], axis=0)
        return [Forecast(*map(float, each)) for each in ends.T]


def fit_law(measured: Measurements, analyses: Mapping[int, Analysis], *, seed: int = 0) -> Law:
    """The model given the measurements and the analyses of the coefficient search, by their epochs.

    Raises ValueError without an analysis, or where no measurement has an accuracy.
    """
    if not analyses:
        raise ValueError("a model of accuracy needs an analysis of the coefficient search")
    if not len(measured):
        raise ValueError("a model of accuracy needs trained networks")
    generator = np.random.default_rng(seed)
    longest = max(analyses)
    rows = {epochs: generator.permutation(_count(each))[:DRAWS] for epochs, each in analyses.items()}
    noise = _noise(analyses[longest], rows[longest])
    relative = _relative_noise(analyses, measured.epochs)
    below = _below(analyses, rows, measured.shares, measured.epochs)
    error = max(0.01, 1 - float(np.average(measured.accuracy, weights=measured.n)))
    means = np.array([measured.accuracy.mean(), *(error * m for m, _ in (GAIN, GAIN_OF_TIME, CROSS))])
    spreads = np.array([_FLAT, *(error * s for _, s in (GAIN, GAIN_OF_TIME, CROSS))])
    grid = list(itertools.product(RATIOS.items(), RATIOS_OF_TIME.items(), POWERS.items(), DEVIATIONS.items()))
    time = np.log2(measured.epochs / longest)
    fits = []
    for (ratio, p_ratio), (slower, p_slower), (power, p_power), (deviation, p_deviation) in grid:
        size, length = saturating(measured.doublings, ratio), saturating(time, slower)
        basis = np.column_stack([np.ones_like(size), size, length, size * length])
        values = measured.accuracy + np.abs(measured.doublings) ** power * below
        variances = relative**2 / measured.n + deviation**2
        prior = np.log(p_ratio * p_slower * p_power * p_deviation)
        fits.append(LinearFit.of(basis, values - basis @ means, variances, noise, spreads=spreads, log_prior=prior))
    likelihood = np.stack([fit.log_likelihood for fit in fits])
    chosen = _choose(likelihood, generator)
    draw = np.arange(len(noise))
    centre = np.stack([fit.centre for fit in fits])[chosen, draw]
    root = np.linalg.cholesky(np.stack([fit.covariance for fit in fits])[chosen, draw])
    constants = means + centre + np.einsum("kij,kj->ki", root, generator.normal(size=centre.shape))
    seeds = float(measured.n[time == time.max()].mean())
    shared = _shared(analyses[longest], noise, seeds, generator)
    constants[:, 0] += shared / seeds**0.5 * generator.normal(size=len(shared))
    squares = np.stack([fit.squares for fit in fits])[chosen, draw]
    settings = np.array([[value for value, _ in each] for each in grid])[chosen]
    return Law(
        analyses=analyses,
        rows=rows,
        constants=constants,
        ratio=settings[:, 0],
        ratio_of_time=settings[:, 1],
        power=settings[:, 2],
        deviation=settings[:, 3] * noise,
        noise=noise,
        shared=shared,
        longest=longest,
        lack_of_fit=float(stats.chi2.sf(squares, len(measured)).mean()),
    )


@dataclass(frozen=True)
class LinearFit:
    """A linear model with known variances, for k draws of values and noise: log marginal likelihood and squares (k,),
    posterior centre (k, p) and covariance (k, p, p) of the constants."""

    log_likelihood: Floats
    squares: Floats
    centre: Floats
    covariance: Floats

    @classmethod
    def of(
        cls, basis: Floats, values: Floats, variances: Floats, noise: Floats, *, spreads: Floats, log_prior: float
    ) -> LinearFit:
        """basis (m, p); values (k, m), less what the prior's means give; variances (m,) in those of one training;
        noise (k,); spreads (p,) of the prior."""
        weighted = basis / variances[:, None]
        information = (basis.T @ weighted)[None] / noise[:, None, None] ** 2 + np.diag(spreads**-2.0)
        covariance = np.asarray(np.linalg.inv(information), dtype=np.float64)
        pulled = values @ weighted / noise[:, None] ** 2
        centre = np.einsum("kij,kj->ki", covariance, pulled)
        squares = (values**2 / variances).sum(axis=1) / noise**2 - (pulled * centre).sum(axis=1)
        log_determinant = np.linalg.slogdet(information)[1] + 2 * np.log(spreads).sum()
        log_determinant = log_determinant + np.log(variances).sum() + 2 * values.shape[1] * np.log(noise)
        return cls(log_prior - 0.5 * (squares + log_determinant), squares, centre, covariance)


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


def _count(analysis: Analysis) -> int:
    return len(analysis.draws.best_points())


def _noise(analysis: Analysis, rows: Indices) -> Floats:
    """(k,): the standard deviation of one training beside others of its seed."""
    drawn = getattr(analysis.draws, "noise", None)
    if drawn is None:
        drawn = np.full(_count(analysis), 0.0 if analysis.noise is None else analysis.noise.own)
    noise: Floats = np.maximum(drawn[rows], 1e-5)
    return noise


def _shared(analysis: Analysis, noise: Floats, seeds: float, generator: np.random.Generator) -> Floats:
    """(k,): the standard deviation of what a seed shifts all networks by. A few seeds tell little of it."""
    expected, worth = _SHARED
    measured = 0.0 if analysis.noise is None else analysis.noise.shared
    squares = (seeds - 1) * measured**2 + worth * (expected * noise) ** 2
    shared: Floats = np.sqrt(squares / generator.chisquare(seeds - 1 + worth, len(noise)))
    return shared


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


def _choose(log_weights: Floats, generator: np.random.Generator) -> Indices:
    """One row for each column, with probabilities in proportion to exp(log_weights)."""
    cumulative = np.cumsum(np.exp(log_weights - log_weights.max(axis=0)), axis=0)
    chosen: Indices = (generator.random(cumulative.shape[1]) * cumulative[-1] > cumulative).sum(axis=0)
    return chosen
