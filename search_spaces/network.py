"""The torch network of an architecture: the second fold over its layers."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from search_spaces import layers as L  # noqa: N812
from search_spaces.arch import ArchSpec
from search_spaces.assembly import network_layers
from search_spaces.checks import ArchError
from search_spaces.cost import Shape, count_params, input_shape, layer_cost
from search_spaces.padding import same_borders

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "silu": nn.SiLU,
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hardswish": nn.Hardswish,
    "gelu": nn.GELU,
    "sigmoid": nn.Sigmoid,
    "hardsigmoid": nn.Hardsigmoid,
}


class Residual(nn.Module):
    """body(x) + shortcut(x). In training the body of each image is dropped with probability `drop_path`.

    Source: stochastic depth, Huang et al. 2016; survivors are scaled up so that the expectation is kept.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None) -> None:
        super().__init__()
        self.body = body
        self.shortcut = nn.Identity() if shortcut is None else shortcut
        self.drop_path = 0.0

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.body(x)
        if self.training and self.drop_path > 0:
            keep = 1 - self.drop_path
            kept = torch.empty((x.shape[0], 1, 1, 1), dtype=x.dtype, device=x.device).bernoulli_(keep)
            return torch.addcmul(self.shortcut(x), branch, kept, value=1 / keep)
        total: Tensor = branch + self.shortcut(x)
        return total


class Gate(nn.Module):
    """x * body(x)."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = x * self.body(x)
        return gated


class GlobalPool(nn.Module):
    """The mean over all positions, kept as 1x1."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class Concat(nn.Module):
    """The outputs of several branches fed alike, along the channels."""

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], 1)


