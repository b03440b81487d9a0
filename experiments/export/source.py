"""What is exported: an architecture with its weights, from a training, a weights file, or fresh."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim, ExportedProgram

from experiments.errors import UserError, from_user
from experiments.export.check import probe
from experiments.records import BaselineRecord, TrainingRecord, read_json, read_record
from experiments.records.model import ModelRecord, read_model
from experiments.records.record import named_record
from experiments.records.values import Classes, needed, read_value
from experiments.run.folder import RunFolder
from experiments.run.models import baseline_model
from experiments.run.naming import is_reference, load_arch
from search_spaces import ArchSpec, build_network, load_weights
from search_spaces.network import Network
from search_spaces.weights import classes_in, suited_arch
from search_spaces.weights_file import read_origin


@dataclass(frozen=True, eq=False)
class Exported:
    """A network to export. built: in evaluation mode on the CPU; None: drawn from seed 0 when it is asked for, which a
    format that holds the architecture alone does not. weights: where they are from, in words; fresh: from nowhere.
    classes: names, in the order of the outputs; mean, std: of each channel, in 0..1, by which images are normalised; of
    all three None where they are not known.
    """

    arch: ArchSpec
    num_classes: int
    built: Network | None
    weights: str
    fresh: bool = False
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says about the images that the network takes, and about its outputs: `resolution` in pixels and
        `channels`; `classes`, `mean` and `std` where they are known."""
        known = {"classes": self.classes, "mean": self.mean, "std": self.std}
        return {
            "resolution": self.arch.resolution,
            "channels": self.arch.input_channels,
            **{name: list(value) for name, value in known.items() if value is not None},
        }

    @property
    def metadata(self) -> dict[str, str]:
        """The same for files whose metadata are texts: each value as JSON, in ASCII."""
        return {name: json.dumps(value) for name, value in self.facts.items()}

    @cached_property
    def network(self) -> Network:
        """Raises ArchError where it is too large to be built."""
        return _built(self.arch, self.num_classes, None) if self.built is None else self.built

    @cached_property
    def program(self) -> ExportedProgram:
        """The network as torch.export captures it, with a free batch size: once for all formats that start from it."""
        # Sequential's input is called `input`; a tuple of shapes goes by position.
        free = ({0: Dim("batch", min=1)},)
        return torch.export.export(self.network, (probe(self.arch, 2),), dynamic_shapes=free)


def load_exported(text: str, weights: str | None, num_classes: int | None, resolution: int | None) -> Exported:
    """The network that `text` names, with its weights.

    text: a run folder with a trained network (that of a full training, or its baseline's of the frontier), a
    .safetensors file that says what it is, or anything load_arch takes. weights: a file
    (.safetensors, .pth) in place of the run's. num_classes None: the weights', the run's or 1000. resolution None: the
    architecture's own. Without any weights they are drawn afresh from seed 0, which is said. Raises UserError.
    """
    trained = Path(text) / "train.json"
    classes, file = num_classes, weights
    record: TrainingRecord | ModelRecord | None = None
    if trained.is_file():
        record, arch, names, trained_file = _training(trained)
        classes, file = num_classes or len(names), weights or trained_file
    elif weights is None and (model := _model_of(text)) is not None:
        record, file = read_model(model), str(model)
        arch, classes = record.arch, num_classes or len(record.classes)
    else:
        arch = load_arch(text)
    if resolution is not None:
        arch = replace(arch, resolution=resolution)
    with from_user():
        if file is not None:
            arch = suited_arch(arch, file) if is_reference(text) else arch
            classes = classes or classes_in(arch, file)
            if classes is None:
                raise UserError(f"{file}: has no classifier; train one with `scalenas train {text} DATA --weights`")
        classes = classes or _classes_of_baseline(text) or 1000
        if file is None:
            return Exported(arch, classes, None, "untrained, drawn from seed 0", fresh=True)
        network = _built(arch, classes, file)
    # Public weights bring their own epsilon of the norms.
    found = Exported(network.arch, classes, network, file)
    if record is None or weights is not None:
        with from_user():
            origin = read_origin(file)  # of other weights nobody but the file knows what they were trained on
        fits = origin.classes is not None and len(origin.classes) == classes
        return replace(found, classes=origin.classes if fits else None, mean=origin.mean, std=origin.std)
    return replace(found, classes=record.classes, mean=record.mean, std=record.std)


def _built(arch: ArchSpec, num_classes: int, file: str | None) -> Network:
    """The network drawn from seed 0, with the weights of a file if there is one."""
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(0)
        network = build_network(arch, num_classes)
    if file is not None:
        load_weights(network, file)
    return network.eval()


def _model_of(text: str) -> Path | None:
    """The file of a trained network that is given, or of the baseline of the run folder that is."""
    path = Path(text)
    if path.is_file() and path.suffix == ".safetensors":
        return path
    return baseline_model(RunFolder(path)) if path.is_dir() else None


def _training(path: Path) -> tuple[TrainingRecord, ArchSpec, tuple[str, ...], str]:
    """A training's train.json, with the architecture, the classes and the weights file that it tells of."""
    record = read_record(TrainingRecord, path)
    with named_record(TrainingRecord, path):
        file = needed(needed(record.weights, "weights").file, "weights.file")
        return record, needed(record.arch, "arch"), needed(record.classes, "classes"), str(path.parent / file)


def _classes_of_baseline(text: str) -> int | None:
    """How many classes a run's baseline was found for, given the run folder or the file; None for anything else."""
    path = Path(text)
    if path.is_dir():
        baseline = RunFolder(path).find(BaselineRecord)
        return None if baseline is None else baseline.num_classes
    record = read_json(path) if path.is_file() else None
    if not isinstance(record, dict) or record.get("num_classes") is None:
        return None
    with from_user(str(path)):
        classes: int = read_value(Classes, record["num_classes"], "num_classes")
    return classes
