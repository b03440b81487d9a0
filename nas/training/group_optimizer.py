"""What our optimisers share: a step goes group by group over the weights that have a gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


class GroupOptimizer(torch.optim.Optimizer):
    """An optimiser that is made by how it moves the weights of one group."""

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient; returns what the closure does."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step_group(group, weights)
        return loss

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        """Move the weights, all of which have a gradient, by the group's options; without gradients recorded."""
        raise NotImplementedError


def gradients_of(weights: list[Tensor]) -> list[Tensor]:
    """Their gradients, all of which are there."""
    return [weight.grad for weight in weights if weight.grad is not None]
