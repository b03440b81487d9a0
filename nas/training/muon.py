"""Muon: steps of equal size in every direction of a weight matrix, which few-step trainings gain most from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.adamw import adamw

from nas.training.group_optimizer import GroupOptimizer, gradients_of

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 4
_SQUARES = 0.99
_SMALLEST_BATCHED = 8
_TINY = 1e-7


class Muon(GroupOptimizer):
    """Orthogonalised momentum for weight matrices, Adam for all else (Jordan et al. 2024, "Muon").

    A group with `matrices` holds weights of two and more dimensions, read as (out, everything else):

        moment = momentum * moment + (1 - momentum) * gradient
        step = orthogonalise(Nesterov's mix of gradient and moment) * sqrt(max(1, rows / columns))

    The other groups go by Adam with betas (momentum, 0.99). Weight decay is decoupled: weights shrink by
    rate * weight_decay each step. torch.optim.Muon takes two-dimensional weights only, no filters.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, *, momentum: float = 0.9, weight_decay: float = 0.0, eps: float = 1e-8
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "eps": eps,
                                  "matrices": False, "fused": True})  # fmt: skip
        # `fused` lets torch put step counts beside their parameters when a state is loaded.

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        gradients = gradients_of(weights)
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"moment": torch.zeros_like(weight)}
                if not group["matrices"]:
                    self.state[weight] |= {"square": torch.zeros_like(weight), "step": weight.new_zeros(())}
        moments = [self.state[weight]["moment"] for weight in weights]
        if group["matrices"]:
            _muon(group, weights, gradients, moments)
        else:
            squares = [self.state[weight]["square"] for weight in weights]
            counts = [self.state[weight]["step"] for weight in weights]
            adamw(
                weights, gradients, moments, squares, [], counts, fused=True, amsgrad=False, beta1=group["momentum"],
                beta2=_SQUARES, lr=group["lr"], weight_decay=group["weight_decay"], eps=group["eps"], maximize=False,
            )  # fmt: skip


def _muon(group: dict[str, Any], weights: list[Tensor], gradients: list[Tensor], moments: list[Tensor]) -> None:
    torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
    mixed = torch._foreach_lerp(gradients, moments, group["momentum"])
    steps = orthogonalise([step.flatten(1) for step in mixed])
    torch._foreach_mul_(steps, [max(1.0, step.shape[0] / step.shape[1]) ** 0.5 for step in steps])
    if group["weight_decay"]:
        torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_add_(weights, [s.view(w.shape) for s, w in zip(steps, weights, strict=True)], alpha=-group["lr"])


def orthogonalise(matrices: Sequence[Tensor]) -> list[Tensor]:
    """About U V^T of each matrix U S V^T, shapes (rows, columns): singular values come to lie near 1.

    Newton-Schulz iterations x <- (a + b x x^T + c (x x^T)^2) x with the quintic whose slope at 0 is steep (Jordan et
    al. 2024). They change x x^T by its own polynomial only, so it is enough to iterate on that small square matrix and
    to apply the product of all factors at the end. Squares of nearby sizes are filled up with zeros, which stay zeros,
    and iterated as one batch: hundreds of small products would mostly be overhead.
    """
    shapes: dict[tuple[int, int], list[int]] = {}
    for i, matrix in enumerate(matrices):
        shapes.setdefault((matrix.shape[0], matrix.shape[1]), []).append(i)
    stacks = {
        shape: torch.stack([matrices[i] if shape[0] <= shape[1] else matrices[i].mT for i in members])
        for shape, members in shapes.items()
    }
    sizes: dict[int, list[tuple[int, int]]] = {}
    for shape in shapes:
        sizes.setdefault(max(_SMALLEST_BATCHED, 1 << (min(shape) - 1).bit_length()), []).append(shape)
    found = list(matrices)
    for size, alike in sizes.items():
        factors = _factors(torch.cat([_square(stacks[shape], size) for shape in alike]))
        for shape, part in zip(alike, torch.split(factors, [len(shapes[shape]) for shape in alike]), strict=True):
            steps = part[:, : min(shape), : min(shape)] @ stacks[shape]
            for i, step in zip(shapes[shape], steps.unbind(), strict=True):
                found[i] = step if shape[0] <= shape[1] else step.mT
    return found


def _square(x: Tensor, size: int) -> Tensor:
    """x x^T of (n, rows, columns), filled up with zeros to (n, size, size)."""
    return functional.pad(x @ x.mT, (0, size - x.shape[1]) * 2)


def _factors(squares: Tensor) -> Tensor:
    """What the iterations multiply x by, which is divided by its norm to begin with, from x x^T (n, size, size)."""
    a, b, c = _QUINTIC
    # The trace of x x^T is the squared norm.
    norms = squares.diagonal(dim1=1, dim2=2).sum(1).sqrt().clamp_min(_TINY)[:, None, None]
    squares = squares / norms**2
    product = 1 / norms
    for i in range(_ITERATIONS):
        factor = torch.baddbmm(squares, squares, squares, beta=b, alpha=c)
        factor.diagonal(dim1=1, dim2=2).add_(a)
        product = factor @ product if i else factor * product
        squares = factor @ squares @ factor
    return product
