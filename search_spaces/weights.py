"""Weights from files and state dicts: torchvision's, timm's or our own. Nothing in a file is ever executed."""

from __future__ import annotations

import pickle
import warnings
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from search_spaces.network import Network, classifier_name
from search_spaces.public_names import conventions

PICKLED = (".pth", ".pt", ".bin", ".tar", ".ckpt")
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What DataParallel, torch.compile and Lightning put in front of every name."""
WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Where training scripts put the state dict when they save more than that."""


class WeightsError(ValueError):
    """Weights that cannot be loaded: one line with the file, what is wrong, and what would be right."""


def load_weights(network: nn.Module, source: str | Path | Mapping[str, Tensor], *, head: bool = True) -> None:
    """Fill `network` from `source`, which is checked in full before anything is changed.

    source: a path (.safetensors, or .pth, .pt, .bin as torch.save writes them) or a state dict, with the names of
    torchvision, of timm or of `network` itself. Public names also set the epsilon of the norms to what that library
    builds the network with (1e-5; torchvision's EfficientNet-B5 to B7, EfficientNetV2 and MobileNetV3 1e-3), in
    `network.arch` too. timm's `tf_` models have the same names but another epsilon (1e-3) and TensorFlow's padding:
    into a network with padding "same" timm's weights are loaded as one of them.

    head=False leaves the classifier as it is, whatever classes the weights are for. Raises WeightsError.
    """
    if isinstance(source, Mapping):
        label, state = "state dict", _tensors(source, "state dict")
    else:
        label, state = str(source), read_weights(source)
    names = _recognise(network, state, label)
    keys = dict(names.keys)
    classifier = [key for key in keys if key.rpartition(".")[0] == classifier_name(network)]
    if not head:
        for own in classifier:
            state.pop(keys.pop(own), None)
    own_state = network.state_dict()
    _check(
        {foreign: own_state[own] for own, foreign in keys.items()}, state, label, {names.keys[k] for k in classifier}
    )
    with torch.no_grad():
        for own, foreign in keys.items():
            if foreign in state:
                own_state[own].copy_(state[foreign].reshape(own_state[own].shape))
    if names.norm_eps is not None:
        _set_norm_eps(network, names.norm_eps)


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a weights file by name, on the CPU. Raises WeightsError; code in a pickle is refused, not run."""
    path = Path(path)
    if path.is_dir():
        raise WeightsError(f"{path}: is a folder; give the weights file in it")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file")
    if path.stat().st_size == 0:
        raise WeightsError(f"{path}: is empty")
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{path}: not a whole .safetensors file ({_one_line(error)})") from None
    if path.suffix not in PICKLED:
        raise WeightsError(f"{path}: weights must be a .safetensors file or one of {', '.join(PICKLED)}")
    try:
        with warnings.catch_warnings():  # about pickle protocols: nothing that the line below does not say
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path}: not a plain state dict: damaged, or holding code or objects, none of which was run; "
            "save the tensors alone, best as .safetensors"
        ) from None
    except Exception as error:
        raise WeightsError(f"{path}: not a whole weights file ({_one_line(error)})") from None
    return _tensors(content, str(path))


class _Names(NamedTuple):
    """The key in a file of each key of a network, and the norms' epsilon that goes with such files, if any."""

    keys: dict[str, str]
    norm_eps: float | None


def _recognise(network: nn.Module, state: Mapping[str, Tensor], label: str) -> _Names:
    """Whose names the keys are. Raises WeightsError when they are nobody's for this network."""
    own = list(network.state_dict())
    candidates = [_Names(dict(zip(own, own, strict=True)), None)]
    labels = ["its own"]
    if isinstance(network, Network):
        modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
        for convention in conventions(network.arch):
            public = convention.names(network.arch)
            if len(public) == len(modules):
                renamed = dict(zip(modules, public, strict=True))
                keys = {key: f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}" for key in own}
                candidates.append(_Names(keys, convention.norm_eps(network.arch)))
                labels.append(convention.label)
    best = max(candidates, key=lambda names: len(state.keys() & set(names.keys.values())))
    if len(state.keys() & set(best.keys.values())) < len(own) / 2:
        known = ", ".join(dict.fromkeys(labels))
        raise WeightsError(f"{label}: not weights of this network: keys such as {_some(state)} fit no names ({known})")
    return best


def _check(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], label: str, classifier: Collection[str]) -> None:
    """Every tensor there, none besides, each of its shape and fit to be copied.

    Counters of batches may be missing, as in old files.
    """
    missing = [key for key in wanted if key not in state and not key.endswith("num_batches_tracked")]
    besides = [key for key in state if key not in wanted]
    for keys, what in ((missing, "lacks"), (besides, "holds besides")):
        if keys:
            raise WeightsError(f"{label}: {what} {_some(keys)} ({len(keys)} in all): weights of another network?")
    wrong = [key for key in state if _sides(state[key]) != _sides(wanted[key])]
    if wrong:
        key = wrong[0]
        only_classes = set(wrong) <= set(classifier)
        raise WeightsError(
            f"{label}: {key} has shape {tuple(state[key].shape)}, this network's is {tuple(wanted[key].shape)}: "
            + ("of other classes; load all but the classifier" if only_classes else "weights of another network?")
        )
    for key, value in state.items():
        if fault := _fault(value, wanted[key]):
            raise WeightsError(f"{label}: {key} {fault}")


def _sides(value: Tensor) -> tuple[int, ...]:
    """The shape but for trailing ones: the weights of a 1x1 convolution are those of a linear layer."""
    sides = list(value.shape)
    while sides and sides[-1] == 1:
        sides.pop()
    return tuple(sides)


def _fault(value: Tensor, own: Tensor) -> str | None:
    """Why `value` cannot be copied into `own` without loss, None where it can. Lower precision will do."""
    if value.layout is not torch.strided or value.is_meta:
        return "is a sparse or empty tensor; save dense ones"
    if not own.is_floating_point():
        return None
    if not value.is_floating_point():
        return f"holds {value.dtype} in place of floating-point numbers: quantised weights?"
    if not value.to(own.dtype).isfinite().all():
        return "holds numbers that are not finite: a training that diverged?"
    return None


def _tensors(content: Any, label: str) -> dict[str, Tensor]:
    """The state dict in `content`, unwrapped where it is kept under a usual name."""
    for name in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(name), Mapping):
            content = content[name]
    if not isinstance(content, Mapping) or not content:
        raise WeightsError(f"{label}: holds no state dict, that is no tensors by name")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise WeightsError(f"{label}: {str(key)[:60]!r} is no tensor; only the network's state dict can be loaded")
    state = dict(content)
    while prefix := next((each for each in PREFIXES if all(key.startswith(each) for key in state)), None):
        state = {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def _set_norm_eps(network: nn.Module, eps: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    if isinstance(network, Network):
        stages = tuple(replace(stage, norm_eps=None) for stage in network.arch.stages)
        network.arch = replace(network.arch, norm_eps=eps, stages=stages)


def _some(keys: Any) -> str:
    return ", ".join(repr(key) for key in list(keys)[:2])


def _one_line(error: Exception) -> str:
    """The first sentence; torch's messages go on with advice on its own calls."""
    return " ".join(str(error).split()).partition(". ")[0][:120]
