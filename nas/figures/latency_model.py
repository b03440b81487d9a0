"""A small model of latency: what a network's layers do, and how long that took on the networks that were measured."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.stats import spearmanr
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.preprocessing import StandardScaler

from search_spaces import ArchSpec, Stage, StemSpec
from search_spaces.assembly import head_layers, stage_layers, stem_layers
from search_spaces.cost import Shape, input_shape, layer_cost
from search_spaces.layers import Concat, Conv, Gate, Layer, Linear, Repeat, Residual, Seq

Floats = NDArray[np.float64]

KINDS = ("depthwise", "pointwise", "spatial", "gate", "other")
"""How layers are told apart: convolutions over one channel, over one pixel, over both; layers of a single pixel
(squeeze-excite, classifier); and all that has no weights."""
LEAST = 10
"""Networks that a model is fitted to at least."""


def leaves(layer: Layer, shape: Shape) -> Iterator[tuple[Layer, Shape, Shape]]:
    """Every layer that computes, with the shapes that enter and leave it."""
    match layer:
        case Seq(parts):
            for part in parts:
                yield from leaves(part, shape)
                shape = layer_cost(part, shape)[1]
        case Repeat(part, times):
            for _ in range(times):
                yield from leaves(part, shape)
        case Residual(body, shortcut):
            yield from leaves(body, shape)
            if shortcut is not None:
                yield from leaves(shortcut, shape)
            yield layer, shape, layer_cost(layer, shape)[1]  # the sum
        case Gate(body):
            yield from leaves(body, shape)
            yield layer, shape, shape  # the product
        case Concat(parts):
            for part in parts:
                yield from leaves(part, shape)
        case _:
            yield layer, shape, layer_cost(layer, shape)[1]


def _kind(layer: Layer, after: Shape) -> str:
    if isinstance(layer, Conv | Linear) and after.size == 1:
        return "gate"
    if isinstance(layer, Conv):
        return "depthwise" if layer.groups > 1 else "pointwise" if layer.kernel == 1 else "spatial"
    return "other"


def features(arch: ArchSpec, num_classes: int) -> Floats:
    """What the layers of each kind do: their multiply-adds, the values they read and write, their weights, and their
    number, one row of 4 * len(KINDS). Square roots: between the sums themselves, which times are nearly linear in, and
    their logarithms, in which no single network stands far from the others.
    """
    sums, shape = _sums(stem_layers(arch), input_shape(arch))
    for stage, inputs in arch.fed_stages():
        more, shape = _stage_sums(stage, inputs, shape)
        sums = sums + more
    row: Floats = np.sqrt((sums + _sums(head_layers(arch, num_classes), shape)[0]).ravel())
    return row


@lru_cache(maxsize=1 << 16)
def _stage_sums(stage: Stage, inputs: int, shape: Shape) -> tuple[Floats, Shape]:
    """A stage recurs in thousands of networks. Its activation and norms change no sum."""
    return _sums(stage_layers(ArchSpec((stage,), StemSpec(inputs)), stage, inputs), shape)


def _sums(part: Layer, shape: Shape) -> tuple[Floats, Shape]:
    """Multiply-adds, values read and written, weights and layers of each kind, shape (kinds, 4); and what leaves."""
    sums = np.zeros((len(KINDS), 4))
    for layer, before, after in leaves(part, shape):
        cost = (0, 0, 0) if isinstance(layer, Residual | Gate) else layer_cost(layer, before)[0]
        traffic = before.channels * before.size**2 + after.channels * after.size**2
        sums[KINDS.index(_kind(layer, after))] += (cost[0], traffic, cost[1], 1)
    return sums, layer_cost(part, shape)[1]


@dataclass(frozen=True, eq=False)
class Regressor:
    """A Gaussian process from features to the logarithm of a time: a linear trend, a smooth deviation from it, noise.

    process: of scaled features and of logarithms less `mean`, divided by `spread`.
    """

    scaler: StandardScaler
    process: GaussianProcessRegressor
    mean: float
    spread: float

    @classmethod
    def fit(cls, x: Floats, times: Floats) -> Regressor:
        """By maximum likelihood: features (n, d) and times (n,) above 0."""
        y, scaler = np.log(times), StandardScaler().fit(x)
        mean, spread = float(y.mean()), float(y.std()) or 1.0
        wide = np.sqrt(x.shape[1])
        kernel: Any = (
            ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(1.0, (1e-2, 1e2))
            + ConstantKernel(1.0, (1e-3, 1e3)) * RBF(wide, (0.1 * wide, 30 * wide))
            + WhiteKernel(1e-2, (1e-6, 1.0))
        )
        process = GaussianProcessRegressor(kernel, random_state=0, n_restarts_optimizer=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a bound reached is an answer here
            process.fit(scaler.transform(x), (y - mean) / spread)
        return cls(scaler, process, mean, spread)

    def predict(self, x: Floats) -> Floats:
        """The expected times (n,) of features (n, d)."""
        return self._times(self.process.predict(self.scaler.transform(x)))

    def left_out(self) -> Floats:
        """What is predicted of each network that it was fitted to from all others, in their order (Rasmussen and
        Williams 2006, eq. 5.12; the kernel stays as it is)."""
        process = self.process
        inverse = cho_solve((process.L_, True), np.eye(len(process.y_train_)))
        return self._times(process.y_train_ - process.alpha_ / np.diag(inverse))

    def most_telling(self, x: Floats, taken: Sequence[int], count: int) -> list[int]:
        """The places of `count` rows of the features (n, d), without those taken, whose measurements would tell most of
        all rows: each the one that lowers the mean variance most (Cohn 1996), given the former."""
        scaled = self.scaler.transform(x)
        noise = self.process.kernel_.k2.noise_level
        covariance = self.process.predict(scaled, return_cov=True)[1] - noise * np.eye(len(x))
        out = list(taken)
        for _ in range(count):
            gains = (covariance**2).sum(0) / (np.diag(covariance) + noise)
            gains[out] = -1.0
            best = int(gains.argmax())
            out.append(best)
            covariance = covariance - np.outer(covariance[best], covariance[best]) / (covariance[best, best] + noise)
        return out[len(taken) :]

    def _times(self, y: Floats) -> Floats:
        times: Floats = np.exp(self.mean + self.spread * y)
        return times


def spread_out(x: Floats, count: int) -> list[int]:
    """The places of `count` of the rows (n, d), n of them at least: the middlemost, then always the one that is
    farthest from those before, each feature on the scale of its deviation."""
    scaled = StandardScaler().fit_transform(x)
    out = [int((scaled**2).sum(1).argmin())]
    while len(out) < count:
        near = ((scaled[:, None] - scaled[None, out]) ** 2).sum(-1).min(1)
        out.append(int(near.argmax()))
    return out


@dataclass(frozen=True, eq=False)
class LatencyModel:
    """Latency of the networks of one space, from those of `n` of them.

    error: by how much a network's predicted latency is off, the median as a share, and rank: how well they are ranked
    (Spearman's correlation), both over the networks that were measured, each predicted from the others.
    """

    num_classes: int
    regressor: Regressor
    n: int
    error: float
    rank: float

    @classmethod
    def fit(cls, archs: Sequence[ArchSpec], latencies: Sequence[float], num_classes: int) -> LatencyModel:
        """Raises ValueError for fewer than LEAST networks, or a latency that is not above 0."""
        if len(archs) < LEAST or min(latencies) <= 0:
            raise ValueError(f"a model of latency needs at least {LEAST} networks with latencies above 0")
        x, times = np.array([features(arch, num_classes) for arch in archs]), np.asarray(latencies, float)
        regressor = Regressor.fit(x, times)
        left_out = regressor.left_out()
        error = float(np.median(np.abs(left_out / times - 1)))
        rank = float(spearmanr(left_out, times).statistic) if np.ptp(times) > 0 else 1.0
        return cls(num_classes, regressor, len(archs), error, rank)

    def __call__(self, arch: ArchSpec) -> float:
        """The expected latency of one architecture."""
        return float(self.predict([arch])[0])

    def predict(self, archs: Sequence[ArchSpec]) -> Floats:
        """The expected latencies, shape (n,), in the unit of those that it was fitted to."""
        if not archs:
            return np.zeros(0)
        return self.regressor.predict(np.array([features(arch, self.num_classes) for arch in archs]))
