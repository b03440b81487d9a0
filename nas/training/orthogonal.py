"""Matrices of many shapes brought near orthogonal in a few dozen operations, as Muon does each step."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 4
_SMALLEST = 16
_TINY = 1e-14


class Orthogonaliser:
    """About scale U V^T of each matrix U S V^T that lies in one flat tensor: singular values come to lie near 1.

    Newton-Schulz iterations x <- (a + b x x^T + c (x x^T)^2) x with the quintic whose slope at 0 is steep (Jordan et
    al. 2024, "Muon"). They change x x^T by its own polynomial only, so it is enough to iterate on that small square
    matrix and to apply the product of all factors at the end.

    Matrices whose sides round up to the same powers of two are filled up with zeros, which stay zeros, and computed as
    one batch; the squares of all batches with the same shorter side are iterated as one. On a GPU a step of a small
    network takes as long as its operations are many, and hundreds of small products would mostly be overhead.

    places: per matrix where its elements (rows, columns) lie in a flat tensor of `size` elements, no two in one place.
    scales: per matrix the factor of the result. The tensors are made once, on the device of `places`.
    """

    def __init__(self, places: Sequence[Tensor], scales: Sequence[float], size: int, dtype: torch.dtype) -> None:
        device = places[0].device
        batches: dict[tuple[int, int], list[int]] = {}
        for i, place in enumerate(places):
            batches.setdefault((_side(min(place.shape)), _columns(max(place.shape))), []).append(i)
        sides = sorted(batches)
        # What is filled up is read from one more element, which holds zero.
        sources = [_packed([places[i] for i in batches[side]], side, size) for side in sides]
        self._source = torch.cat([source.flatten() for source in sources])
        self._target = torch.empty(size + 1, dtype=torch.int32, device=device)
        self._target[self._source.long()] = torch.arange(len(self._source), dtype=torch.int32, device=device)
        self._target = self._target[:size].clone()
        self._packed = torch.zeros(len(self._source), dtype=dtype, device=device)
        self._result = torch.empty_like(self._packed)
        shapes = [source.shape for source in sources]
        inputs, outputs = _views(self._packed, shapes), _views(self._result, shapes)
        self._traces = torch.empty(len(places), dtype=dtype, device=device)
        self._norms = torch.empty_like(self._traces)
        self._groups: list[_Group] = []
        start = 0
        for rows in sorted({rows for rows, _ in sides}):
            mine = [k for k, side in enumerate(sides) if side[0] == rows]
            factors = [scales[i] for k in mine for i in batches[sides[k]]]
            part = slice(start, start := start + len(factors))
            group = _Group([(inputs[k], outputs[k]) for k in mine], self._traces[part], self._norms[part], factors)
            self._groups.append(group)

    def __call__(self, values: Tensor, *, out: Tensor) -> None:
        """Write each result where its matrix lies: values (size + 1,), of which the last is zero, to out (size,)."""
        torch.index_select(values, 0, self._source, out=self._packed)
        for group in self._groups:
            group.square()
        # The trace of x x^T is the squared norm, by which x is divided to begin with.
        torch.rsqrt(self._traces.clamp_min_(_TINY), out=self._norms)
        for group in self._groups:
            group.iterate()
        torch.index_select(self._result, 0, self._target, out=out)


class _Group:
    """Batches (x, y), each (n, side, columns), with one `side`; their squares x x^T follow one another in a tensor.

    traces, norms: of the squares, and the reciprocal root of them, (n of all batches,).
    """

    def __init__(
        self, batches: Sequence[tuple[Tensor, Tensor]], traces: Tensor, norms: Tensor, scales: Sequence[float]
    ) -> None:
        side = batches[0][0].shape[1]
        self._squares = traces.new_empty(len(scales), side, side)
        self._product = torch.empty_like(self._squares)
        self._scaled = (
            torch.eye(side, dtype=traces.dtype, device=traces.device) * traces.new_tensor(scales)[:, None, None]
        )
        self._diagonals, self._traces = self._squares.diagonal(dim1=1, dim2=2), traces
        self._by_trace, self._by_norm = traces[:, None, None], norms[:, None, None]
        lengths = [len(x) for x, _ in batches]
        squares, products = torch.split(self._squares, lengths), torch.split(self._product, lengths)
        self._squaring = [(x, x.mT, own) for (x, _), own in zip(batches, squares, strict=True)]
        self._applying = [(own, x, y) for (x, y), own in zip(batches, products, strict=True)]

    def square(self) -> None:
        """From the inputs to the traces."""
        for x, transposed, square in self._squaring:
            torch.bmm(x, transposed, out=square)
        torch.sum(self._diagonals, 1, out=self._traces)

    def iterate(self) -> None:
        """From the norms to the outputs."""
        a, b, c = _QUINTIC
        squares, product = self._squares / self._by_trace, self._scaled * self._by_norm
        for _ in range(_ITERATIONS - 1):
            factor = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)  # and a times the identity
            # Polynomials of one matrix commute.
            product = torch.baddbmm(product, factor, product, beta=a)
            half = torch.baddbmm(squares, factor, squares, beta=a)
            squares = torch.baddbmm(half, half, factor, beta=a)
        factor = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)
        torch.baddbmm(product, factor, product, beta=a, out=self._product)
        for product, x, y in self._applying:
            torch.bmm(product, x, out=y)


def _side(length: int) -> int:
    """Up to the next power of two."""
    return max(_SMALLEST, 1 << (length - 1).bit_length())


def _columns(length: int) -> int:
    """Up to the next quarter of a power of two: filters of 3x3 have 9/8 of one."""
    quarter = _side(length) // 8
    return -(-max(_SMALLEST, length) // quarter) * quarter


def _packed(places: Sequence[Tensor], shape: tuple[int, int], empty: int) -> Tensor:
    """The places of a batch's elements, (n, *shape), the shorter side first; `empty` where a matrix has none."""
    batch = torch.full((len(places), *shape), empty, dtype=torch.int32, device=places[0].device)
    for row, place in zip(batch, places, strict=True):
        wide = place if place.shape[0] <= place.shape[1] else place.mT
        row[: wide.shape[0], : wide.shape[1]] = wide
    return batch


def _views(flat: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    parts = torch.split(flat, [shape.numel() for shape in shapes])
    return [part.view(shape) for part, shape in zip(parts, shapes, strict=True)]
