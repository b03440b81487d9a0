"""Counts of a built network by others' means: multiply-adds by fvcore, parameters by torch."""

from __future__ import annotations

import torch
from fvcore.nn import FlopCountAnalysis
from torch import nn

from search_spaces import ArchSpec, build_network


class _Whole(nn.Module):
    """A network as one module that has all its tensors: fvcore keeps books of every module that it sees, and nobody
    reads them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self._run = network.__call__  # the network itself is no module of this one
        for name, parameter in network.named_parameters():
            self.register_parameter(name.replace(".", "_"), parameter)
        for name, buffer in network.named_buffers():
            self.register_buffer(name.replace(".", "_"), buffer)

    def forward(self, *inputs: torch.Tensor) -> object:
        return self._run(*inputs)


def fvcore_macs(network: nn.Module, *inputs: torch.Tensor) -> int:
    """Multiply-adds of convolutions and linear layers alone, one evaluation of the network in eval mode.

    fvcore also counts norms, adaptive pooling and upsampling; handlers that return 0 switch them off (None would not).
    """

    def nothing(inputs: object, outputs: object) -> int:  # noqa: ARG001
        return 0

    count = FlopCountAnalysis(_Whole(network.eval()), inputs)
    for op in ("aten::batch_norm", "aten::adaptive_avg_pool2d", "aten::upsample_nearest2d"):
        count.set_op_handle(op, nothing)
    count.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    return int(count.total())


def built_counts(arch: ArchSpec, num_classes: int) -> tuple[int, int]:
    """Multiply-adds by fvcore, at the architecture's own resolution, and parameters of the built network. Raises
    ArchError where it is too large to be built."""
    network = build_network(arch, num_classes)
    image = torch.zeros(1, arch.input_channels, arch.resolution, arch.resolution)
    with torch.no_grad():
        macs = fvcore_macs(network, image)
    return macs, sum(parameter.numel() for parameter in network.parameters())
