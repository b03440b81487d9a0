"""Networks that begin with weights of other images: what `--pretrained` names, and how they are fine-tuned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from experiments.errors import UserError, from_user
from experiments.run.naming import load_arch
from experiments.run.weights.owned import from_weights_of
from experiments.run.weights.public import public_network, public_weights
from nas.data.dataset import Dataset
from nas.data.feed import in_grey
from nas.training.objective import Inherited, InitialWeights
from nas.training.proxy import ProxyEvaluator
from nas.training.recipe import Recipe, fine_tune
from search_spaces import ArchSpec, build_network, load_weights
from search_spaces.weights import suited_arch
from search_spaces.weights_file import Origin, read_origin


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network whose weights are in a file. arch: as the weights have it, at the resolution that it was made for;
    evaluator: fine-tunes it, at whatever resolution, with a new classifier."""

    name: str
    arch: ArchSpec
    evaluator: ProxyEvaluator

    @property
    def fine_tuned(self) -> ProxyEvaluator:
        """Trains it, or parts of it, by the recipe of fine-tuning."""
        return _by(fine_tune(), self.evaluator)

    @property
    def from_scratch(self) -> ProxyEvaluator:
        """Trains it, or parts of it, on the same images, normalised alike, but from random weights."""
        return replace(self.evaluator, objective=replace(self.evaluator.objective, initial=None))


def with_weights(option: str, text: str, folder: Path, say: Callable[[str], None]) -> str:
    """NAME=FILE of what is given as that, or as NAME alone, whose weights are then timm's and are kept in `folder`.

    Raises UserError for anything else, and where timm has no weights to give.
    """
    name, sign, file = text.partition("=")
    if sign and (not name or not file):
        raise UserError(f"{option} takes NAME=FILE, a network and its weights, or NAME alone for timm's, not {text!r}")
    if sign:
        return text
    own = public_network(option, name)
    return f"{own}={public_weights(option, name, folder, say)}"


def open_pretrained(asked: Sequence[str], evaluator: ProxyEvaluator) -> tuple[Pretrained, ...]:
    """What is given as NAME=FILE: NAME a known network or an architecture's file.

    evaluator: of trainings from scratch on the same images. Raises UserError where a file cannot be read, or its
    weights are of another network or of images with other channels.
    """
    found = [_opened(text, evaluator) for text in dict.fromkeys(asked)]
    files = [text.partition("=")[2] for text in dict.fromkeys(asked)]
    labels = names = [each.name for each in found]
    for called in (_stem, str):  # the whole path where the file's name is another's, too
        labels = [
            f"{name} ({called(file)})" if labels.count(label) > 1 else label
            for name, label, file in zip(names, labels, files, strict=True)
        ]
    return tuple(replace(each, name=label) for each, label in zip(found, labels, strict=True))


def _stem(file: str) -> str:
    """Its name without folder and suffix."""
    return Path(file).stem


def _opened(text: str, evaluator: ProxyEvaluator) -> Pretrained:
    weights = _read(text, evaluator.dataset)
    recipe, objective = fine_tune(), replace(evaluator.objective, initial=InitialWeights(weights.file, new_head=True))
    tuning = replace(evaluator, dataset=weights.dataset, objective=objective, noted=weights.normalised)
    return Pretrained(weights.name, weights.arch, _by(recipe, tuning))


def _by(recipe: Recipe, evaluator: ProxyEvaluator) -> ProxyEvaluator:
    return replace(evaluator, recipe=recipe, noted=f"recipe={recipe.name},{evaluator.noted}")


def inheriting(text: str, evaluator: ProxyEvaluator) -> Pretrained:
    """A network whose parts begin with its weights, given as NAME=FILE; its evaluator trains them, as `evaluator` does
    from scratch. Raises what `open_pretrained` does, and UserError for a network of which no part can be cut."""
    weights = _read(text, evaluator.dataset)
    objective = replace(evaluator.objective, initial=Inherited(weights.arch, weights.file))
    training = replace(evaluator, dataset=weights.dataset, objective=objective, noted=weights.normalised)
    with from_user(weights.file):
        training.network(weights.arch, 1, torch.device("cpu"))
    return Pretrained(weights.name, weights.arch, training)


@dataclass(frozen=True)
class _Weights:
    """What NAME=FILE names: the network as the weights have it, and the images as they expect them."""

    name: str
    file: str
    arch: ArchSpec
    dataset: Dataset

    @property
    def normalised(self) -> str:
        """What a method says of the images."""
        return f"normalised={'/'.join(f'{value:.6g}' for value in (*self.dataset.mean, *self.dataset.std))}"


def _read(text: str, dataset: Dataset) -> _Weights:
    name, _, file = text.partition("=")
    known = load_arch(name)
    with from_weights_of(name, file):
        arch = suited_arch(known, file)
        network = build_network(arch, dataset.num_classes)
        load_weights(network, file, head=False)
        origin = read_origin(file)
    if arch.input_channels not in (dataset.channels, 1) and dataset.channels != 1:
        raise UserError(f"{file}: of images with {arch.input_channels} channels, {dataset.name} has {dataset.channels}")
    called = Path(name).stem if Path(name).exists() else name
    return _Weights(called, file, network.arch, _as_trained(dataset, network.arch, origin, file))


def _as_trained(dataset: Dataset, arch: ArchSpec, origin: Origin, file: str) -> Dataset:
    """The images in the channels and the normalisation that weights expect; by the data where they say none."""
    if arch.input_channels == 1:
        dataset = in_grey(dataset)
    if origin.mean is None or origin.std is None:
        return dataset
    channels = len(dataset.mean)
    if any(len(numbers) not in (1, channels) for numbers in (origin.mean, origin.std)):
        raise UserError(f"{file}: normalised by {len(origin.mean)} channels, {dataset.name} has {channels}")
    mean, std = (numbers * (channels // len(numbers)) for numbers in (origin.mean, origin.std))
    return replace(dataset, mean=mean, std=std)
