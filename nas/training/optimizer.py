"""What moves the weights: the optimiser of a recipe, and the running average."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from nas.training.muon import Muon
from nas.training.recipe import Recipe
from nas.training.rmsprop import RMSProp
from search_spaces.network import body_and_classifier

_ADAM_SHARE = 0.3
"""The rate of what Muon leaves to Adam, as a share of the matrices' rate."""


def make_optimizer(network: nn.Module, recipe: Recipe, body_rate: float = 1.0) -> torch.optim.Optimizer:
    """The recipe's optimiser over the parameters that are to be trained.

    body_rate: the factor on the learning rate of all but the classifier. Each group holds its factor as "rate_factor".
    """
    body, classifier = body_and_classifier(network)
    factors = {id(parameter): body_rate for parameter in body} | {id(parameter): 1.0 for parameter in classifier}
    decayed = {id(parameter) for parameter in _decayed(network, recipe)}
    matrices = {id(parameter) for parameter in body if recipe.optimizer == "muon" and _is_matrix(parameter)}
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for parameter in network.parameters():
        if parameter.requires_grad:
            key = id(parameter)
            share = 1.0 if recipe.optimizer != "muon" or key in matrices else _ADAM_SHARE
            decay = recipe.weight_decay if key in decayed else 0.0
            groups.setdefault((factors[key] * share, decay, key in matrices), []).append(parameter)
    options: list[dict[str, Any]] = [
        {"params": members, "weight_decay": decay, "rate_factor": factor}
        | ({"matrices": orthogonal} if recipe.optimizer == "muon" else {})
        for (factor, decay, orthogonal), members in groups.items()
    ]
    if recipe.optimizer == "rmsprop":
        return RMSProp(options, lr=0.0, momentum=recipe.momentum)
    if recipe.optimizer == "muon":
        return Muon(options, lr=0.0, momentum=recipe.momentum)
    return torch.optim.SGD(options, lr=0.0, momentum=recipe.momentum, nesterov=True, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Let every group learn at `rate` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]


def _is_matrix(parameter: nn.Parameter) -> bool:
    """Whether a weight mixes channels: dense and pointwise filters do, depthwise ones do not."""
    return parameter.ndim > 1 and parameter.shape[1] > 1


def _decayed(network: nn.Module, recipe: Recipe) -> list[nn.Parameter]:
    """The parameters that weight decay pulls at: never those of norms, and biases only where the recipe says so."""
    if not recipe.weight_decay:
        return []
    if not recipe.decay_biases:
        return [parameter for parameter in network.parameters() if parameter.ndim > 1]
    modules = [module for module in network.modules() if not isinstance(module, nn.BatchNorm2d)]
    return [parameter for module in modules for parameter in module.parameters(recurse=False)]


class Average:
    """A running average of a network's weights and of its norms' statistics, itself a network.

    After step t (from 1) the decay is min(decay, (1 + t) / (10 + t)), TensorFlow's rule for an average that is told
    the step: the average spans about the last ninth of the steps so far until `decay` is reached, so that it suits
    trainings of any length.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.steps = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the network as it is after one more step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        kept, now = _tensors(self.network), _tensors(network)
        torch._foreach_lerp_(
            [tensor for tensor in kept if tensor.is_floating_point()],
            [tensor for tensor in now if tensor.is_floating_point()],
            1 - decay,
        )
        counts = [(own, other) for own, other in zip(kept, now, strict=True) if not own.is_floating_point()]
        torch._foreach_copy_([own for own, _ in counts], [other for _, other in counts])


def _tensors(network: nn.Module) -> list[Tensor]:
    return list(chain[Tensor](network.parameters(), network.buffers()))
