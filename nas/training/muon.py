"""Muon: steps of equal size in every direction of a weight matrix, which few-step trainings gain most from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from nas.training.group_optimizer import GroupOptimizer, gradients_of
from nas.training.orthogonal import Orthogonaliser

_SQUARES = 0.99


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
        self._flats: dict[frozenset[int], _Flat] = {}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take over a state, whose moments lie wherever they were made."""
        super().__setstate__(state)
        self._flats = {}

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        if group["matrices"]:
            self._step_matrices(group, weights)
            return
        for weight in weights:
            if not self.state[weight]:
                self.state[weight] = {"moment": torch.zeros_like(weight), "square": torch.zeros_like(weight),
                                      "step": weight.new_zeros(())}  # fmt: skip
        states = [self.state[weight] for weight in weights]
        adamw(
            weights, gradients_of(weights), [state["moment"] for state in states],
            [state["square"] for state in states], [], [state["step"] for state in states], fused=True, amsgrad=False,
            beta1=group["momentum"], beta2=_SQUARES, lr=group["lr"], weight_decay=group["weight_decay"],
            eps=group["eps"], maximize=False,
        )  # fmt: skip

    def _step_matrices(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        flat = self._flat_of(weights)
        torch._foreach_copy_(flat.gradients, gradients_of(weights))
        if group["weight_decay"]:
            torch._foreach_mul_(weights, 1 - group["lr"] * group["weight_decay"])
        flat.compute_steps(group["momentum"])
        torch._foreach_add_(weights, flat.steps, alpha=-group["lr"])

    def _flat_of(self, weights: list[Tensor]) -> _Flat:
        key = frozenset(id(weight) for weight in weights)
        if key not in self._flats:
            self._flats = {other: flat for other, flat in self._flats.items() if not key & other}
            self._flats[key] = _Flat(weights, [self.state[weight].get("moment") for weight in weights])
            for weight, moment in zip(weights, self._flats[key].moments, strict=True):
                self.state[weight] = {"moment": moment}
        return self._flats[key]


class _Flat:
    """What a step of some matrices needs, each kind in one tensor, of which lists hold views shaped as the weights.

    moments: those to go on from; None where there is none yet.
    """

    def __init__(self, weights: Sequence[Tensor], moments: Sequence[Tensor | None]) -> None:
        # One more element, which stays zero, is where the orthogonaliser reads what it fills up with.
        self._gradient, self._moment, self._mixed = (
            weights[0].new_zeros(sum(weight.numel() for weight in weights) + 1) for _ in range(3)
        )
        self._step = torch.empty_like(self._gradient[:-1])
        self.gradients, self.moments, self.steps = (
            _views(flat, weights) for flat in (self._gradient, self._moment, self._step)
        )
        for own, moment in zip(self.moments, moments, strict=True):
            if moment is not None:
                own.copy_(moment)
        numbers = torch.arange(len(self._step), dtype=torch.int32, device=self._step.device)
        places = [view.flatten(1) for view in _views(numbers, weights)]
        scales = [max(1.0, place.shape[0] / place.shape[1]) ** 0.5 for place in places]
        self._orthogonalise = Orthogonaliser(places, scales, len(self._step), self._step.dtype)

    def compute_steps(self, momentum: float) -> None:
        """From the gradients: take them into the moments, and orthogonalise the mix of both."""
        self._moment.lerp_(self._gradient, 1 - momentum)
        torch.lerp(self._gradient, self._moment, momentum, out=self._mixed)
        self._orthogonalise(self._mixed, out=self._step)


def _views(flat: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
    """Parts of a flat tensor, one after another, shaped and laid out as the weights."""
    starts = [0, *accumulate(weight.numel() for weight in weights)]
    return [
        flat.as_strided(weight.shape, torch.empty_like(weight).stride(), start)
        for weight, start in zip(weights, starts, strict=False)
    ]
