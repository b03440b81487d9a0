"""What is exported: an architecture with its weights, from a training, a weights file, or fresh."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from experiments.errors import UserError, from_user
from experiments.export.check import probe
from experiments.export.preprocessing import Prepared
from experiments.records import BaselineRecord, TrainingRecord, read_json, read_record
from experiments.records.model import ModelRecord, read_model
from experiments.records.record import named_record
from experiments.records.values import Classes, needed, plain, read_value
from experiments.run.folder import RunFolder
from experiments.run.models import baseline_model
from experiments.run.naming import is_reference, load_arch
from experiments.run.weights.owned import from_weights_of
from nas.data.levels import Levels
from search_spaces import ArchSpec, build_network, load_weights
from search_spaces.network import Network
from search_spaces.weights import classes_in, suited_arch
from search_spaces.weights_file import read_metadata, read_origin


@dataclass(frozen=True, eq=False)
class Exported:
    """A network to export. built: in evaluation mode on the CPU; None: drawn from seed 0 when it is asked for, which a
    format that holds the architecture alone does not. weights: where they are from, in words; fresh: from nowhere.
    classes: names, in the order of the outputs; mean, std: of each channel, in 0..1, by which images are normalised; of
    all three None where they are not known. record: what the trained weights say of themselves. prepares: whether the
    program takes uint8 images and resizes and normalises them itself, for which mean and std must be known. fixed:
    whether it takes one image at a time, of its own resolution.
    """

    arch: ArchSpec
    num_classes: int
    built: Network | None
    weights: str
    fresh: bool = False
    classes: tuple[str, ...] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    record: ModelRecord | None = None
    prepares: bool = False
    fixed: bool = False

    @property
    def facts(self) -> dict[str, Any]:
        """What the file says about the images that the program takes, and about its outputs, as docs/export.md lists
        it; what is not known is left out."""
        known = {"classes": self.classes, "mean": self.mean, "std": self.std}
        told = {} if self.record is None else _facts_of(self.record, self.arch, self.prepares and not self.fixed)
        return {
            "task": "classification",
            "input": self._input,
            "resolution": self.arch.resolution,
            "channels": self.arch.input_channels,
            **{name: list(value) for name, value in known.items() if value is not None},
            **told,
            **({"usage": self._usage(told)} if self._is_plain else {}),
        }

    @property
    def _is_plain(self) -> bool:
        """Whether two sentences can say how images are given: colours or grey, of 8 bits."""
        return (
            self.record is not None
            and self.record.images.channels in (1, 3)
            and (Levels.from_json(self.record.images.levels).deep == 0)
        )

    def _usage(self, facts: Mapping[str, Any]) -> str:
        """In words, for whoever has the file alone: from an image to the outputs."""
        sizes = ", then to ".join(f"{side} x {side} ({method})" for side, method in facts["resize"])
        given = "as (value / 255 - mean) / std of each channel, float32, NCHW"
        if self.prepares:
            given = "as uint8, NHWC"
        elif facts["colours"] == "grey" and self.arch.input_channels > 1:
            given += f", the grey repeated in {self.arch.input_channels} channels"
        return (
            f"Decode an image as {facts['colours']}, turned as its EXIF says, transparency on a background of "
            f"{facts['background']}; {_SQUARES[facts['crop']]}, resize it to {sizes}, antialiased and each time "
            f"rounded to whole levels (0 to 255), and give it {given}. The outputs are scores of the classes, in their "
            "order; softmax makes them probabilities."
        )

    @property
    def _input(self) -> dict[str, Any]:
        """The tensor that the program takes; None for what is free."""
        pixels, batch = self.arch.resolution, 1 if self.fixed else None
        if not self.prepares:
            shape = [batch, self.arch.input_channels, pixels, pixels]
            return {"type": "float32", "layout": "NCHW", "shape": shape}
        side = pixels if self.fixed else None
        return {"type": "uint8", "layout": "NHWC", "shape": [batch, side, side, len(self.mean or ())]}

    def prepared(self) -> Exported:
        """The same with its preprocessing. Raises UserError where mean and std are not known."""
        if self.mean is None or self.std is None:
            raise UserError(
                "--with-preprocessing: nobody knows how images are normalised for these weights; trained networks of "
                "a run say it, others a .json beside them with mean and std"
            )
        return replace(self, prepares=True)

    @property
    def metadata(self) -> dict[str, str]:
        """The same for files whose metadata are texts: each value as JSON, in ASCII."""
        return {name: json.dumps(value) for name, value in self.facts.items()}

    def probe(self, batch: int) -> Tensor:
        """So many images of noise as the program takes them, the same at every call."""
        if not self.prepares or self.mean is None:
            return probe(self.arch, batch)
        more = 0 if self.fixed else batch - 1  # one image need not be resized, several are larger
        generator = torch.Generator().manual_seed(batch)
        shape = (batch, self.arch.resolution + 7 * more, self.arch.resolution + 8 * more, len(self.mean))
        return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)

    @cached_property
    def module(self) -> nn.Module:
        """The network, with what comes before it where it `prepares`; in evaluation mode."""
        if not self.prepares or self.mean is None or self.std is None:
            return self.network
        size = None if self.fixed else self.arch.resolution
        return Prepared(self.network, size, self.arch.input_channels, self.mean, self.std).eval()

    @cached_property
    def network(self) -> Network:
        """Raises ArchError where it is too large to be built."""
        return _built(self.arch, self.num_classes, None) if self.built is None else self.built

    @cached_property
    def program(self) -> ExportedProgram:
        """What torch.export captures of `module`, with a free batch size, and free sides where it `prepares`: once for
        all formats that start from it."""
        # Sequential's input is called `input`; a tuple of shapes goes by position.
        free = {0: Dim("batch", min=1)}
        if self.prepares:
            free |= {1: Dim("height", min=2), 2: Dim("width", min=2)}
        return torch.export.export(self.module, (self.probe(2),), dynamic_shapes=(free,))


def _facts_of(record: ModelRecord, arch: ArchSpec, resizes: bool) -> dict[str, Any]:
    """What a trained network's record tells: how a file becomes an image that the program takes, what was reached, and
    where the weights are from."""
    images, data = record.images, record.data
    seen = len(record.mean)  # one where colours are shown in grey
    resize = [[images.size, "bicubic"]]
    if not resizes and arch.resolution != images.size:
        resize.append([arch.resolution, "bilinear"])
    measured = {"metric": record.metric, "accuracy": plain(record.accuracy)}  # at the training's own resolution
    return {
        "colours": {1: "grey", 3: "RGB"}.get(seen, f"{seen} channels"),
        "background": Levels.from_json(images.levels).background,
        "crop": images.crop,
        "resize": resize,
        **(measured if arch.resolution == record.arch.resolution else {}),
        "provenance": {
            "architecture": arch.id,
            "data": plain(data),
            **({} if record.made_by is None else {"training": plain(record.made_by)}),
        },
    }


_SQUARES = {
    "center": "take its centre square",
    "pad": "pad it to a square with black",
    "stretch": "stretch it to a square",
}


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
    with from_user() if file is None else from_weights_of(text, file):
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
    if weights is None and isinstance(record, TrainingRecord) and "arch" in read_metadata(file):
        record = read_model(Path(file))  # trainings of earlier versions have weights that do not say what they are
    if record is None or weights is not None:
        with from_user():
            origin = read_origin(file)  # of other weights nobody but the file knows what they were trained on
        fits = origin.classes is not None and len(origin.classes) == classes
        return replace(found, classes=origin.classes if fits else None, mean=origin.mean, std=origin.std)
    said = record if isinstance(record, ModelRecord) and len(record.classes) == classes else None
    return replace(found, classes=record.classes, mean=record.mean, std=record.std, record=said)


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