class Shuffle(nn.Module):
    """Channels dealt out anew: the first of every group, then the second of every group ..."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        grouped = x.reshape(n, self.groups, channels // self.groups, height, width)
        return grouped.transpose(1, 2).reshape(n, channels, height, width)


class PadChannels(nn.Module):
    """Channels of zeros after those that come in, `more` of them."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pad(x, (0, 0, 0, 0, 0, self.more))


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow pads: with an odd number of pixels to add, bottom and right get one more."""

    def forward(self, input: Tensor) -> Tensor:  # the base's name
        (top, bottom), (left, right) = (
            same_borders(size, kernel, stride)
            for size, kernel, stride in zip(input.shape[-2:], self.kernel_size, self.stride, strict=True)
        )
        return super().forward(nn.functional.pad(input, (left, right, top, bottom)))


class SamePool2d(nn.Module):
    """The same for a pool; the last window may hang over the edge, and what is added counts in no mean."""

    def __init__(self, kind: str, kernel: int, stride: int) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        before = tuple(same_borders(size, self.kernel, self.stride)[0] for size in x.shape[-2:])
        if self.kind == "avg":
            return nn.functional.avg_pool2d(
                x, self.kernel, self.stride, before, ceil_mode=True, count_include_pad=False
            )
        return nn.functional.max_pool2d(x, self.kernel, self.stride, before, ceil_mode=True)


class Network(nn.Sequential):
    """The modules `stem`, `stages` and `head`, one after another, and the architecture they were built from.

    body_frozen: only the classifier is being trained (see `freeze_body`).
    """

    def __init__(self, arch: ArchSpec, num_classes: int) -> None:
        super().__init__(
            OrderedDict(build_layer(network_layers(arch, num_classes), input_shape(arch)).named_children())
        )
        self.arch = arch
        self.body_frozen = False

    def train(self, mode: bool = True) -> Network:
        """As ever; norms and stochastic depth of a frozen body stay as in evaluation."""
        super().train(mode)
        if self.body_frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d | Residual):
                    module.training = False
        return self


def classifier_name(network: nn.Module) -> str:
    """The name of the last linear layer or convolution, which turns features into classes."""
    names = [str(name) for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return names[-1]


def body_and_classifier(network: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    """(the body's, the classifier's) parameters, for a lower learning rate of the body when fine-tuning."""
    classifier = list(network.get_submodule(classifier_name(network)).parameters())
    kept = {id(parameter) for parameter in classifier}
    return [parameter for parameter in network.parameters() if id(parameter) not in kept], classifier


def freeze_body(network: Network) -> None:
    """Leave only the classifier to be trained; the body computes as in evaluation from now on."""
    for parameter in body_and_classifier(network)[0]:
        parameter.requires_grad_(False)
    network.body_frozen = True
    network.train(network.training)


MOST_PARAMS, MOST_LAYERS = 10**9, 10_000


def build_network(arch: ArchSpec, num_classes: int = 1000) -> Network:
    """The network: float images (batch, input_channels, resolution, resolution) to logits (batch, num_classes).

    Weights are drawn from torch's global generator, stochastic depth is that of `arch`. Raises ArchError, before
    anything is made, for a network of more than MOST_PARAMS parameters or MOST_LAYERS layers of its stages.
    """
    layers, params = sum(stage.layers for stage in arch.stages), count_params(arch, num_classes)
    if layers > MOST_LAYERS or params > MOST_PARAMS:
        raise ArchError(
            f"the network is too large to be built: {params:,} parameters in {layers:,} layers; at most "
            f"{MOST_PARAMS:,} and {MOST_LAYERS:,} are"
        )
    network = Network(arch, num_classes)
    set_drop_path(network, arch.drop_path)
    initialise(network)
    return network


def set_drop_path(network: nn.Module, rate: float) -> None:
    """Stochastic depth that rises linearly over the residual blocks: block i of n is dropped at rate * i / n."""
    residuals = [module for module in network.modules() if isinstance(module, Residual)]
    for i, residual in enumerate(residuals):
        residual.drop_path = rate * i / len(residuals)


def initialise(network: nn.Module) -> None:
    """Draw fresh weights: convolutions by He's rule over their fan-out, the classifier small and uniform.

    Convolutions that no norm follows (SqueezeNet's) go by their fan-in, for nothing else keeps the activations' scale.
    """
    gated = {module for gate in network.modules() if isinstance(gate, Gate) for module in gate.modules()}
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            bare = module.bias is not None and module not in gated
            fan = module.in_channels if bare else module.out_channels
            fan = module.kernel_size[0] * module.kernel_size[1] * fan // module.groups
            nn.init.normal_(module.weight, 0, math.sqrt(2 / fan))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Linear):
            bound = 1 / math.sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def branch_ends(network: nn.Module) -> Iterable[nn.BatchNorm2d]:
    """The last norm of each residual branch, where nothing but a gate follows it.

    Starting its scale at zero makes each residual block the identity at first, which lets deep networks train in few
    steps (Goyal et al. 2017, section 5.1).
    """
    for module in network.modules():
        if isinstance(module, Residual) and isinstance(module.body, nn.Sequential):
            tail = [part for part in module.body if not isinstance(part, Gate)]
            if isinstance(tail[-1], nn.BatchNorm2d):
                yield tail[-1]


def _spare_input(branch: nn.Module) -> None:
    """An activation that begins a branch must not overwrite what the shortcut is about to add."""
    while isinstance(branch, nn.Sequential) and len(branch):
        branch = branch[0]
    if hasattr(branch, "inplace"):
        setattr(branch, "inplace", False)  # noqa: B010  torch types every attribute as a tensor or a module


def build_layer(layer: L.Layer, shape: Shape) -> nn.Module:  # noqa: PLR0911, PLR0912  one case a layer
    """The module of one layer that is fed with `shape`."""
    match layer:
        case L.Conv(channels, kernel, stride, groups, bias, "same"):
            return SameConv2d(shape.channels, channels, kernel, stride, groups=groups, bias=bias)
        case L.Conv(channels, kernel, stride, groups, bias, padding):
            pad = kernel // 2 if padding is None else padding
            return nn.Conv2d(shape.channels, channels, kernel, stride, pad, groups=groups, bias=bias)
        case L.Norm(eps, momentum):
            return nn.BatchNorm2d(shape.channels, eps=eps, momentum=momentum)
        case L.Act("relu" | "relu6" as name):
            return _ACTIVATIONS[name](inplace=True)
        case L.Act(name):  # whose gradient needs the input: in place, it would be copied first
            return _ACTIVATIONS[name]()
        case L.Pooling(kind, kernel, stride, "same"):
            return SamePool2d(kind, kernel, stride)
        case L.Pooling("avg", kernel, stride, int(padding), ceil_mode):
            return nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil_mode, count_include_pad=False)
        case L.Pooling(_, kernel, stride, padding, ceil_mode):
            assert padding != "same"  # a case of its own above
            return nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil_mode)
        case L.GlobalPool():
            return GlobalPool()
        case L.Flatten():
            return nn.Flatten()
        case L.Dropout(rate):
            return nn.Dropout(rate)
        case L.Linear(features, bias):
            return nn.Linear(shape.channels * shape.size * shape.size, features, bias=bias)
        case L.Seq():
            return _build_seq(layer, shape)
        case L.Repeat(part, times):
            return nn.Sequential(*(build_layer(part, shape) for _ in range(times)))
        case L.Residual(body, shortcut):
            branch = build_layer(body, shape)
            _spare_input(branch)
            return Residual(branch, None if shortcut is None else build_layer(shortcut, shape))
        case L.Gate(body):
            return Gate(build_layer(body, shape))
        case L.Concat(parts):
            return Concat(build_layer(part, shape) for part in parts)
        case L.Shuffle(groups):
            return Shuffle(groups)
        case L.PadChannels(channels):
            return PadChannels(channels - shape.channels)


def _build_seq(seq: L.Seq, shape: Shape) -> nn.Sequential:
    modules: list[nn.Module] = []
    for part in seq.parts:
        if isinstance(part, L.Repeat):
            modules.extend(build_layer(part.part, shape) for _ in range(part.times))
        else:
            modules.append(build_layer(part, shape))
        shape = layer_cost(part, shape)[1]
    names = seq.names or tuple(str(i) for i in range(len(modules)))
    return nn.Sequential(OrderedDict(zip(names, modules, strict=True)))
