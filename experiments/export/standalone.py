"""A Python file that builds the network with torch alone, and its weights beside it as .weights.safetensors."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path
from pprint import pformat

from torch import nn

from experiments.export.check import BATCHES, difference, reference
from experiments.export.source import Exported
from nas.files import replace_text
from nas.training.checkpoint import save_weights
from search_spaces import count_macs, count_params, format_blocks
from search_spaces.network import Concat, Gate, GlobalPool, PadChannels, Residual, SameConv2d, SamePool2d, Shuffle


def write_standalone(exported: Exported, path: Path) -> float:
    """Write `path` and beside it the weights, net.weights.safetensors for net.py; give the largest
    difference of the outputs of the network that the file builds and loads.

    The file needs torch and nothing else: it reads the .safetensors format itself.
    """
    weights = path.with_suffix(".weights.safetensors")  # not net.safetensors, which people call a training's own
    record = {} if exported.record is None else exported.record.metadata
    save_weights(exported.network, weights, metadata=exported.metadata | record)
    replace_text(path, standalone_source(exported), durable=False)
    spec = importlib.util.spec_from_file_location("scalenas_standalone", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.load(weights)
    worst = 0.0
    for batch in BATCHES:
        images = exported.probe(batch)
        worst = max(worst, difference(reference(exported.module, images), reference(network, images)))
    return worst


def standalone_source(exported: Exported) -> str:
    """The file's text: the template with this network's layers in it, one a line."""
    template = (resources.files("experiments.export") / "standalone.py.txt").read_text(encoding="utf-8")
    arch, classes = exported.arch, exported.num_classes
    facts = {
        "@BLOCKS@": "\n".join(f"    {block}" for block in format_blocks(arch).split()),
        "@CHANNELS@": str(arch.input_channels),
        "@RESOLUTION@": str(arch.resolution),
        "@CLASSES@": str(classes),
        "@MACS@": str(count_macs(arch, None, classes)),
        "@PARAMS@": str(count_params(arch, classes)),
        "@NETWORK@": _source(exported.network, "    "),
        "@PREPARED@": _PREPARED if exported.prepares else "",
        "@LOADED@": "Prepared(network)" if exported.prepares else "network",
        "@IMAGES@": _IMAGES[exported.prepares].format(channels=arch.input_channels, resolution=arch.resolution),
        "@PROBE@": _PROBES[exported.prepares].format(channels=len(exported.mean or ())),
        "@FACTS@": _facts(exported),  # last: names of classes are anything
    }
    for mark, text in facts.items():
        template = template.replace(mark, text)
    return template


_IMAGES = {
    False: "float images (batch, {channels}, {resolution}, {resolution})",
    True: "uint8 images (batch, height, width, channels)",
}
_PROBES = {
    False: "torch.zeros(1, CHANNELS, RESOLUTION, RESOLUTION)",
    True: "torch.zeros(1, RESOLUTION, RESOLUTION, {channels}, dtype=torch.uint8)",
}
"""What the program takes, in words and as a black image, by whether it prepares it."""
_PREPARED = '''
class Prepared(nn.Module):
    """The network for uint8 images (batch, height, width, channels) of any size: they are resized and normalised."""

    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, images):
        planes = images.permute(0, 3, 1, 2).float()
        planes = nn.functional.interpolate(planes, (RESOLUTION, RESOLUTION), mode="bilinear", antialias=True)
        planes = planes.round().clamp(0, 255)  # whole levels, as in training
        mean, std = (255 * torch.tensor(values, device=planes.device).view(1, -1, 1, 1) for values in (MEAN, STD))
        return self.network(((planes - mean) / std).expand(-1, CHANNELS, -1, -1))

'''


def _facts(exported: Exported) -> str:
    """The lines of what is known of images and outputs."""
    facts = exported.facts
    said = {
        "classes": ("NAMES", "  # of the classes, in the order of the outputs"),
        "mean": ("MEAN", "  # of each channel, in 0..1: images are normalised as (image - MEAN) / STD"),
        "std": ("STD", ""),
    }
    lines = [f"FACTS = {pformat(facts, width=110, compact=True, sort_dicts=False)}"]
    lines += [f'{name} = FACTS["{key}"]{comment}' for key, (name, comment) in said.items() if key in facts]
    return "\n".join(lines)


def _source(module: nn.Module, indent: str) -> str:  # noqa: PLR0911, PLR0912  one case a module
    """The expression that builds `module`, with the same names of weights."""
    deeper = indent + "    "
    match module:
        case Residual():
            # The identity of a plain shortcut holds no weights.
            parts = [_source(module.body, deeper), _source(module.shortcut, deeper), f"{module.drop_path!r}"]
            return _call("Residual", parts, indent)
        case Gate():
            return _call("Gate", [_source(module.body, deeper)], indent)
        case Concat():
            return _call("Concat", [_source(branch, deeper) for branch in module.branches], indent)
        case GlobalPool():
            return "GlobalPool()"
        case Shuffle():
            return f"Shuffle({module.groups})"
        case PadChannels():
            return f"PadChannels({module.more})"
        case nn.Sequential():
            names = [name for name, _ in module.named_children()]
            parts = [_source(child, deeper) for child in module.children()]
            if names == [str(i) for i in range(len(names))]:
                return _call("nn.Sequential", parts, indent)
            named = [f"{name}={part}" for name, part in zip(names, parts, strict=True)]
            return _call("named", named, indent)
        case SamePool2d():
            return f"SamePool2d({module.kind!r}, {module.kernel}, {module.stride})"
        case nn.Conv2d():
            sizes = f"{module.in_channels}, {module.out_channels}, {module.kernel_size[0]}, {module.stride[0]}"
            groups = f", groups={module.groups}" if module.groups > 1 else ""
            if isinstance(module, SameConv2d):
                return f"SameConv2d({sizes}{groups}, bias={module.bias is not None})"
            return f"nn.Conv2d({sizes}, {module.padding[0]}{groups}, bias={module.bias is not None})"
        case nn.BatchNorm2d():
            return f"nn.BatchNorm2d({module.num_features}, eps={module.eps!r}, momentum={module.momentum!r})"
        case nn.Linear():
            return f"nn.Linear({module.in_features}, {module.out_features}, bias={module.bias is not None})"
        case nn.AvgPool2d() | nn.MaxPool2d():
            kind = type(module).__name__
            sizes = f"{module.kernel_size}, {module.stride}, {module.padding}, ceil_mode={module.ceil_mode}"
            return f"nn.{kind}({sizes}{', count_include_pad=False' if kind == 'AvgPool2d' else ''})"
        case nn.Dropout():
            return f"nn.Dropout({module.p!r})"
        case (
            nn.Flatten()
            | nn.Identity()
            | nn.SiLU()
            | nn.ReLU()
            | nn.ReLU6()
            | nn.Hardswish()
            | nn.GELU()
            | nn.Sigmoid()
            | nn.Hardsigmoid()
        ):
            return f"nn.{type(module).__name__}()"
    raise TypeError(f"no source for a {type(module).__name__}")


def _call(name: str, parts: list[str], indent: str) -> str:
    if not parts:
        return f"{name}()"
    return "\n".join([f"{name}(", *(f"{indent}    {part}," for part in parts), f"{indent})"])
