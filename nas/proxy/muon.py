"""Muon: steps of equal size in every direction of a weight matrix, which few-step trainings gain most from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 4
_SQUARES = 0.99


class Muon(torch.optim.Optimizer):
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
                                  "matrices": False})  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient; returns what the closure does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if not weights:
                continue
            rate = group["lr"]
            steps = self._orthogonal(group, weights) if group["matrices"] else self._adam(group, weights)
            if group["weight_decay"]:
                torch._foreach_mul_(weights, 1 - rate * group["weight_decay"])
            torch._foreach_add_(weights, steps, alpha=-rate)
        return loss

    def _moments(self, group: dict[str, Any], weights: list[Tensor]) -> list[Tensor]:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight]["moment"] = torch.zeros_like(weight)
                self.state[weight]["step"] = 0
                if not group["matrices"]:
                    self.state[weight]["square"] = torch.zeros_like(weight)
        moments = [self.state[weight]["moment"] for weight in weights]
        gradients: list[Any] = [weight.grad for weight in weights]
        torch._foreach_lerp_(moments, gradients, 1 - group["momentum"])
        return moments

    def _orthogonal(self, group: dict[str, Any], weights: list[Tensor]) -> list[Tensor]:
        gradients: list[Any] = [weight.grad for weight in weights]
        mixed = torch._foreach_lerp(gradients, self._moments(group, weights), group["momentum"])
        # Matrices of one shape are orthogonalised as one batch.
        alike: dict[tuple[int, int], list[int]] = {}
        for i, weight in enumerate(weights):
            alike.setdefault((weight.shape[0], weight[0].numel()), []).append(i)
        steps = list(mixed)
        for (rows, columns), members in alike.items():
            stacked = torch.stack([mixed[i].reshape(rows, columns) for i in members])
            scale = max(1.0, rows / columns) ** 0.5
            for i, step in zip(members, orthogonalise(stacked), strict=True):
                steps[i] = step.view(weights[i].shape).mul_(scale)
        return steps

    def _adam(self, group: dict[str, Any], weights: list[Tensor]) -> list[Tensor]:
        moments = self._moments(group, weights)
        squares = [self.state[weight]["square"] for weight in weights]
        gradients: list[Any] = [weight.grad for weight in weights]
        for weight in weights:
            self.state[weight]["step"] += 1
        counts = [self.state[weight]["step"] for weight in weights]
        torch._foreach_lerp_(squares, torch._foreach_mul(gradients, gradients), 1 - _SQUARES)
        roots = torch._foreach_div(squares, [1 - _SQUARES**count for count in counts])
        torch._foreach_sqrt_(roots)
        torch._foreach_add_(roots, group["eps"])
        steps = torch._foreach_div(moments, roots)
        torch._foreach_div_(steps, [1 - group["momentum"] ** count for count in counts])
        return list(steps)


def orthogonalise(matrices: Tensor) -> Tensor:
    """About U V^T of each matrix U S V^T in a batch (n, rows, columns): singular values come to lie near 1.

    Newton-Schulz iterations with the quintic whose slope at 0 is steep (Jordan et al. 2024).
    """
    a, b, c = _QUINTIC
    tall = matrices.shape[1] > matrices.shape[2]
    x: Tensor = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = a * x + (b * square + c * square @ square) @ x
    return x.mT if tall else x
