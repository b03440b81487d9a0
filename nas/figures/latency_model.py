"""A small model of latency: what a network's layers do, and how long that took on the networks that were measured."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from sklearn.pipeline import Pipeline, make_pipeline
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


def features(arch: ArchSpec, num_classes: int, stages: int) -> Floats:
    """What the layers of each kind do: their multiply-adds, the values they read and write, their weights, and their
    number; then multiply-adds, values and layers of each of `stages` stages. Logarithms (of 1 + x), one row.

    A stage that the network lacks does nothing; what it has beyond them counts to the last.
    """
    table = np.zeros((stages + 2, len(KINDS), 4))  # stem, stages, head
    table[0], shape = _sums(stem_layers(arch), input_shape(arch))
    for i, (stage, inputs) in enumerate(arch.fed_stages(), 1):
        sums, shape = _stage_sums(stage, inputs, shape)
        table[min(i, stages)] += sums
    table[-1] = _sums(head_layers(arch, num_classes), shape)[0]
    row: Floats = np.log1p(np.concatenate([table.sum(0).ravel(), table[:, :, [0, 1, 3]].sum(1).ravel()]))
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
class LatencyModel:
    """Latency by a Gaussian process on the logarithms of counted features.

    Fitted to networks of one space, which have up to `stages` stages. regressor: gives the logarithm of the latency.
    """

    num_classes: int
    stages: int
    regressor: Pipeline

    @classmethod
    def fit(cls, archs: Sequence[ArchSpec], latencies: Sequence[float], num_classes: int) -> LatencyModel:
        """Raises ValueError for fewer than LEAST networks, or a latency that is not above 0."""
        if len(archs) < LEAST or min(latencies) <= 0:
            raise ValueError(f"a model of latency needs at least {LEAST} networks with latencies above 0")
        stages = max(len(arch.stages) for arch in archs)
        x = np.array([features(arch, num_classes, stages) for arch in archs])
        return cls(num_classes, stages, fit_regressor(x, np.log(np.asarray(latencies, float))))

    def __call__(self, arch: ArchSpec) -> float:
        """The expected latency of one architecture."""
        return float(self.predict([arch])[0])

    def predict(self, archs: Sequence[ArchSpec]) -> Floats:
        """The expected latencies, shape (n,), in the unit of those that it was fitted to."""
        if not archs:
            return np.zeros(0)
        x = np.array([features(arch, self.num_classes, self.stages) for arch in archs])
        out: Floats = np.exp(self.regressor.predict(x))
        return out


def fit_regressor(x: Floats, y: Floats) -> Pipeline:
    """A linear trend and a smooth deviation from it with noise, by maximum likelihood: features (n, d) to y (n,)."""
    d = x.shape[1]
    kernel: Any = (
        ConstantKernel(1.0, (1e-3, 1e3)) * DotProduct(1.0, (1e-2, 1e2))
        + ConstantKernel(1.0, (1e-3, 1e3)) * RBF(np.sqrt(d), (0.1 * np.sqrt(d), 30 * np.sqrt(d)))
        + WhiteKernel(1e-2, (1e-6, 1.0))
    )
    model = make_pipeline(
        StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True, random_state=0, n_restarts_optimizer=0)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a bound reached is an answer here
        return model.fit(x, y)
