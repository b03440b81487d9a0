"""What a file of trained weights says of itself: all that is needed to use the network on other images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from experiments.errors import UserError
from experiments.records.record import Record, named_record
from experiments.records.training import Accuracies
from experiments.records.values import ABSENT, Count, Within
from nas.data.decode import CROPS
from nas.data.levels import Levels
from search_spaces import ArchSpec
from search_spaces.weights_file import as_metadata, read_metadata

Positive = Annotated[int, Within(1)]


@dataclass(frozen=True)
class ImageFormat:
    """How files became the images that the network was trained on, before they were resized to its resolution; see
    nas.data.decode.Reading. levels: as Levels.to_json gives them."""

    size: Positive
    channels: Positive
    crop: str
    levels: str


@dataclass(frozen=True)
class OpenedData:
    """The images that it was trained on, and how they were divided; see open_dataset."""

    name: str
    fingerprint: str
    seed: Count
    train_images: Count | None
    group: str | None


@dataclass(frozen=True)
class MadeBy:
    """The training that the weights are of: recipe, epochs and seed, and the versions of the packages that ran it."""

    recipe: str
    epochs: Count
    seed: Count
    versions: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ModelRecord(Record):
    """A trained network. padding, norm_eps: the architecture's, where readers of weights look for them; mean, std: per
    channel in 0..1; accuracy: the `metric` as it was measured on the data's splits. Files of older versions have no
    made_by."""

    FILE = "weights.safetensors"
    WHAT = "a trained network of scalenas"
    MEND = "train it again"

    arch: ArchSpec
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    padding: str
    norm_eps: float
    images: ImageFormat
    data: OpenedData
    metric: str
    accuracy: Accuracies
    made_by: MadeBy | None = field(default=None, metadata=ABSENT)

    def __post_init__(self) -> None:
        if self.images.crop not in CROPS:
            raise ValueError(f"images.crop must be one of {', '.join(CROPS)}")
        try:
            Levels.from_json(self.images.levels)
        except ValueError as error:
            raise ValueError(f"images.levels: {error}") from None
        in_grey = (self.arch.input_channels, self.images.channels) == (1, 3)
        if not len(self.mean) == len(self.std) == (1 if in_grey else self.images.channels):
            raise ValueError(f"mean and std must have {self.images.channels} numbers, one for each channel")
        if not all(each > 0 for each in self.std):
            raise ValueError("std must be above 0")

    @property
    def metadata(self) -> dict[str, str]:
        """For a .safetensors file."""
        return as_metadata(self.to_json())


def read_model(path: Path) -> ModelRecord:
    """What a .safetensors file says of its network. Raises UserError where it says nothing, or not what it should."""
    said = read_metadata(path)
    if "arch" not in said:
        raise UserError(
            f"{path}: not a trained network of this program, which is a .safetensors file in models/ or beside "
            "train.json; docs/export.md shows how other programs use exported files"
        )
    with named_record(ModelRecord, path):
        return ModelRecord.from_json(said)
