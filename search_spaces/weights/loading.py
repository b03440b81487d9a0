"""Weights for networks, with the names of torchvision, timm, EfficientNet-PyTorch or our own."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from search_spaces.arch import ArchSpec
from search_spaces.checks import ArchError
from search_spaces.network import Network, build_network, classifier_name
from search_spaces.public_names import conventions
from search_spaces.weights_file import Origin, WeightsError, read_origin, read_weights, tensors_in

_COUNTER = "num_batches_tracked"


def load_weights(network: nn.Module, source: str | Path | Mapping[str, Tensor], *, head: bool = True) -> None:
    """Fill `network` from `source`, which is checked in full before anything is changed.

    source: a path (see read_weights) or a state dict, with the names of torchvision, timm, EfficientNet-PyTorch or of
    `network` itself. Public names also set the epsilon of the norms to what that library builds the network with
    (1e-5; TensorFlow's 1e-3 where the weights come from there), in `network.arch` too, and so does a record beside the
    weights (see read_origin). timm's `tf_` models have the same names but another epsilon (1e-3) and TensorFlow's
    padding: into a network with padding "same" timm's weights are loaded as one of them.

    head=False leaves the classifier as it is, whatever classes the weights are for. Raises WeightsError.
    """
    label, state, origin = _opened(source)
    names = _recognise(network, state, label)
    _check_padding(network, origin.padding or names.padding, label)
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
    eps = names.norm_eps if origin.norm_eps is None else origin.norm_eps
    if eps is not None:
        _set_norm_eps(network, eps)


def suited_arch(arch: ArchSpec, source: str | Path | Mapping[str, Tensor]) -> ArchSpec:
    """The network that the weights are of, where that is `arch` but for widths, input channels and padding.

    Widths and channels are read off the tensors. The padding is TensorFlow's where a record beside the weights or their
    names say so. Raises WeightsError where the names fit none of this network's, or the widths cannot be built.
    """
    label, state, origin = _opened(source)
    with torch.device("meta"):
        network = build_network(arch)
    names = _recognise(network, state, label)
    padding = origin.padding or names.padding or arch.padding
    try:
        return replace(_with_widths_of(arch, names.keys, state), padding=padding)
    except ArchError as error:
        raise WeightsError(
            f"{label}: no network of this kind has these widths ({error}): weights of another network?"
        ) from None


def classes_in(arch: ArchSpec, source: str | Path | Mapping[str, Tensor]) -> int | None:
    """How many classes weights of `arch` tell apart; None where they have no classifier. Raises WeightsError."""
    label, state, _ = _opened(source)
    with torch.device("meta"):
        network = build_network(arch)
    classifier = _recognise(network, state, label).keys[f"{classifier_name(network)}.weight"]
    return len(state[classifier]) if classifier in state else None


def _opened(source: str | Path | Mapping[str, Tensor]) -> tuple[str, dict[str, Tensor], Origin]:
    """What messages call the source, its tensors, and what is said of them."""
    if isinstance(source, Mapping):
        return "state dict", tensors_in(source, "state dict"), Origin()
    return str(source), read_weights(source), read_origin(source)


def _with_widths_of(arch: ArchSpec, keys: Mapping[str, str], state: Mapping[str, Tensor]) -> ArchSpec:
    """`arch` with the channels of the tensors; keys: those in `state` by the network's own.

    What a tensor does not tell, as the width of a block that does not end in a norm, is left as it is.
    """

    def last(prefix: str) -> Tensor | None:
        """The weight of the last module whose own name begins so."""
        own = [key for key in keys if key.startswith(prefix) and key.endswith(".weight")]
        return state.get(keys[own[-1]]) if own else None

    stages = []
    for i, stage in enumerate(arch.stages):
        norm = last(f"stages.{i}.0.")
        stages.append(replace(stage, channels=len(norm)) if norm is not None and norm.ndim == 1 else stage)
    first = state.get(keys[next(iter(keys))])
    if first is not None and first.ndim == 4:
        arch = replace(arch, input_channels=first.shape[1])
    stem, head = last("stem."), state.get(keys.get("head.0.weight", ""))
    if arch.stem.kind == "conv" and stem is not None:
        arch = replace(arch, stem=replace(arch.stem, channels=len(stem)))
    if arch.head.channels and head is not None:
        arch = replace(arch, head=replace(arch.head, channels=len(head)))
    pooled = state.get(keys.get("head.4.weight", ""))
    if arch.head.pools_first and pooled is not None:
        arch = replace(arch, head=replace(arch.head, pooled=len(pooled)))
    return replace(arch, stages=tuple(stages))


class _Names(NamedTuple):
    """Whose names (`label`) a file has: its key of each key of a network, and the norms' epsilon and the padding that
    such files go with, if any.
    """

    label: str
    keys: dict[str, str]
    norm_eps: float | None = None
    padding: str | None = None


def _recognise(network: nn.Module, state: Mapping[str, Tensor], label: str) -> _Names:
    """Whose names the keys are. Raises WeightsError when they are nobody's for this network."""
    own = list(network.state_dict())
    candidates = [_Names("its own", dict(zip(own, own, strict=True)))]
    if isinstance(network, Network):
        modules = list(dict.fromkeys(key.rpartition(".")[0] for key in own))
        for convention in conventions(network.arch):
            public = convention.names(network.arch)
            if len(public) == len(modules):
                renamed = dict(zip(modules, public, strict=True))
                keys = {key: f"{renamed[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}" for key in own}
                candidates.append(_Names(convention.label, keys, convention.norm_eps(network.arch), convention.padding))
    best = max(candidates, key=lambda names: len(state.keys() & set(names.keys.values())))
    wanted = [key for key in best.keys.values() if not key.endswith(_COUNTER)]
    found = [key for key in wanted if key in state]
    if 2 * len(found) < len(wanted):
        fit = ""
        if found:
            lacking = [key for key in wanted if key not in state]
            fit = f"; {best.label} fit best, of which {len(found)} of {len(wanted)} are there, without {_some(lacking)}"
        known = ", ".join(dict.fromkeys(names.label for names in candidates))
        raise WeightsError(
            f"{label}: not weights of this network: keys such as {_some(state)} fit no names ({known}){fit}"
        )
    return best


def _check_padding(network: nn.Module, padding: str | None, label: str) -> None:
    """Raise WeightsError where a network computes something else for want of the padding that weights come from."""
    if padding is None or not isinstance(network, Network):
        return
    if replace(network.arch, padding=padding).id != network.arch.id:
        raise WeightsError(
            f'{label}: of a network with padding "{padding}", this one has "{network.arch.padding}"; build it of '
            "suited_arch(arch, source)"
        )


def _check(wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], label: str, classifier: Collection[str]) -> None:
    """Every tensor there, none besides, each of its shape and fit to be copied.

    Counters of batches may be missing, as in old files.
    """
    missing = [key for key in wanted if key not in state and not key.endswith(_COUNTER)]
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


def _set_norm_eps(network: nn.Module, eps: float) -> None:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = eps
    if isinstance(network, Network):
        stages = tuple(replace(stage, norm_eps=None) for stage in network.arch.stages)
        network.arch = replace(network.arch, norm_eps=eps, stages=stages)


def _some(keys: Any) -> str:
    return ", ".join(repr(key) for key in list(keys)[:2])
