"""Does a cheap figure rank networks as a long training does: Kendall's tau, its uncertainty, and what noise allows.

Rankings are compared by Kendall's tau-b. All intervals are percentile bootstraps over the candidates. The noise ceiling
follows from how well repetitions of one training (other seeds) rank alike:

- tau to a correlation r and back by Greiner's relation, tau = 2/pi asin(r) (Kendall 1949), exact where both figures
  are, but for increasing transformations, jointly normal;
- the correlation of two repetitions is the reliability of one; that of the mean of k is k r / (1 + (k - 1) r)
  (Spearman 1910, Brown 1910);
- two noisy measures of the very same thing correlate as the root of the product of their reliabilities
  (Spearman 1904, "The proof and measurement of association between two things").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from nas.evaluation import Fidelity

Floats = NDArray[np.float64]

LEVEL = 0.9
FEWEST = 4  # candidates
_RESAMPLES = 2000


@dataclass(frozen=True)
class Estimate:
    """A figure and the ends of its 90 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True)
class Short:
    """A short training. from_scratch: from random weights, where the long one begins with given ones."""

    fidelity: Fidelity
    from_scratch: bool = False

    def __str__(self) -> str:
        return say_fidelity(self.fidelity) + ", from scratch" * self.from_scratch


@dataclass(frozen=True)
class StandIn:
    """A cheap figure in place of the long training.

    fidelity: of its trainings, with accuracies averaged over `seeds` of them; None and 0 for what needs no training.
    tau: against the long training. gain: tau less that of the first figure that needs no training; None for that one.
    from_scratch: see Short.
    """

    name: str
    fidelity: Fidelity | None
    seeds: int
    tau: Estimate
    gain: Estimate | None
    from_scratch: bool | None = field(default=None, metadata={"absent": True})  # where it is

    @property
    def training(self) -> Short | None:
        return None if self.fidelity is None else Short(self.fidelity, bool(self.from_scratch))

    @property
    def cost(self) -> float:
        """Images that it sees for each candidate, in units of the training set."""
        return 0.0 if self.fidelity is None else self.seeds * images_seen(self.fidelity)


@dataclass(frozen=True)
class Ceiling:
    """How well one training of `fidelity` could rank at best, given its noise.

    repeats: tau between its own repetitions, the mean over pairs of seeds. one: the ceiling for the ranking by one
    training, mean: for that by the mean of all seeds. The noise of the long training is counted where it was repeated
    itself; where not, it is taken to have none. Against a long training as noisy as itself one can reach `repeats`.
    from_scratch: see Short.
    """

    fidelity: Fidelity
    repeats: Estimate
    one: Estimate
    mean: Estimate
    from_scratch: bool | None = field(default=None, metadata={"absent": True})  # where it is

    @property
    def training(self) -> Short:
        return Short(self.fidelity, bool(self.from_scratch))


@dataclass(frozen=True)
class Agreement:
    """What `measure_agreement` finds. long_repeats: tau between repetitions of the long training, None without."""

    stand_ins: tuple[StandIn, ...]
    ceilings: tuple[Ceiling, ...]
    long_repeats: Estimate | None

    def recommended(self, bar: float) -> StandIn | None:
        """The training that sees the fewest images of those whose tau is at least `bar`; of equals the better. Never
        one from scratch where the long one is not, since a search trains as that does."""
        enough = [
            each
            for each in self.stand_ins
            if each.fidelity is not None and not each.from_scratch and each.tau.value >= bar
        ]
        return min(enough, key=lambda each: (each.cost, -each.tau.value), default=None)


def images_seen(fidelity: Fidelity) -> float:
    """Images that one training sees, in units of the training set."""
    return fidelity.epochs * fidelity.train_fraction


