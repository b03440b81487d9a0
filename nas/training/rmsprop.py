"""RMSProp in TensorFlow's form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from nas.training.group_optimizer import GroupOptimizer, gradients_of


class RMSProp(GroupOptimizer):
    """RMSProp as TensorFlow 1 computes it, which EfficientNet was trained with.

        square = decay * square + (1 - decay) * gradient^2          (from 1)
        moment = momentum * moment + rate * gradient / sqrt(square + eps)   (from 0)
        weight = weight - moment

    torch.optim.RMSprop has epsilon outside the root, squares from 0 and the rate outside the moment. Weight decay is
    added to the gradient.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        decay: float = 0.9,
        momentum: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        )

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"square": torch.ones_like(weight), "moment": torch.zeros_like(weight)}
        squares = [self.state[weight]["square"] for weight in weights]
        moments = [self.state[weight]["moment"] for weight in weights]
        gradients = gradients_of(weights)
        if group["weight_decay"]:
            gradients = list(torch._foreach_add(gradients, weights, alpha=group["weight_decay"]))
        torch._foreach_mul_(squares, group["decay"])
        torch._foreach_addcmul_(squares, gradients, gradients, 1 - group["decay"])
        roots = torch._foreach_add(squares, group["eps"])
        torch._foreach_sqrt_(roots)
        torch._foreach_mul_(moments, group["momentum"])
        torch._foreach_addcdiv_(moments, gradients, roots, group["lr"])
        torch._foreach_sub_(weights, moments)
