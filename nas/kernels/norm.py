"""Batch normalisation in fewer operations: batches counted elsewhere, and on the CPU fused with the activation."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from nas.kernels.library import call, one_thread, suits

_CODES: dict[type[nn.Module], int] = {nn.Identity: 0, nn.ReLU: 1, nn.ReLU6: 2, nn.SiLU: 3}
_PLAIN: tuple[Callable[[Tensor], Tensor], ...] = (nn.Identity(), F.relu, F.relu6, F.silu)


class Norm(ctypes.Structure):
    """`Norm` of the C file."""

    _fields_ = (
        ("images", ctypes.c_long),
        ("pixels", ctypes.c_long),
        ("channels", ctypes.c_long),
        ("activation", ctypes.c_long),
        ("epsilon", ctypes.c_double),
    )


class UncountedNorm(nn.BatchNorm2d):
    """Batch normalisation whose batches are counted by whoever trains it, for all norms at once (`count_batches`).

    The count matters to norms without momentum only, which are left as they are.
    """

    def forward(self, input: Tensor) -> Tensor:
        self._check_input_dim(input)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training, self.momentum or 0.0,
            self.eps,
        )  # fmt: skip


def leave_uncounted(network: nn.Module) -> None:
    """Turn the batch norms of a network into `UncountedNorm`, in place."""
    for module in network.modules():
        if type(module) is nn.BatchNorm2d and module.track_running_stats and module.momentum:
            module.__class__ = UncountedNorm


def count_batches(network: nn.Module, batches: int) -> None:
    """Count `batches` more in the norms that do not count themselves and are being trained."""
    norms = [module for module in network.modules() if isinstance(module, UncountedNorm) and module.training]
    for norm in norms:
        assert norm.num_batches_tracked is not None  # they keep running statistics
        norm.num_batches_tracked.add_(batches)


class NormActivation(UncountedNorm):
    """Batch normalisation, then an activation, by the compiled loops in training on one thread, otherwise as ever.

    activation: as in the C file; 0 is none.
    """

    activation: int = 0

    def forward(self, input: Tensor) -> Tensor:
        if not self.is_fast(input):
            return _PLAIN[self.activation](super().forward(input))
        result: Tensor
        result, mean, variance = _NormActivation.apply(input, self.weight, self.bias, self.eps, self.activation)  # type: ignore[no-untyped-call]
        self.keep(mean, variance, input.numel() // input.shape[1])
        return result

    def is_fast(self, input: Tensor) -> bool:
        """Whether the loops serve this input (N, C, H, W). Raises ValueError where PyTorch cannot normalise it."""
        if not (self.training and torch.is_grad_enabled() and one_thread() and suits(input)):
            return False
        if input.numel() == input.shape[1]:
            raise ValueError(f"Expected more than 1 value per channel when training, got input size {input.shape}")
        return True

    @torch.no_grad()
    def keep(self, mean: Tensor, variance: Tensor, pixels: int) -> None:
        """Take a batch's statistics into the running ones, the variance without bias, as PyTorch does."""
        momentum: Any = self.momentum
        running_mean: Any = self.running_mean
        running_var: Any = self.running_var
        running_mean.lerp_(mean, momentum)
        running_var.mul_(1 - momentum).add_(variance, alpha=momentum * pixels / (pixels - 1))


def swap_norms(network: nn.Module) -> None:
    """Turn the batch norms of a network into `NormActivation`, in place.

    A norm takes over the activation right behind it in an nn.Sequential, which becomes an identity.
    """
    for module in network.modules():
        if type(module) is nn.BatchNorm2d and module.affine and module.track_running_stats and module.momentum:
            module.__class__ = NormActivation
    for module in network.modules():
        if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
            for i, (first, second) in enumerate(zip(module, list(module)[1:], strict=False)):
                if isinstance(first, NormActivation) and not first.activation and type(second) in _CODES:
                    first.activation = _CODES[type(second)]
                    module[i + 1] = nn.Identity()


class _NormActivation(torch.autograd.Function):
    """(y, mean, variance), the last two without a gradient."""

    @staticmethod
    def forward(  # noqa: PLR0917
        ctx: Any, x: Tensor, gamma: Tensor, beta: Tensor, epsilon: float, activation: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        ctx.shape = Norm(1, x.numel() // x.shape[1], x.shape[1], activation, epsilon)
        y = torch.empty_like(x)
        mean, variance, deviation = (torch.empty_like(gamma) for _ in range(3))
        call("norm_forward", ctx.shape, x, gamma, beta, y, mean, variance, deviation)
        ctx.save_for_backward(x, gamma, beta, mean, deviation)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        x, gamma, beta, mean, deviation = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        for_x, for_gamma, for_beta = torch.empty_like(x), torch.empty_like(gamma), torch.empty_like(beta)
        call(
            "norm_backward", ctx.shape, x, gradient, gamma, beta, mean, deviation, for_x, for_gamma, for_beta
        )  # fmt: skip
        return for_x, for_gamma, for_beta, None, None