def measure_agreement(
    short: Mapping[Short, Floats], free: Mapping[str, Floats], long: Floats, seed: int = 0
) -> Agreement:
    """Compare rankings of n candidates with that by the mean of their long trainings.

    short: accuracies (n, seeds) of each; free: figures (n,) that need no training, such as MACs; long: (n,
    seeds). "One seed" is the mean of tau over the seeds. Raises ValueError for fewer than FEWEST candidates.
    """
    n = len(long)
    if n < FEWEST:
        raise ValueError(f"rankings of {n} candidates say nothing; at least {FEWEST} are needed")
    sample = _Bootstrap(n, seed)
    truth = long.mean(1)
    taus: list[tuple[str, Short | None, int, Floats]] = []
    for training, values in short.items():
        taus.append((f"{training}, one seed", training, 1, sample.mean_tau((each, truth) for each in values.T)))
        if values.shape[1] > 1:
            name = f"{training}, mean of {values.shape[1]} seeds"
            taus.append((name, training, values.shape[1], sample.tau(values.mean(1), truth)))
    taus += [(f"{name} alone", None, 0, sample.tau(values, truth)) for name, values in free.items()]
    base = next((drawn for _, training, _, drawn in taus if training is None), None)
    stand_ins = tuple(
        StandIn(
            name,
            None if training is None else training.fidelity,
            seeds,
            sample.estimate(drawn),
            None if base is None or drawn is base else sample.estimate(drawn - base),
            (training is not None and training.from_scratch) or None,
        )
        for name, training, seeds, drawn in taus
    )
    long_repeats = sample.repeats(long) if long.shape[1] > 1 else None
    reliable = 1.0 if long_repeats is None else _reliability(long_repeats, long.shape[1])
    ceilings = tuple(
        _ceiling(sample, training, values, reliable) for training, values in short.items() if values.shape[1] > 1
    )
    return Agreement(stand_ins, ceilings, None if long_repeats is None else sample.estimate(long_repeats))


def say_fidelity(fidelity: Fidelity) -> str:
    """A fidelity for people."""
    epochs = f"{fidelity.epochs} epoch{'s' if fidelity.epochs > 1 else ''}"
    return epochs if fidelity.train_fraction == 1 else f"{epochs} of {100 * fidelity.train_fraction:g} % of the images"


def kendall_tau(x: Floats, y: Floats, weights: Floats) -> Floats:
    """Kendall's tau-b of x (n,) and y (n,), each pair counted as often as its members were drawn; 0 without any order.

    weights (b, n): how often each candidate was drawn in each of b samples. Returns (b,). Source: Kendall 1945.
    """
    first, second = np.sign(x[:, None] - x), np.sign(y[:, None] - y)

    def over_pairs(matrix: Floats) -> Floats:
        return np.asarray((weights @ matrix * weights).sum(1))

    ordered = np.sqrt(over_pairs(np.abs(first)) * over_pairs(np.abs(second)))
    return np.asarray(over_pairs(first * second) / np.where(ordered > 0, ordered, 1.0))


class _Bootstrap:
    """Statistics of the candidates as they are (row 0) and of samples of them drawn with replacement (the others)."""

    def __init__(self, n: int, seed: int) -> None:
        self._n = n
        self._seed = seed

    @cached_property
    def weights(self) -> Floats:
        drawn = np.random.default_rng(self._seed).multinomial(self._n, np.full(self._n, 1 / self._n), _RESAMPLES)
        return np.concatenate([np.ones((1, self._n)), drawn])

    def tau(self, x: Floats, y: Floats) -> Floats:
        return kendall_tau(x, y, self.weights)

    def mean_tau(self, pairs: Iterable[tuple[Floats, Floats]]) -> Floats:
        return np.asarray(np.mean([self.tau(x, y) for x, y in pairs], axis=0))

    def repeats(self, values: Floats) -> Floats:
        """Tau between the columns of values (n, seeds), the mean over pairs."""
        return self.mean_tau(itertools.combinations(values.T, 2))

    def estimate(self, drawn: Floats) -> Estimate:
        low, high = np.quantile(drawn[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(float(drawn[0]), float(low), float(high))


def _ceiling(sample: _Bootstrap, training: Short, values: Floats, reliable: Floats | float) -> Ceiling:
    repeats = sample.repeats(values)
    one, mean = (
        sample.estimate(_to_tau(np.sqrt(_reliability(repeats, averaged) * reliable)))
        for averaged in (1, values.shape[1])
    )
    return Ceiling(training.fidelity, sample.estimate(repeats), one, mean, training.from_scratch or None)


def _reliability(repeats: Floats, averaged: int) -> Floats:
    """Of the mean of so many trainings, from tau between single ones; 0 where these disagree."""
    one = np.sin(np.pi / 2 * np.maximum(repeats, 0))
    return np.asarray(averaged * one / (1 + (averaged - 1) * one))


def _to_tau(correlation: Floats) -> Floats:
    return np.asarray(2 / np.pi * np.arcsin(np.clip(correlation, -1, 1)))
