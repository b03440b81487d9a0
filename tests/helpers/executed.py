"""The peak of live activations as an execution of the built network shows it: torch's own graph, node by node."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, fx, nn

from search_spaces import ArchSpec, build_network
from search_spaces.network import SameConv2d, SamePool2d

_MERGED = (nn.BatchNorm2d, nn.ReLU, nn.ReLU6, nn.SiLU, nn.Hardswish, nn.GELU, nn.Sigmoid, nn.Hardsigmoid)
"""What a device computes together with the convolution before, in its place."""


class _Tracer(fx.Tracer):
    """Paddings of a convolution are its own, not operations of the graph."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SameConv2d | SamePool2d) or super().is_leaf_module(m, module_qualified_name)


class Execution(fx.Interpreter):
    """Runs a network and frees every tensor after its last use; `peak` is the most bytes that were held at once.

    Storages are counted, so that views take nothing. What is merged writes into its input, if nobody needs that later.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__(fx.GraphModule(network, _Tracer().trace(network)))
        self.peak = 0

    def run_node(self, n: fx.Node) -> Any:
        self._now = n
        result = super().run_node(n)
        held = [each for each in (*self.env.values(), result) if isinstance(each, Tensor)]
        storages = {each.untyped_storage()._cdata: each.untyped_storage().nbytes() for each in held}
        self.peak = max(self.peak, sum(storages.values()))
        return result

    def call_module(self, target: Any, args: Any, kwargs: Any) -> Any:
        module, (fed, *_) = self.fetch_attr(target), args
        if isinstance(module, _MERGED):
            copied = module(fed.clone())
            return fed.copy_(copied) if self._is_last_use(fed) else copied
        return module(*args, **kwargs)

    def _is_last_use(self, fed: Tensor) -> bool:
        """Whether no other name than the one read now, for the last time, holds the storage."""
        ending = set(self.user_to_last_uses.get(self._now, ()))
        return all(
            node in ending
            for node, value in self.env.items()
            if isinstance(value, Tensor) and value.untyped_storage()._cdata == fed.untyped_storage()._cdata
        )


def executed_ram(arch: ArchSpec, num_classes: int, device: str = "cpu") -> int:
    """Bytes of the peak for one image in float32. device: `meta` executes the same with no values in its tensors."""
    with torch.device(device), torch.inference_mode():
        network = build_network(arch, num_classes).eval()
        execution = Execution(network)
        image = torch.zeros(1, arch.input_channels, arch.resolution, arch.resolution)
        logits = execution.run(image)
    assert logits.shape == (1, num_classes)
    return execution.peak
